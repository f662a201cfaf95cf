"""What a point of a search says of itself."""

import json
from types import SimpleNamespace

import pytest

import tiny_model
import tiny_study
from jadapt.evaluation.search import RESULT, Search, costs


class Stopped(Exception):
    """Stands for the end of a process."""


def test_a_point_that_was_trained_but_not_evaluated_gives_the_same_result(
    study, tmp_path, monkeypatch
):
    bytes_of_tokens = [b"", b"", b"", *(b"x" for _ in range(3, tiny_model.VOCABULARY))]
    tokenizer = SimpleNamespace(**vars(tiny_study.TOKENIZER), token_bytes=lambda: bytes_of_tokens)
    settings = {
        "run": "sft", "ablation": "", "rates": [1e-2], "seeds": [1], "batch_size": 4,
        "maximum_tokens": 200,
        "variants": [{"name": "", "settings": {**tiny_study.SETTINGS, "sequence": ["first"]}}],
    }  # fmt: skip

    def search(folder):
        tokens = {domain: study / "tokens" / domain for domain in tiny_study.DOMAINS}
        return Search(settings, "tiny", study / "model", tokens, tokenizer, tmp_path / folder)

    whole = search("whole").run()

    def stop(*unused):
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(Search, "_evaluate", stop)
        with pytest.raises(Stopped):
            search("stopped").run()
    assert not list((tmp_path / "stopped").rglob(RESULT))
    assert search("stopped").run() == whole


def test_the_speed_of_a_point_is_not_that_of_its_start(tmp_path):
    lines = [
        {"step": 0, "validation_loss": 3.0},
        {"step": 1, "tokens_per_second": 10.0},
        {"step": 2, "tokens_per_second": 1000.0},
        {"step": 3, "tokens_per_second": 1002.0},
        {"step": 3, "validation_loss": 2.0},
    ]
    log = tmp_path / "train.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = {"peak_memory_mib": 512.5, "tokens": 3, "training_seconds": 1.0}
    found = {metric: (value, unit, n) for _, metric, value, unit, n in costs(report, log)}
    assert found == {
        "peak_memory_mib": (512.5, "MiB", 1),
        "median_tokens_per_second": (1000.0, "token/s", 3),
    }
    scaled = {"step": 4, "tokens_per_second": 998.0, "loss_scale": 32768.0, "skipped_steps": 1}
    log.write_text(log.read_text() + json.dumps(scaled) + "\n")
    found = {metric: value for _, metric, value, *_ in costs(report, log)}
    assert (found["loss_scale"], found["skipped_steps"]) == (32768.0, 1)
