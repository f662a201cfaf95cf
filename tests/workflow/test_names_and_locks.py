"""Two commands at once, clocks, and names that a shell would take for something else."""

import json
import os
import random
import re
import signal
import subprocess
import time

import pytest

from test_rules import add_domain, refusal

KANA = "あいうえおかきくけこさしすせそたちつてと"
DRAW = random.Random(0)
LINES = ["".join(DRAW.choices(KANA, k=20)) + "。" for _ in range(200)]


def documents(clone, domain):
    folder = clone.path / f"results/mini/corpora/{domain}"
    return [
        json.loads(line)["ja"]
        for split in ("train", "validation", "test")
        for line in (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    ]


@pytest.mark.parametrize(
    "name",
    [
        "mine; touch x.txt", "$(touch x).txt", 'it\'s `touch x` "mine" & ours.txt', "-n.txt",
        "my {corpus} [1], {0}.txt", "{source}.txt",
    ],
)  # fmt: skip
def test_a_file_may_have_any_name_and_none_is_run(edited, nothing_left_elsewhere, name):
    (edited.path / name).write_text("\n".join(LINES), encoding="utf-8")
    source = {"kind": "local", "path": name, "licence": "CC0-1.0", "attribution": "me; touch x"}
    add_domain(edited, "mine", json.dumps(source))
    edited.shell("snakemake", "--cores", "2", "results/mini/corpora/mine/manifest.json")
    nothing_left_elsewhere()
    assert sorted(documents(edited, "mine")) == sorted(LINES)
    assert not (edited.path / "x").exists()


def test_an_older_file_in_place_of_the_user_s_own_is_read(edited):
    own = edited.path / "mine.txt"
    own.write_text("\n".join(LINES), encoding="utf-8")
    add_domain(edited, "mine", "{kind: local, path: mine.txt, licence: CC0-1.0, attribution: me}")
    command = ["snakemake", "--cores", "1", "results/mini/corpora/mine/manifest.json"]
    edited.shell(*command)
    own.write_text("\n".join(LINES[:-1]), encoding="utf-8")
    os.utime(own, (10**9, 10**9))
    edited.shell(*command)
    assert sorted(documents(edited, "mine")) == sorted(LINES[:-1])
    assert "Nothing to be done" in edited.shell(*command).stdout


@pytest.mark.parametrize(
    ("key", "edit"),
    [
        ("corpora.domains", ("domains: [english,", "domains: ['a; touch x', english,")),
        ("study", ("study: mini", "study: $(touch x)")),
        ("study", ("study: mini", "study: ../elsewhere")),
        ("methods", ("  lora:\n", "  'lo; touch x':\n")),
    ],
)
def test_a_name_that_a_shell_could_take_for_more_is_refused(edited, key, edit):
    line = refusal(edited, "config/config.yaml", *edit)
    assert re.match(rf"error: config/config\.yaml:\d+: {re.escape(key)}", line)
    assert not (edited.path / "x").exists()


def test_a_second_command_refuses_and_the_first_finishes(edited):
    (edited.path / "mine.txt").write_text("\n".join(LINES), encoding="utf-8")
    add_domain(edited, "mine", "{kind: local, path: mine.txt, licence: CC0-1.0, attribution: me}")
    # As make and the profiles have it; without, Snakemake takes what is being made for leftovers.
    command = ["snakemake", "--cores", "1", "--rerun-incomplete"]
    command += ["--", "results/mini/corpora/mine/manifest.json"]
    first = subprocess.Popen(
        command, cwd=edited.path, env=edited.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(edited.path.glob(".snakemake/locks/*")):
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # Stopped, so that it is still there when the second one looks.
    first.send_signal(signal.SIGSTOP)
    try:
        second = edited.shell(*command, check=False)
        by_make = edited.shell("python", "scripts/unlock_stale.py", check=False)
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert "Directory cannot be locked" in second.stdout
    assert by_make.returncode == 1
    (line,) = by_make.stdout.splitlines()
    assert f"Snakemake is running here (process {first.pid})" in line
    output, _ = first.communicate()
    assert first.returncode == 0, output
    assert len(documents(edited, "mine")) == len(LINES)
    assert "Nothing to be done" in edited.shell(*command).stdout


def test_a_clock_that_goes_back_between_two_commands_does_no_harm(edited):
    """What the first command left, and what the user wrote, is then from the future."""
    own = edited.path / "config/mine.txt"
    own.write_text("\n".join(LINES), encoding="utf-8")
    source = "{kind: local, path: config/mine.txt, licence: CC0-1.0, attribution: me}"
    add_domain(edited, "mine", source)
    fetched = "resources/downloads/mine/fetched.json"
    target = "results/mini/corpora/mine/manifest.json"
    edited.shell("snakemake", "--cores", "1", fetched)
    future = time.time() + 3600
    for path in (own, edited.path / fetched):
        os.utime(path, (future, future))
    output = edited.shell("snakemake", "--cores", "1", target).stdout
    assert "the clock went back: 2 files of the future are dated now" in output
    assert sorted(documents(edited, "mine")) == sorted(LINES)
    again = edited.shell("snakemake", "--cores", "1", target).stdout
    assert "Nothing to be done" in again
    assert "future" not in again


def test_a_token_is_not_in_the_message_of_a_failed_command(edited):
    token = edited.environment["HF_TOKEN"]
    add_domain(edited, "mine", "{kind: local, path: no.txt, licence: CC0-1.0, attribution: me}")
    for command in (
        [
            "snakemake",
            "--cores",
            "1",
            "--show-failed-logs",
            "--verbose",
            "results/mini/corpora.csv",
        ],
        ["python", "scripts/fetch_source.py", "--name", "x", "--settings", "{}", "--output", "x/y"],
    ):
        done = edited.shell(*command, check=False)
        assert done.returncode != 0
        assert token not in done.stdout
    logs = [path for path in edited.path.rglob("*.log") if path.is_file()]
    assert logs
    assert not [path for path in logs if token in path.read_text(encoding="utf-8")]
