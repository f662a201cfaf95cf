"""The real files of the mirror; they are 110 MB, so there is nothing to check without it.

``JADAPT_MIRROR=DIRECTORY pytest tests/unit/corpora/test_mirror.py``
"""

import hashlib
import os
import random
import re
from pathlib import Path

import pytest

from jadapt.config.yaml_files import read_yaml
from jadapt.corpora.building import build
from jadapt.corpora.documents import Member, Reading
from jadapt.corpora.fetching import fetch
from jadapt.corpora.formats import EXTRACTORS
from jadapt.corpora.purity import WIDTH, overlap
from jadapt.corpora.splits import SPLITS, leaks
from jadapt.corpora.urls import pinned_files

ROOT = Path(__file__).resolve().parents[3]
CORPORA = read_yaml(ROOT / "config/corpora.yaml")
MIRROR = Path(os.environ.get("JADAPT_MIRROR", "."))

pytestmark = pytest.mark.skipif(
    not (MIRROR / "github").is_dir(), reason="needs the files of the mirror (JADAPT_MIRROR)"
)


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)  # pin files are named from there


@pytest.mark.parametrize(
    ("name", "markup"),
    [
        ("aozora_more", r"［＃|《|｜"),
        ("standard_ebooks", r"</|&\w+;"),
        ("boolq", r"Passage: |``"),
        ("wikitext2", r"<unk>|@[-,.]@| ,"),
        ("jsquad", r"\[SEP\]|&\w+;"),
    ],
)
def test_a_pinned_source_is_read_without_loss(name, markup):
    entry = CORPORA["sources"][name]
    pins = sorted(pinned_files(name, entry), key=lambda pin: pin["path"])
    # Of many files some: reading all 92 MB of Aozora Bunko takes half a minute.
    pins = random.Random(0).sample(pins, min(len(pins), 60))
    members = []
    for pin in pins:
        data = (MIRROR / pin["path"]).read_bytes()
        assert len(data) == int(pin["bytes"])
        assert hashlib.sha256(data).hexdigest() == pin["sha256"]
        members.append(Member(pin["path"], data))
    reading = Reading(name, "ja" if name in ("aozora_more", "jsquad") else "en")
    documents = list(EXTRACTORS[entry["extract"]["format"]](members, entry["extract"], reading))
    assert reading.broken == []
    left_out = sum(reading.counts.values()) - reading.counts["unnamed_characters"]
    assert len(documents) + left_out == reading.records
    text = "\n".join(getattr(document, reading.language) for document in documents)
    assert len(text) > sum(map(len, (member.data for member in members))) / 11
    assert not re.search(markup, text)


def texts(name, language, count):
    """The documents of some files of a source."""
    entry = CORPORA["sources"][name]
    pins = pinned_files(name, entry)
    members = [
        Member(pin["path"], (MIRROR / pin["path"]).read_bytes())
        for pin in random.Random(1).sample(pins, min(len(pins), count))
    ]
    kind, reading = entry["extract"]["format"], Reading(name, language)
    return [
        getattr(each, language) for each in EXTRACTORS[kind](members, entry["extract"], reading)
    ]


@pytest.mark.parametrize(
    ("domain", "used"),
    [
        ("wikipedia_en", "standard_ebooks"),
        ("wikipedia_ja", "aozora"),
        ("wikipedia_ja", "aozora_more"),
    ],
)
def test_neutral_text_is_not_in_what_is_remembered_or_trained_on(domain, used):
    language = CORPORA["domains"][domain]["language"]
    # Sentences of a few words, which cleaning drops, are everybody's.
    shortest = CORPORA["cleaning"]["min_characters"][language]
    measured = [
        text
        for name in CORPORA["domains"][domain]["sources"]
        for text in texts(name, language, 9)
        if len(text) >= shortest
    ]
    # Of the books some; the rule `purity` compares all that a study uses.
    found = overlap(measured, texts(used, language, 100), WIDTH[language])
    assert found.documents > 2000
    assert (found.shared, found.overlapping) == (0, 0)
    # The same measure finds a passage that is there.
    planted = overlap(measured, [f"{measured[5]} and more"], WIDTH[language])
    assert planted.overlapping >= 1


@pytest.mark.parametrize(
    ("domain", "characters"), [("wikipedia_en", 2_100_000), ("wikipedia_ja", 400_000)]
)
def test_neutral_text_is_built(domain, characters, tmp_path):
    entry, fetched = CORPORA["domains"][domain], {}
    for name in entry["sources"]:
        fetched[name] = tmp_path / name / "fetched.json"
        fetch(name, CORPORA["sources"][name], fetched[name], MIRROR, optional=False)
    settings = {
        "domain": {"language": entry["language"], "sources": entry["sources"]},
        "sources": {name: CORPORA["sources"][name] for name in entry["sources"]},
        "cleaning": CORPORA["cleaning"],
        "splits": entry["splits"],
    }
    manifest = build(domain, settings, fetched, tmp_path / "corpus")
    assert manifest["total"]["characters"] > characters
    share = manifest["splits"]["test"]["characters"] / manifest["total"]["characters"]
    assert 0.55 < share < 0.8
    assert all(manifest["splits"][split]["documents"] for split in SPLITS)
    assert leaks({domain: tmp_path / "corpus"}) == []
