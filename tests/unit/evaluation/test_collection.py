import json

import pandas as pd
import pytest

from jadapt.core.errors import UserError
from jadapt.core.tables import EFFICIENCY, GRID
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
    assert list(table.columns) == list(EFFICIENCY.header)
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


def test_transfer_is_collected_after_what_was_measured(tmp_path):
    paths = [
        evaluation(tmp_path / "base.csv", "base", 1, "english", {"english": 2, "a": 5, "b": 6})
    ]
    for index, (through, values) in enumerate(
        {"a": {"english": 3, "a": 1, "b": 4}, "b": {"english": 4, "a": 2, "b": 3}}.items()
    ):
        paths.append(evaluation(tmp_path / f"{index}.csv", "sft", 1, through, values))
    table = collection.metrics_table(paths, "english")
    derived = table[table.evaluated_on == "sequence"]
    assert derived[["metric", "value", "trained_through"]].values.tolist() == [
        ["average_bits_per_byte", 2.5, "b"],
        ["backward_transfer", -1.0, "b"],
        ["forward_transfer", 2.0, "b"],
    ]
    retention = table[table.metric == "english_retention"]
    assert retention[["trained_through", "value"]].values.tolist() == [["a", 2 / 3], ["b", 0.5]]


BASE_ROWS = "s,base,,,0,1,english,bits_per_byte,2.0,bit/byte,10,false\n"


def grid_file(path, text, base=BASE_ROWS):
    path.write_text(",".join(GRID.header) + "\n" + base + text, encoding="utf-8")
    return path


def test_grids_share_one_base_model(tmp_path):
    one = "s,lora,lora_rank,8,0.005,1,everyday,bits_per_byte,1.9761689369248847,bit/byte,10,true\n"
    two = "s,sft,,,1.0e-3,0,everyday,bits_per_byte,nan,bit/byte,10,false\n"
    paths = [grid_file(tmp_path / "1.csv", one), grid_file(tmp_path / "2.csv", two)]
    table = collection.grid_table(paths)
    # Text in, the same text out: no digit is lost, and 8 does not become 8.0.
    header = ",".join(GRID.header) + "\n"
    assert table.to_csv(index=False, lineterminator="\n") == header + BASE_ROWS + one + two


def test_the_last_digit_of_another_machine_makes_no_other_model(tmp_path):
    other = BASE_ROWS.replace("2.0", "2.0000000000000004")
    paths = [grid_file(tmp_path / "1.csv", ""), grid_file(tmp_path / "2.csv", "", other)]
    assert collection.grid_table(paths)["value"].tolist() == ["2.0"]


def test_grids_of_two_base_models_are_refused(tmp_path):
    other = BASE_ROWS.replace("2.0", "2.5")
    paths = [grid_file(tmp_path / "1.csv", ""), grid_file(tmp_path / "2.csv", "", other)]
    with pytest.raises(UserError, match=r"two values of bits_per_byte on 'english'.*2\.csv"):
        collection.grid_table(paths)


def test_a_grid_without_a_column_is_named(tmp_path):
    path = grid_file(tmp_path / "1.csv", "")
    pd.read_csv(path).drop(columns="selected").to_csv(path, index=False)
    with pytest.raises(UserError, match=r"1\.csv: column 'selected'"):
        collection.grid_table([path])


def test_a_study_without_a_grid_has_an_empty_one():
    assert tuple(collection.grid_table([]).columns) == GRID.header
