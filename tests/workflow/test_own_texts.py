"""Texts of one's own: any path, followed by content, and one line where they cannot be read."""

import json
import os

import pytest

from jadapt.core.files import sha256_file
from test_names_and_locks import LINES, documents
from test_rules import add_domain

TARGET = "results/mini/corpora/mine/manifest.json"


def own(clone, path):
    source = {"kind": "local", "path": path, "licence": "CC0-1.0", "attribution": "me"}
    add_domain(clone, "mine", json.dumps(source, ensure_ascii=False))


def make(clone, *options, check=True):
    return clone.shell("snakemake", "--cores", "2", *options, TARGET, check=check)


@pytest.mark.parametrize(
    "path",
    [
        "{x}/mine.txt",
        "{{x}}.txt",
        "{.txt",
        "}{.txt",
        "日本語/「表」 と {source}.txt",
        'it\'s "x".txt',
    ],
)
def test_a_path_may_hold_braces_quotes_spaces_and_japanese(edited, path):
    (edited.path / path).parent.mkdir(exist_ok=True)
    (edited.path / path).write_text("\n".join(LINES), encoding="utf-8")
    own(edited, path)
    make(edited)
    assert sorted(documents(edited, "mine")) == sorted(LINES)
    assert "Nothing to be done" in make(edited).stdout


def test_content_decides_whatever_the_date(edited):
    path = edited.path / "mine.txt"
    path.write_text("\n".join(LINES), encoding="utf-8")
    own(edited, "mine.txt")
    make(edited)
    # Touched, or found through a mirror that is named or forgotten: nothing is stale.
    os.utime(path)
    edited.environment["JADAPT_MIRROR"] = str(edited.path)
    assert "Nothing to be done" in make(edited).stdout
    edited.environment["JADAPT_MIRROR"] = ""
    assert "Nothing to be done" in make(edited).stdout
    # Another text with an older date, as one that was copied with its date has.
    other = edited.path / "other.txt"
    other.write_text("\n".join(LINES[:150]), encoding="utf-8")
    os.utime(other, (10**9, 10**9))
    other.replace(path)
    make(edited)
    assert sorted(documents(edited, "mine")) == sorted(LINES[:150])


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "a folder"),
        (os.mkfifo, "no plain file"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    ],
    ids=["missing", "folder", "pipe", "loop"],
)
def test_a_text_that_cannot_be_read_is_one_line_before_anything_runs(edited, prepare, reason):
    prepare(edited.path / "mine.txt")
    own(edited, "mine.txt")
    done = make(edited, check=False)
    assert done.returncode == 1
    (line,) = [text for text in done.stdout.splitlines() if text.startswith("error: ")]
    assert line.startswith(f"error: source mine: mine.txt: {reason}")
    assert "Traceback" not in done.stdout
    # What does not read it is made all the same.
    edited.shell("snakemake", "-n", "resources/downloads/django/fetched.json")


def test_a_mirror_that_is_named_forgotten_or_another_makes_nothing_stale(edited):
    pinned = "github/owner/repository/0123456789abcdef0123456789abcdef01234567/text.txt"
    text = edited.path / "mirror {x} 鏡" / pinned
    text.parent.mkdir(parents=True)
    text.write_text("text\n", encoding="utf-8")
    pin = {"path": pinned, "bytes": 5, "sha256": sha256_file(text)}
    source = {
        "kind": "url", "licence": "CC0-1.0", "attribution": "me", "homepage": "https://example.org",
        "files": [pin], "extract": {"format": "aozora", "members": ["github/**"]},
    }  # fmt: skip
    add_domain(edited, "pinned", json.dumps(source))
    fetch = ["snakemake", "--cores", "1", "resources/downloads/pinned/fetched.json"]
    # Named in the study, it reaches the job by its environment.
    study = edited.path / "config/config.yaml"
    before = study.read_text(encoding="utf-8")
    assert before.count("mirror: null") == 1
    named = before.replace("mirror: null", "mirror: 'mirror {x} 鏡'")
    study.write_text(named, encoding="utf-8")
    edited.shell(*fetch)
    copy = edited.path / "resources/downloads/pinned" / pinned
    assert copy.read_text(encoding="utf-8") == "text\n"
    study.write_text(before, encoding="utf-8")
    assert "Nothing to be done" in edited.shell(*fetch).stdout
    edited.environment["JADAPT_MIRROR"] = str(edited.path)
    assert "Nothing to be done" in edited.shell(*fetch).stdout
