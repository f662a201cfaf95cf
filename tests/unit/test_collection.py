import json

import pandas as pd
import pytest

from jadapt.errors import UserError
from jadapt.evaluation import collection

COLUMNS = "study,method,seed,trained_through,evaluated_on,metric,value,unit,n\n"


def evaluation(path, method, seed, through, values):
    rows = [
        f"s,{method},{seed},{through},{domain},bits_per_byte,{value!r},bit/byte,100\n"
        for domain, value in values.items()
    ]
    path.write_text(COLUMNS + "".join(rows), encoding="utf-8")
    return path


def test_retention_is_the_base_models_loss_over_the_runs(tmp_path):
    paths = [
        evaluation(tmp_path / "base.csv", "base", 1, "english", {"english": 2.0, "everyday": 5.0}),
        evaluation(tmp_path / "a.csv", "sft", 1, "everyday", {"english": 4.0, "everyday": 1.5}),
        evaluation(tmp_path / "b.csv", "sft", 2, "everyday", {"english": 2.5, "everyday": 1.5}),
    ]
    table = collection.metrics_table(paths, "english")
    retention = table[table.metric == "english_retention"]
    assert retention[["method", "seed", "value"]].values.tolist() == [
        ["sft", 1, 0.5],
        ["sft", 2, 0.8],
    ]
    assert set(retention.evaluated_on) == {"english"}
    # The measured rows keep their order, which is that of the runs and of their tasks.
    assert table.value.tolist()[:6] == [2.0, 5.0, 4.0, 1.5, 2.5, 1.5]


def test_values_keep_their_last_digit(tmp_path):
    value = 1.9761689369248847
    path = evaluation(tmp_path / "base.csv", "base", 1, "english", {"english": value})
    table = collection.metrics_table([path], "english")
    table.to_csv(tmp_path / "metrics.csv", index=False)
    assert repr(value) in (tmp_path / "metrics.csv").read_text(encoding="utf-8")


def test_a_study_without_its_base_model_is_refused(tmp_path):
    path = evaluation(tmp_path / "a.csv", "sft", 1, "everyday", {"english": 4.0})
    with pytest.raises(UserError, match="one base model on 'english', found 0"):
        collection.metrics_table([path], "english")


def run_folder(tmp_path):
    settings = {"run": "lora", "seed": 3, "global_batch_size": 4, "sequence_length": 8}
    run = {
        "settings": settings, "parameters": 200, "trainable_parameters": 5, "tokens": 640,
        "training_seconds": 2.0, "seconds": 3.0, "peak_memory_mib": 10.0, "steps": 20,
        "device": "d", "final_training_loss": 1.0, "versions": {},
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    lines = [
        {"task": "t", "step": 0, "validation_loss": 3.0, "english_validation_loss": 2.0},
        {"task": "t", "step": 5, "tokens": 160, "training_loss": 2.5, "tokens_per_second": 9.0},
    ]
    (tmp_path / "train.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
    )
    return tmp_path


def test_efficiency_counts_steps_only_for_speed(tmp_path):
    table = collection.efficiency_table([run_folder(tmp_path) / "run.json"], "s")
    assert list(table.columns) == collection.EFFICIENCY_COLUMNS
    (row,) = table.to_dict("records")
    assert (row["method"], row["seed"]) == ("lora", 3)
    assert row["tokens_per_second"] == 320
    assert row["trainable_percent"] == 2.5


def test_curves_hold_losses_by_step_and_token(tmp_path):
    folder = run_folder(tmp_path)
    table = collection.curves_table([folder / "train.jsonl"], [folder / "run.json"], "s")
    assert table[["step", "tokens", "metric", "value"]].values.tolist() == [
        [0, 0, "validation_loss", 3.0],
        [0, 0, "english_validation_loss", 2.0],
        [5, 160, "training_loss", 2.5],
    ]
    assert isinstance(table, pd.DataFrame)
