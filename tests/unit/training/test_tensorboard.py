"""Event files for TensorBoard: only where asked for, with the numbers of the log."""

import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jadapt.training import meters, tensorboard


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv(tensorboard.VARIABLE, raising=False)
    meters.append_line(tmp_path / "train.jsonl", {"task": "a", "step": 1, "training_loss": 2.0})
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


def test_curves_have_the_numbers_and_the_steps_of_the_log(tmp_path, monkeypatch):
    monkeypatch.setenv(tensorboard.VARIABLE, str(tmp_path / "board"))
    log = tmp_path / "checkpoints/lora/seed1/cloud/train.jsonl"
    log.parent.mkdir(parents=True)
    lines = [
        {"task": "cloud", "step": 2, "training_loss": 2.5, "learning_rate": 0.25},
        {"task": "cloud", "step": 4, "training_loss": 1.5, "learning_rate": 0.125},
        {"task": "cloud", "step": 4, "validation_loss": 3.5},
    ]
    for line in lines:
        meters.append_line(log, line)
    events = EventAccumulator(str(tmp_path / "board/lora/seed1/cloud"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"training_loss", "learning_rate", "validation_loss"}
    found = [(event.step, event.value) for event in events.Scalars("training_loss")]
    assert found == [(2, 2.5), (4, 1.5)]
    assert [json.loads(text) for text in log.read_text().splitlines()] == lines
