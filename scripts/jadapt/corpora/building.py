"""Build the corpus of one domain: read its sources, clean, divide, and write with a manifest."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from jadapt.core.errors import UserError, nearest
from jadapt.core.files import atomic
from jadapt.corpora.archives import matches, read_archive
from jadapt.corpora.cleaning import Ledger, filter_documents, normalise
from jadapt.corpora.documents import Document, Member, Reading
from jadapt.corpora.duplicates import drop_exact, drop_near
from jadapt.corpora.formats import EXTRACTORS
from jadapt.corpora.manifest import Tally, build_manifest, unavailable_manifest
from jadapt.corpora.passages import passages, units
from jadapt.corpora.splits import SPLITS, Placement, placement, split_of
from jadapt.corpora.verification import read_fetched

ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip", ".whl")
LOCAL_FORMATS = {".jsonl": "jsonl", ".txt": "txt"}


def build(domain: str, settings: dict, fetched_paths: Mapping[str, Path], output: Path) -> dict:
    """Build the corpus of ``domain`` in the directory ``output``; return its manifest.

    The three split files and the manifest appear together or not at all.

    Args:
        domain: name of the domain.
        settings: ``domain``, ``sources``, ``cleaning``, ``splits`` and, if wanted, ``seed``.
        fetched_paths: ``fetched.json`` by the name of the source.
        output: directory for the four files.

    Raises:
        UserError: a source is not available in a domain that needs it, has changed since it was
            fetched or is broken; or nothing is left after cleaning.
    """
    language = settings["domain"]["language"]
    names = settings["domain"]["sources"]
    fetched = {name: read_fetched(_path(domain, name, fetched_paths)) for name in names}
    absent = [record["reason"] for record in fetched.values() if not record["available"]]
    if absent:
        if not settings["domain"].get("optional", False):
            raise UserError(f"domain {domain}: {absent[0]}")
        manifest = unavailable_manifest(domain, settings, fetched, absent)
        _write(output, {}, manifest)
        print(f"domain {domain}: not available, left out", file=sys.stderr)
        return manifest
    limit = settings["cleaning"]["max_broken_share"]
    documents: list[Document] = []
    readings = {name: Reading(name, language) for name in names}
    for name, reading in readings.items():
        by_unit = "passage_characters" in settings["domain"]
        documents += _read(settings["sources"][name], fetched[name], reading, by_unit)
        _report(reading)
        reading.check(limit)
    kept, ledger = _cleaned(domain, documents, settings)
    if not kept:
        raise UserError(f"domain {domain}: nothing is left after cleaning ({_losses(ledger)})")
    tallies = _divided(domain, kept, settings)
    manifest = build_manifest(domain, settings, fetched, readings, ledger.steps, tallies)
    _write(output, tallies, manifest)
    return manifest


def _path(domain: str, name: str, paths: Mapping[str, Path]) -> Path:
    if name not in paths:
        raise UserError(f"domain {domain}: --fetched {name}=PATH is missing")
    return paths[name]


def _read(entry: dict, fetched: dict, reading: Reading, by_unit: bool) -> list[Document]:
    """Return the documents of one source in a fixed order.

    With ``by_unit``, documents without a key get the name of their work or page for one.
    """
    extract = entry.get("extract", {})
    members: list[Member] = []
    for file in fetched["files"]:
        path = file["path"]
        if entry["kind"] == "local":
            members.append(Member(file["file"], path.read_bytes()))
        elif path.name.endswith(ARCHIVES):
            members += read_archive(path, extract["members"], extract.get("exclude", ()))
        elif matches(file["file"], extract["members"]):
            members.append(Member(file["file"], path.read_bytes()))
    if not members:
        raise UserError(
            f"source {reading.source}: no file matches {extract.get('members')}; correct "
            "'extract.members' in config/corpora.yaml"
        )
    kind = extract.get("format") or _local_format(reading.source, members[0].name)
    members.sort()
    if not by_unit:
        return list(EXTRACTORS[kind](members, extract, reading))
    documents = []
    for unit, files in units(kind, members, extract):
        for document in EXTRACTORS[kind](files, extract, reading):
            document.key = document.key or unit
            documents.append(document)
    return documents


def _local_format(name: str, path: str) -> str:
    suffix = Path(path).suffix
    if suffix not in LOCAL_FORMATS:
        hint = nearest(suffix, LOCAL_FORMATS)
        raise UserError(f"source {name}: {path}: the ending '{suffix}' is no known format{hint}")
    return LOCAL_FORMATS[suffix]


def _report(reading: Reading) -> None:
    if reading.broken:
        file, line, reason = reading.broken[0]
        print(
            f"source {reading.source}: {len(reading.broken)} of {reading.records} records broken, "
            f"the first at {file}:{line}: {reason}",
            file=sys.stderr,
        )


def _cleaned(domain: str, documents: list[Document], settings: dict) -> tuple[list, Ledger]:
    """Return the kept ``(placement, document)`` in the order of the files, and the ledger."""
    language, cleaning = settings["domain"]["language"], settings["cleaning"]
    ledger = Ledger(len(documents))
    normalise(documents, language, cleaning, ledger)
    if limit := settings["domain"].get("passage_characters"):
        documents = passages(documents, language, limit)
        ledger.note("passages", documents)
        cleaning = cleaning | {"max_characters": limit}
    documents = filter_documents(documents, language, cleaning, ledger)
    seed = settings.get("seed", 0)
    places: dict[int, Placement] = {id(each): placement(each, seed) for each in documents}
    # The order of the hash decides which of several duplicates stays, and whom a cap lets in:
    # neither depends on the order of the sources.
    documents.sort(key=lambda each: (places[id(each)].order, _content(each)))
    documents = drop_exact(documents, language)
    ledger.note("exact_duplicates", documents)
    cap = settings["domain"].get("max_documents")
    documents = documents[:cap]
    ledger.note("max_documents", documents)
    if cleaning["near_duplicates"]["enabled"]:
        documents = drop_near(documents, language, cleaning["near_duplicates"])
        ledger.note("near_duplicates", documents)
    return [(places[id(each)], each) for each in documents], ledger


def _content(document: Document) -> str:
    return f"{document.en or ''}\0{document.ja or ''}"


def _losses(ledger: Ledger) -> str:
    steps = [f"{step['step']} {step['removed']}" for step in ledger.steps if step["removed"]]
    return f"read {ledger.steps[0]['remaining']}; removed: {', '.join(steps) or 'none'}"


def _divided(domain: str, kept: list, settings: dict) -> dict[str, Tally]:
    """Return the content of each split file; an empty split is an error, for nothing can use it."""
    tallies = {split: Tally(settings["domain"]["language"]) for split in SPLITS}
    for place, document in kept:
        content = _content(document)
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        record = {"id": f"{document.source}-{digest}"}
        record |= {field: text for field in ("ja", "en") if (text := getattr(document, field))}
        record["source"] = document.source
        tallies[split_of(place.share, settings["splits"])].add(record)
    for split, tally in tallies.items():
        if not tally.lines:
            raise UserError(
                f"domain {domain}: none of its {len(kept)} documents fell into the split "
                f"'{split}'; add text, or change 'splits' in the configuration"
            )
    return tallies


def _write(output: Path, tallies: Mapping[str, Tally], manifest: dict) -> None:
    """Write the split files and the manifest; all are complete before the first gets its name."""
    with ExitStack() as stack:
        # Renamed in reverse order: the manifest, entered first, appears last.
        temporary = stack.enter_context(atomic(output / "manifest.json"))
        temporary.write_text(
            json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
        for split in SPLITS:
            temporary = stack.enter_context(atomic(output / f"{split}.jsonl"))
            lines = tallies[split].lines if split in tallies else []
            with open(temporary, "w", encoding="utf-8", newline="\n") as stream:
                stream.writelines(f"{line}\n" for line in lines)
