"""The words that segmenters learn from and are measured against.

Gold segmentation where it can be reached; otherwise what MeCab makes of the study's own text, and
then a score is an agreement with MeCab and says nothing of how right either is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jadapt.core.errors import UserError
from jadapt.core.files import read_json, read_jsonl, write_json, write_jsonl
from jadapt.corpora.verification import read_fetched
from jadapt.segmentation import gold
from jadapt.segmentation.loading import load
from jadapt.tokenization.tokenizers import document_text

SPLITS = ("train", "validation", "test")
META = "reference.json"


def prepare(
    settings: dict, fetched: Mapping[str, Path], corpora: Sequence[Path], output: Path
) -> dict:
    """Write ``{split}.jsonl`` (lines with ``words``) and ``reference.json`` into ``output``.

    Args:
        settings: ``gold`` (an entry of the catalogue, or null) and ``fallback`` (of the study).
        fetched: ``fetched.json`` of every source of the gold segmentation.
        corpora: folders of the study's domains, for the case that gold is out of reach.
        output: the folder.

    Returns:
        The description: ``name``, ``gold`` (whether it is), ``reason`` (why not), ``segmenter``
        (which one made it, or null) and ``splits`` with their numbers of texts, words and
        characters.

    Raises:
        UserError: a file of the gold segmentation or of the corpora is broken.
    """
    entry = settings["gold"]
    records = {name: read_fetched(path) for name, path in fetched.items()}
    absent = [record["reason"] for record in records.values() if not record["available"]]
    reason = absent[0] if absent else None if entry else "the study names no gold segmentation"
    fallback = settings["fallback"]
    if reason is None:
        meta = {"name": entry["name"], "gold": True, "segmenter": None}
        splits = {split: _gold(entry["splits"][split], records) for split in SPLITS}
    else:
        print(
            f"no gold segmentation ({reason}); the segmenters are compared with "
            f"{fallback['dictionary']} on the study's own text, which shows agreement alone",
            file=sys.stderr,
        )
        meta = {"name": fallback["dictionary"], "gold": False, "segmenter": fallback["dictionary"]}
        splits = {split: _segmented(fallback, corpora, split) for split in SPLITS}
    (output / META).unlink(missing_ok=True)
    for split, texts in splits.items():
        write_jsonl(output / f"{split}.jsonl", ({"words": words} for words in texts))
    meta |= {"reason": reason, "splits": {split: _sizes(texts) for split, texts in splits.items()}}
    write_json(output / META, meta)
    return meta


def read(folder: str | Path, split: str) -> list[list[str]]:
    """Return the texts of a split, each the list of its words."""
    return [record["words"] for record in read_jsonl(Path(folder) / f"{split}.jsonl")]


def describe(folder: str | Path) -> dict:
    """Return what `prepare` returned."""
    return read_json(Path(folder) / META)


def _gold(split: dict, records: Mapping[str, dict]) -> list[list[str]]:
    source = split["source"]
    files = [file["path"] for file in records[source]["files"]]
    found = [file for file in files if file.name == split["file"]]
    if len(found) != 1:
        raise UserError(
            f"config/corpora.yaml: gold: source '{source}' has {len(found)} files named "
            f"'{split['file']}'"
        )
    return gold.read(found[0], split["format"])


def _segmented(fallback: dict, corpora: Sequence[Path], split: str) -> list[list[str]]:
    """Return MeCab's words of the first lines of every corpus, an equal share of each."""
    share = fallback["characters"][split] // len(corpora)
    lines = [line for folder in corpora for line in _lines(folder / f"{split}.jsonl", share)]
    return load(fallback["dictionary"]).segment(lines)


def _lines(path: Path, characters: int) -> Iterator[str]:
    """Yield lines of the documents of a file until so many characters are reached."""
    with open(path, "rb") as stream:
        for number, record in enumerate(stream, 1):
            try:
                text = document_text(record, "ja")
            except ValueError as error:
                raise UserError(f"{path}:{number}: {error}") from error
            for line in filter(None, text.splitlines()):
                if characters <= 0:
                    return
                yield line
                characters -= len(line)


def _sizes(texts: Sequence[Sequence[str]]) -> dict:
    return {
        "texts": len(texts),
        "words": sum(not word.isspace() for words in texts for word in words),
        "characters": sum(len(word) for words in texts for word in words),
    }
