"""The manifest of a corpus: where it comes from, what cleaning did, what is in it."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Mapping

from jadapt.corpora.documents import Reading
from jadapt.corpora.scripts import NAMES, script_counts
from jadapt.corpora.splits import SPLITS

BROKEN_SHOWN = 20


class Tally:
    """The lines of one split and its counts by source."""

    def __init__(self, language: str):
        self.language = language
        self.lines: list[str] = []
        self.counts: dict[str, Counter] = {}

    def add(self, record: dict) -> None:
        """Take a document in; the counts are of its text in the domain's language."""
        text = record[self.language]
        self.lines.append(json.dumps(record, ensure_ascii=False))
        counts = self.counts.setdefault(record["source"], Counter())
        counts.update(script_counts(text))
        counts.update(
            documents=1,
            pairs=int("ja" in record and "en" in record),
            characters=len(text),
            bytes=len(text.encode()),
        )


def _sizes(counts: Counter) -> dict[str, int]:
    return {name: counts[name] for name in ("documents", "pairs", "characters", "bytes")}


def _source(entry: dict, fetched: dict) -> dict:
    fields = ("kind", "licence", "attribution", "homepage", "package", "version", "pins")
    described = {field: entry[field] for field in fields if field in entry}
    files = [{key: file[key] for key in ("file", "bytes", "sha256")} for file in fetched["files"]]
    return described | {"files": files}


def _frame(domain: str, settings: dict, available: bool) -> dict:
    passages = {
        key: value for key, value in settings["domain"].items() if key == "passage_characters"
    }
    return {
        "domain": domain,
        "language": settings["domain"]["language"],
        "available": available,
        "policy": settings["cleaning"]
        | passages
        | {
            "unicode": unicodedata.unidata_version,
            "control_characters": "Cc to space, Cf removed",
            "white_space": "runs to one space, line breaks between Japanese characters removed",
            "spacing_marks": "composed with the kana before them, else kept",
            "reserved": "U+2581 to _",
            "max_documents": settings["domain"].get("max_documents"),
            "splits": settings["splits"],
            "split_by": "sha256 of the English string, else of the work or the text",
            "seed": settings.get("seed", 0),
        },
    }


def unavailable_manifest(
    domain: str, settings: dict, fetched: Mapping[str, dict], reasons: list[str]
) -> dict:
    """Return the manifest of an optional domain whose sources cannot be reached."""
    sources = {
        name: _source(settings["sources"][name], record)
        | _sizes(Counter())
        | {f"{split}_documents": 0 for split in SPLITS}
        | {"characters_by_script": dict.fromkeys(NAMES, 0)}
        for name, record in fetched.items()
    }
    return _frame(domain, settings, False) | {
        "reason": reasons[0],
        "sources": sources,
        "cleaning": [],
        "splits": {split: _sizes(Counter()) for split in SPLITS},
        "total": _sizes(Counter()),
        "characters_by_script": dict.fromkeys(NAMES, 0),
    }


def build_manifest(
    domain: str,
    settings: dict,
    fetched: Mapping[str, dict],
    readings: Mapping[str, Reading],
    cleaning: list[dict],
    tallies: Mapping[str, Tally],
) -> dict:
    """Return the manifest; all counts of text are of the domain's language."""
    sources = {}
    for name, reading in readings.items():
        per_split = {split: tallies[split].counts.get(name, Counter()) for split in SPLITS}
        total = sum(per_split.values(), Counter())
        sources[name] = (
            _source(settings["sources"][name], fetched[name])
            | {"records": reading.records, "left_out": dict(sorted(reading.counts.items()))}
            | {"broken": _broken(reading)}
            | _sizes(total)
            | {f"{split}_documents": per_split[split]["documents"] for split in SPLITS}
            | {"characters_by_script": {script: total[script] for script in NAMES}}
        )
    splits = {split: sum(tallies[split].counts.values(), Counter()) for split in SPLITS}
    total = sum(splits.values(), Counter())
    return _frame(domain, settings, True) | {
        "sources": sources,
        "cleaning": cleaning,
        "splits": {split: _sizes(counts) for split, counts in splits.items()},
        "total": _sizes(total),
        "characters_by_script": {script: total[script] for script in NAMES},
    }


def _broken(reading: Reading) -> dict:
    shown = [
        {"file": file, "line": line, "reason": reason}
        for file, line, reason in reading.broken[:BROKEN_SHOWN]
    ]
    return {"count": len(reading.broken), "share": round(reading.broken_share, 6), "first": shown}
