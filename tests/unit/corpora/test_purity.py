"""Overlaps of text that measures with text that is trained on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jadapt.core.errors import UserError
from jadapt.corpora.purity import Overlap, check, comparable, overlap

SCRIPT = Path(__file__).resolve().parents[3] / "scripts/check_purity.py"
TEXTS = st.lists(st.text("abcA, 猫", max_size=14), max_size=5)


def slow(measured, trained, width):
    """The same by sets of strings."""
    texts = [comparable(text) for text in measured]
    others = [comparable(text) for text in trained]
    runs = {text[at : at + width] for text in others for at in range(len(text) - width + 1)}
    shared = overlapping = characters = 0
    for text in texts:
        covered = {
            place
            for at in range(len(text) - width + 1)
            if text[at : at + width] in runs
            for place in range(at, at + width)
        }
        whole = bool(text) and text in others
        count = len(text) if whole else len(covered)
        shared, overlapping, characters = (
            shared + whole,
            overlapping + (count > 0),
            characters + count,
        )
    total = sum(map(len, texts))
    return Overlap(len(texts), total, shared, overlapping, characters / max(total, 1))


@settings(deadline=None)
@given(TEXTS, TEXTS, st.integers(1, 9))
def test_overlaps_are_those_of_the_strings(measured, trained, width):
    assert overlap(measured, iter(trained), width) == slow(measured, trained, width)


def test_case_space_and_punctuation_do_not_hide_an_overlap():
    found = overlap(["It was the Best of times!"], ["(…) it was the best -- of\ntimes, it"], 19)
    assert found == Overlap(1, 19, 0, 1, 1.0)
    assert overlap(["It was the Best of times!"], ["it was the best of time"], 19).share == 0


def test_too_large_an_overlap_is_one_line():
    check("wiki", "news", Overlap(10, 1000, 0, 1, 0.01))
    with pytest.raises(UserError, match=r"domain wiki: 2\.00% .* 3 of 10 documents.* news.*1%"):
        check("wiki", "news", Overlap(10, 1000, 0, 3, 0.02))


def write(root, name, language, texts):
    (root / name).mkdir()
    (root / name / "manifest.json").write_text(json.dumps({"language": language}))
    for split, text in zip(("train", "validation", "test"), texts, strict=True):
        (root / name / f"{split}.jsonl").write_text(json.dumps({language: text}) + "\n")


def run(root):
    command = [
        sys.executable,
        SCRIPT,
        "--study",
        "s",
        "--corpora",
        root,
        "--output",
        root / "p.csv",
    ]
    names = ("--measured", "wiki", "--used", "books", "japanese")
    return subprocess.run([*command, *names], capture_output=True, text=True)


def test_every_pair_of_roles_and_every_split_is_compared(tmp_path):
    long = (
        "a quick brown fox jumps over the lazy dog and goes home to its den by the river bank again"
    )
    write(tmp_path, "wiki", "en", ["one", "two", "three " + long[::-1]])
    write(tmp_path, "books", "en", [long, "four", "five"])
    write(tmp_path, "japanese", "ja", ["猫", "犬", "鳥"])
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "study,measured,used,width,documents,characters,shared,overlapping,share",
        "s,wiki,books,64,3,82,0,0,0.0",
    ]
    (tmp_path / "p.csv").unlink()
    (tmp_path / "books/test.jsonl").write_text(json.dumps({"en": long[::-1]}) + "\n")
    done = run(tmp_path)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "domain wiki: 86" in line
    assert not (tmp_path / "p.csv").exists()
