"""What training survives: killed at any point, on a full disk, with damaged files.

Every attempt is a process of its own; whatever happened to it, the next ones end with the same
weights, byte for byte, and the same log as a run that nothing happened to.
"""

import json
import os
import random
import re
import shutil

import pytest

import disks
import tiny_study
from fault_trials import Attempts

KILLED = {"lora_ewc": 7, "den": 7, "replay_ewc": 6}
CLOCKS = ("tokens_per_second", "peak_memory_mib")


@pytest.fixture(scope="module")
def attempts(tmp_path_factory):
    return Attempts(tiny_study.build(tmp_path_factory.mktemp("study") / "study"))


@pytest.fixture(scope="module")
def undisturbed(attempts, tmp_path_factory):
    """A function that returns the folder of a run that nothing happens to."""
    found = {}

    def folder(name):
        if name not in found:
            found[name] = tmp_path_factory.mktemp(name) / "run"
            assert attempts.run(found[name], tiny_study.RUNS[name]) == 0, attempts.log(found[name])
        return found[name]

    return folder


def result(work):
    """The models of a run as bytes, and its log without what clocks say."""
    models = work / "output/models"
    files = {
        path.relative_to(models).as_posix(): path.read_bytes()
        for path in sorted(models.rglob("*"))
        if path.is_file()
    }
    lines = map(json.loads, (work / "output/train.jsonl").read_text().splitlines())
    return files, [{k: v for k, v in line.items() if k not in CLOCKS} for line in lines]


@pytest.mark.parametrize("name", KILLED)
def test_a_run_killed_at_any_point_ends_the_same(attempts, undisturbed, tmp_path, name):
    """SIGKILL before training steps and between changes to files, where a run is most tender."""
    whole = undisturbed(name)
    expected, events = result(whole), attempts.events(whole)
    steps = [number for number, event in enumerate(events) if event == "step"]
    changes = [number for number, event in enumerate(events) if event != "step"]
    assert len(steps) == 24
    draw = random.Random(name)
    points = draw.sample(steps, 3) + draw.sample(changes, KILLED[name] - 3)
    for point in sorted(points):
        work = tmp_path / f"{point}"
        assert attempts.run(work, tiny_study.RUNS[name], kill_at=point) == -9
        # A clock that went back meanwhile: what is newest is not what was written last.
        for age, path in enumerate(sorted(work.rglob("*.ckpt"), reverse=True)):
            os.utime(path, (4e9 - age, 4e9 - age))
        assert attempts.run(work, tiny_study.RUNS[name]) == 0, attempts.log(work)
        assert result(work) == expected, f"killed before event {point}, {events[point]}"
        assert not list(work.rglob("*.part")), events[point]


@pytest.fixture(scope="module")
def interrupted(attempts, undisturbed, tmp_path_factory):
    """A run killed in its second task, after the checkpoints of steps 4 and 8."""
    events = attempts.events(undisturbed("lora_ewc"))
    steps = [number for number, event in enumerate(events) if event == "step"]
    work = tmp_path_factory.mktemp("interrupted") / "run"
    assert attempts.run(work, tiny_study.RUNS["lora_ewc"], kill_at=steps[12 + 9]) == -9
    return work


def cut_off(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "files", "lines"),
    [
        (cut_off, ["second/step=8.ckpt"], ["removed, going on from step=4.ckpt"]),
        (flip_a_bit, ["second/step=8.ckpt"], ["removed, going on from step=4.ckpt"]),
        (
            flip_a_bit,
            ["second/step=8.ckpt", "second/step=4.ckpt"],
            ["removed, going on from step=4.ckpt", "removed, starting from the beginning"],
        ),
        (
            flip_a_bit,
            ["first/model/adapter_model.safetensors"],
            ["the task is trained again from its last checkpoint"],
        ),
        (
            cut_off,
            ["first/strategy0.safetensors"],
            ["the task is trained again from its last checkpoint"],
        ),
    ],
)  # fmt: skip
def test_damaged_work_in_progress_is_named_and_made_again(
    attempts, undisturbed, interrupted, tmp_path, damage, files, lines
):
    work = tmp_path / "run"
    shutil.copytree(interrupted, work)
    for name in files:
        damage(work / "checkpoints" / name)
    assert attempts.run(work, tiny_study.RUNS["lora_ewc"]) == 0, attempts.log(work)
    log = attempts.log(work).splitlines()
    for name, line in zip(files, lines, strict=True):
        (found,) = (text for text in log if text.endswith(line))
        assert f"checkpoints/{name}: its sha256 is not the " in found
    assert result(work) == result(undisturbed("lora_ewc"))


@pytest.mark.parametrize("name", ["tokens/second/train/tokens.bin", "model/model.safetensors"])
def test_damaged_inputs_are_refused_with_one_line(attempts, tmp_path, name):
    """A flipped bit in what a run reads has no copy to fall back on: the workflow makes it anew."""
    study, work = tmp_path / "study", tmp_path / "run"
    shutil.copytree(attempts.study, study)
    path = study / name
    flip_a_bit(path)
    assert Attempts(study).run(work, tiny_study.RUNS["sft"]) == 1
    (line,) = (text for text in attempts.log(work).splitlines() if text.startswith("error:"))
    assert line.startswith(f"error: {path}: its sha256 is not the one in ")
    remedy = path.parent if "tokens" in name else path.parent.parent
    assert line.endswith(f"; delete {remedy} and run the same command again")
    assert not (work / "output").exists()


@pytest.fixture
def small_disk(tmp_path):
    with disks.small(tmp_path / "disk", mebibytes=2) as folder:
        yield folder


@pytest.mark.parametrize(
    ("step", "spared", "room", "message"),
    [
        (
            12 + 5, "step=4.ckpt", 0.5,
            r"step=8\.ckpt: cannot be written \(.*: it goes on from the checkpoint before$",
        ),
        # What a step logs finds room; the model at the end of the task does not.
        (12 + 9, "step=8.ckpt", 0.1, r"; free some room and run the same command again$"),
    ],
    ids=["checkpoint", "model"],
)  # fmt: skip
def test_a_full_disk_ends_with_one_line_and_loses_nothing(
    attempts, undisturbed, small_disk, tmp_path, step, spared, room, message
):
    """A checkpoint finds room; a file written meanwhile takes it from what comes next.

    Args:
        step: the step before which a first attempt is killed.
        spared: the newest checkpoint then.
        room: what is left, as a share of its size.
    """
    settings = tiny_study.RUNS["sft"]
    events = attempts.events(undisturbed("sft"))
    point = [number for number, event in enumerate(events) if event == "step"][step]
    work = (small_disk or tmp_path) / "run"
    assert attempts.run(work, settings, kill_at=point) == -9
    bytes_left = int((work / "checkpoints/second" / spared).stat().st_size * room)
    if small_disk:
        free = shutil.disk_usage(small_disk).free
        (small_disk / "other").write_bytes(bytes(free - bytes_left))
    # Without the right to mount: no file may become as large.
    limit = None if small_disk else bytes_left
    assert attempts.run(work, settings, limit=limit) == 1, attempts.log(work)
    (line,) = (text for text in attempts.log(work).splitlines() if text.startswith("error:"))
    assert re.search(message, line), line
    names = {path.name for path in (work / "checkpoints/second").iterdir()}
    assert {spared, f"{spared}.sha256"} <= names
    assert not names & {"SHA256SUMS", "step=12.ckpt"}
    assert not [name for name in names if name.endswith(".part")]
    if small_disk:
        (small_disk / "other").unlink()
    assert attempts.run(work, settings) == 0, attempts.log(work)
    assert result(work) == result(undisturbed("sft"))
