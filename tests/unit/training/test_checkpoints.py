import json
import os
import platform
import random
import subprocess
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jadapt.core import checksums
from jadapt.core.errors import UserError
from jadapt.training import checkpoints, meters, provenance
from jadapt.training.async_scalars import Reading
from jadapt.training.optimisation import optimiser_module


def trainer(step=0, maximum=100, accumulate=1):
    return SimpleNamespace(global_step=step, max_steps=maximum, accumulate_grad_batches=accumulate)


def test_a_checkpoint_is_read_without_running_code(tmp_path):
    io = checkpoints.SealedCheckpointIO()
    state = {"state_dict": {"w": torch.arange(3.0)}, "global_step": 7, "hyper_parameters": print}
    io.save_checkpoint(state, tmp_path / "step=7.ckpt")
    loaded = io.load_checkpoint(tmp_path / "step=7.ckpt")
    assert loaded["global_step"] == 7
    assert torch.equal(loaded["state_dict"]["w"], torch.arange(3.0))
    assert "hyper_parameters" not in loaded
    torch.save({"f": print}, tmp_path / "evil.ckpt")
    with pytest.raises(UserError, match=r"evil\.ckpt: holds other things than tensors"):
        io.load_checkpoint(tmp_path / "evil.ckpt")


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path):
    io = checkpoints.SealedCheckpointIO()
    path = tmp_path / "step=1.ckpt"
    io.save_checkpoint({"a": 1}, path)
    with pytest.raises(AttributeError):
        io.save_checkpoint({"a": lambda: None}, path)
    assert io.load_checkpoint(path) == {"a": 1}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "step=1.ckpt",
        "step=1.ckpt.sha256",
    ]
    assert checkpoints.usable(tmp_path) == path


def save(folder, *steps):
    io = checkpoints.SealedCheckpointIO()
    for step in steps:
        io.save_checkpoint({"global_step": step}, folder / checkpoints.file_name(step))


def test_the_newest_checkpoint_is_found_by_number_whatever_the_clock_says(tmp_path):
    assert checkpoints.usable(tmp_path) is None
    save(tmp_path, 9, 100)
    os.utime(tmp_path / "step=100.ckpt", (0, 0))
    for name in (".step=200.ckpt.x.part", "other.ckpt"):
        (tmp_path / name).touch()
    newest = checkpoints.usable(tmp_path)
    assert newest.name == checkpoints.file_name(100)
    assert checkpoints.step_of(newest) == 100
    assert not list(tmp_path.glob(".*"))


def cut_off(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def lose_the_record(path):
    path.with_name(f"{path.name}.sha256").unlink()


@pytest.mark.parametrize("damage", [cut_off, flip_a_bit, lose_the_record])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, capsys, damage):
    save(tmp_path, 4, 8)
    damage(tmp_path / "step=8.ckpt")
    assert checkpoints.usable(tmp_path) == tmp_path / "step=4.ckpt"
    assert not (tmp_path / "step=8.ckpt").exists()
    damage(tmp_path / "step=4.ckpt")
    assert checkpoints.usable(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{tmp_path / 'step=8.ckpt'}: ")
    assert first.endswith("; removed, going on from step=4.ckpt")
    assert second.endswith("; removed, starting from the beginning")


def test_the_record_of_a_checkpoint_is_one_that_sha256sum_reads(tmp_path):
    save(tmp_path, 4)
    command = ["sha256sum", "--check", "--strict", "step=4.ckpt.sha256"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0


def test_all_random_generators_are_in_a_checkpoint(tmp_path):
    io = checkpoints.SealedCheckpointIO()
    io.save_checkpoint(checkpoints.random_states(), tmp_path / "step=1.ckpt")

    def draws():
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random(), random.gauss()

    expected = draws()
    checkpoints.set_random_states(io.load_checkpoint(tmp_path / "step=1.ckpt"))
    assert draws() == expected


def test_the_generators_of_gpus_are_among_them(monkeypatch):
    """Of all of them, whatever the machine of this test has."""
    states = [torch.zeros(16, dtype=torch.uint8), torch.ones(16, dtype=torch.uint8)]
    taken = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: states)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", taken.append)
    checkpoints.set_random_states(checkpoints.random_states())
    assert taken == [states]


def test_old_checkpoints_are_pruned_and_the_last_step_saves_none(tmp_path):
    saved = []

    def save(path):
        saved.append(path.name)
        path.touch()

    callback = checkpoints.PeriodicCheckpoint(tmp_path, interval=2)
    for step in range(1, 9):
        state = trainer(step, maximum=8)
        state.save_checkpoint = save
        state.strategy = SimpleNamespace(remove_checkpoint=lambda path: path.unlink())
        callback.on_train_batch_end(state, None, None, None, step - 1)
    assert saved == ["step=2.ckpt", "step=4.ckpt", "step=6.ckpt"]
    assert {path.name for path in tmp_path.iterdir()} == {"step=4.ckpt", "step=6.ckpt"}


def test_the_log_of_a_killed_attempt_is_cut_at_the_checkpoint(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"step": 0}\n{"step": 5}\n{"step": 10}\n{"step": 1')
    log = meters.StepLog(path, tokens_per_step=4, interval=5, task="t")
    log.on_train_start(trainer(5), None)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 5]
    log.on_train_start(trainer(0), None)
    assert path.read_text() == ""


def test_losses_are_means_over_micro_batches_and_steps(tmp_path):
    path = tmp_path / "train.jsonl"
    log = meters.StepLog(path, tokens_per_step=8, interval=2, task="t")
    module = SimpleNamespace(
        applied_learning_rate=0.1,
        gradient_norm=2.0,
        measures=lambda: {"penalty": 0.25},
        settle=lambda: None,
    )
    # Two micro-batches a step. What Lightning hands over includes penalties and is not logged.
    for index, loss in enumerate([1.0, 3.0, 2.0, 6.0]):
        module.take_losses = lambda loss=loss: [Reading(torch.tensor(loss))]
        state = trainer(step=(index + 1) // 2, accumulate=2)
        log.on_train_batch_start(state, module, None, index)
        log.on_train_batch_end(state, module, {"loss": torch.tensor(99.0)}, None, index)
    (line,) = map(json.loads, path.read_text().splitlines())
    assert (line["step"], line["tokens"], line["training_loss"]) == (2, 16, 3.0)
    assert line["penalty"] == 0.25
    assert line["tokens_per_second"] > 0
    assert log.last_loss == 3.0


def test_checkpoints_of_another_configuration_are_not_taken_up(tmp_path):
    folder = tmp_path / "checkpoints"
    provenance.claim(folder, {"settings": {"steps": 1}})
    (folder / "step=1.ckpt").touch()
    provenance.claim(folder, {"settings": {"steps": 1}})
    assert (folder / "step=1.ckpt").exists()
    provenance.claim(folder, {"settings": {"steps": 2}})
    assert not (folder / "step=1.ckpt").exists()


def test_two_processes_do_not_train_the_same_run(tmp_path):
    folder = tmp_path / "seed1"
    with provenance.alone(folder):
        reader, writer = os.pipe()
        # Forked, as a process started afresh would import torch for it.
        if os.fork() == 0:
            try:
                with provenance.alone(folder):
                    text = "both train it"
            except UserError as error:
                text = str(error)
            os.write(writer, text.encode())
            os._exit(0)
        os.close(writer)
        with open(reader, encoding="utf-8") as stream:
            text = stream.read()
        os.wait()
        assert f"process {os.getpid()} on {platform.node()} still trains this run" in text
    with provenance.alone(folder):
        pass


def test_the_rate_warms_up_and_falls_along_a_cosine():
    inner = torch.nn.Linear(2, 2)
    model = torch.nn.ModuleDict({"model": inner})
    model.model, model.method = inner, SimpleNamespace(learning_rate_factors=lambda model: {})
    settings = {
        "learning_rate": 1.0, "steps": 20, "warmup_steps": 4, "minimum_learning_rate_ratio": 0.1,
        "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.5,
    }  # fmt: skip
    (configured,) = optimiser_module(settings).optimizers(model)
    optimiser, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    decays = {group["weight_decay"]: group["params"] for group in optimiser.param_groups}
    assert [p.ndim for p in decays[0.5]] == [2]
    assert [p.ndim for p in decays[0]] == [1]
    rates = []
    for _ in range(20):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert rates[4] == pytest.approx(1.0)
    # Half-way between warm-up and end the cosine is at the mean of its ends.
    assert rates[12] == pytest.approx(0.55)
    assert all(a > b for a, b in pairwise(rates[4:]))
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.1)


@pytest.mark.parametrize("place", ["step=8.ckpt", "step=8.ckpt.sha256"])
def test_a_folder_in_the_place_of_a_checkpoint_is_removed_and_named(tmp_path, capsys, place):
    for step in (4, 8):
        with checksums.sealed(tmp_path / f"step={step}.ckpt") as temporary:
            temporary.write_bytes(b"x")
    (tmp_path / place).unlink()
    (tmp_path / place / "inner").mkdir(parents=True)
    assert checkpoints.usable(tmp_path) == tmp_path / "step=4.ckpt"
    assert "folder" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step=4.ckpt", "step=4.ckpt.sha256"]
