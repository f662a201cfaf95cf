"""The whole chain, once for real: packages, corpora, tokenizer, NeMo, evaluation, figures, PDF."""

import json

import pytest

from jadapt.corpora.splits import leaks
from jadapt.workflow import preloaded
from tiny_results import DOMAINS, FIGURES, METHODS, TABLES, TASKS, read_table, results

pytestmark = pytest.mark.chain


def test_the_paper_its_figures_and_its_tables_are_there(study):
    folder = results(study)
    assert (folder / "paper/paper.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "paper/paper.pdf").stat().st_size > 50_000
    for name in FIGURES:
        assert (folder / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (folder / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (folder / f"figures/{name}.svg").read_text(encoding="utf-8")
    verdicts = read_table(folder / "claims.csv")
    judged = {"reproduced", "not reproduced"}
    for name in TABLES:
        rows = read_table(folder / f"tables/{name}.csv")
        if name == "claims":
            # A study of this size bears on few published claims about runs, or on none.
            measured = [row for row in verdicts if row["kind"] == "measurement"]
            assert len(rows) == sum(row["verdict"] in judged for row in measured)
        else:
            assert rows, name
        assert r"\begin{tabular}" in (folder / f"tables/{name}.tex").read_text(encoding="utf-8")
    for name in FIGURES + TABLES:
        notebook = json.loads((folder / f"notebooks/{name}.ipynb").read_text(encoding="utf-8"))
        assert any(cell.get("execution_count") for cell in notebook["cells"])


def test_what_trains_is_forked_from_a_process_that_has_imported_nemo(study):
    # The first ones may be earlier than that process is ready.
    logs = sorted((results(study) / "logs/adapt").rglob("*.log"))
    assert sum(bool(preloaded.usage(log)) for log in logs) > len(logs) / 2
    assert not list((study.path / preloaded.FOLDER).glob("*.socket"))


def test_the_metrics_are_complete(study):
    rows = read_table(results(study) / "metrics.csv")
    found = {(r["method"], r["trained_through"], r["evaluated_on"], r["metric"]) for r in rows}
    adapted = [(method, task) for method in METHODS for task in TASKS]
    for method, task in [("base", "english"), *adapted]:
        for domain in DOMAINS:
            for metric in ("bits_per_byte", "bits_per_character", "perplexity"):
                assert (method, task, domain, metric) in found
        for script in ("hiragana", "katakana", "kanji", "other"):
            assert (method, task, "everyday", f"next_character_accuracy_{script}") in found
    for method in METHODS:
        assert (method, "everyday", "english", "english_retention") in found
        for metric in ("average_bits_per_byte", "backward_transfer", "forward_transfer"):
            assert (method, "cloud", "sequence", metric) in found
    assert ("den", "cloud", "english", "bits_per_byte_with_task") in found
    losses = [row for row in rows if "transfer" not in row["metric"]]
    assert all(float(row["value"]) >= 0 and int(row["n"]) > 0 for row in losses)


def bits(study, metric="bits_per_byte"):
    return {
        (r["method"], r["trained_through"], r["evaluated_on"]): float(r["value"])
        for r in read_table(results(study) / "metrics.csv")
        if r["metric"] == metric
    }


def test_every_method_lowers_the_loss_of_its_tasks(study):
    values = bits(study)
    for method in METHODS:
        # An untrained prefix takes attention away from the text: it starts above the base model.
        if method != "prefix":
            assert values[method, "everyday", "everyday"] < values["base", "english", "everyday"]
        assert values[method, "cloud", "cloud"] < values[method, "everyday", "cloud"]


def test_a_dynamically_expandable_network_is_compared_as_it_is_without_being_told(study):
    untold, told = bits(study), bits(study, "bits_per_byte_with_task")
    base = untold["base", "english", "english"]
    for task in TASKS:
        # The base model stays exact: no unit is in use for it.
        assert told["den", task, "english"] == base
        assert untold["den", task, "english"] != base
    # After a task its own units are the latest.
    assert told["den", "cloud", "cloud"] == untold["den", "cloud", "cloud"]


def test_transfer_follows_from_the_matrix(study):
    values = bits(study)
    backward, forward = bits(study, "backward_transfer"), bits(study, "forward_transfer")
    for method in METHODS:
        key = (method, "cloud", "sequence")
        expected = values[method, "everyday", "everyday"] - values[method, "cloud", "everyday"]
        assert backward[key] == pytest.approx(expected, abs=1e-12)
        expected = values["base", "english", "cloud"] - values[method, "everyday", "cloud"]
        assert forward[key] == pytest.approx(expected, abs=1e-12)


def test_the_runs_say_what_they_trained(study):
    efficiency = {r["method"]: r for r in read_table(results(study) / "efficiency.csv")}
    assert float(efficiency["sft"]["trainable_percent"]) == 100
    for method in ("lora", "dora", "houlsby", "prefix"):
        assert 0 < float(efficiency[method]["trainable_percent"]) < 10
    extra = int(efficiency["dora"]["trainable_parameters"]) - int(
        efficiency["lora"]["trainable_parameters"]
    )
    # One length for each output of the adapted layers: q, k, v, o, gate, up and down, three times.
    assert extra == 3 * (128 + 64 + 64 + 128 + 384 + 384 + 128)
    run = json.loads((results(study) / "runs/lora/seed1/run.json").read_text())
    assert run["versions"]["nemo_toolkit"] == "2.5.3"
    assert run["settings"]["a_init"] == "kaiming"
    log = (results(study) / "runs/gem/seed1/train.jsonl").read_text()
    assert "gem_violated_constraints" in log


def test_the_rate_of_a_grid_is_chosen_on_validation_and_used(study):
    grid = read_table(results(study) / "grid.csv")
    for method, rates in (("sft", {"0.001", "0.002"}), ("lora", {"0.005", "0.01"})):
        rows = [
            row for row in grid
            if row["method"] == method and not row["ablation"]
            and row["evaluated_on"] == "everyday" and row["metric"] == "bits_per_byte"
        ]  # fmt: skip
        assert {row["learning_rate"] for row in rows} == rates
        best = min(rows, key=lambda row: float(row["value"]))
        assert [row["learning_rate"] for row in rows if row["selected"].lower() == "true"] == [
            best["learning_rate"]
        ]
        run = json.loads((results(study) / f"runs/{method}/seed1/run.json").read_text())
        assert run["settings"]["learning_rate"] == float(best["learning_rate"])
    ablations = {(row["ablation"], row["variant"]) for row in grid if row["ablation"]}
    assert {("lora_rank", "2"), ("lora_rank", "8"), ("lora_a_init", "nemo")} <= ablations


def test_the_logs_of_training_follow_the_schedule(study):
    lines = [
        json.loads(line)
        for line in (results(study) / "runs/sft/seed1/train.jsonl").read_text().splitlines()
    ]
    assert [line["task"] for line in lines] == ["everyday"] * 9 + ["cloud"] * 9
    lines = lines[9:]
    steps = [line["step"] for line in lines if "training_loss" in line]
    assert steps == [2, 4, 6, 8, 10, 12]
    assert [line["step"] for line in lines if "validation_loss" in line] == [0, 6, 12]
    rates = [line["learning_rate"] for line in lines if "learning_rate" in line]
    # Two steps of warm-up end at the first line; the second is the highest, then a cosine falls.
    assert rates[0] < rates[1]
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] < 0.2 * rates[1]


def test_no_document_and_no_english_sentence_crosses_splits(study):
    folder = results(study) / "corpora"
    assert leaks({domain: folder / domain for domain in DOMAINS}) == []
