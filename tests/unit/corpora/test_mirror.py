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


@pytest.mark.parametrize("name", ["aozora_more", "standard_ebooks", "boolq", "wikitext2", "jsquad"])
def test_a_pinned_source_is_read_without_loss(name):
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
    assert len(text) > sum(map(len, (member.data for member in members))) / 9
    assert not re.search(r"<unk>|@[-,.]@|\[SEP\]|</|&\w+;|［＃|《|Question: ", text)


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
