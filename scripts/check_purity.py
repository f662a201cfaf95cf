"""Write how far text that measures overlaps with text that is trained on; fail above a limit."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from jadapt.core.errors import run
from jadapt.core.files import read_json, read_jsonl
from jadapt.core.tables import PURITY
from jadapt.corpora.purity import WIDTH, check, overlap
from jadapt.corpora.splits import SPLITS


def main() -> None:
    """Compare every measured domain with every used one of its language, and write the table.

    All splits of both are compared. Nothing is written where the limit is exceeded.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True)
    parser.add_argument("--corpora", type=Path, required=True, help="holds a folder a domain")
    parser.add_argument("--measured", nargs="*", required=True, help="domains nothing trains on")
    parser.add_argument("--used", nargs="+", required=True, help="domains of any other role")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    languages = {
        name: read_json(arguments.corpora / name / "manifest.json")["language"]
        for name in (*arguments.measured, *arguments.used)
    }
    rows = []
    for measured in arguments.measured:
        language = languages[measured]
        documents = list(_texts(arguments.corpora / measured, language))
        for used in arguments.used:
            if languages[used] == language:
                texts = _texts(arguments.corpora / used, language)
                found = overlap(documents, texts, WIDTH[language])
                check(measured, used, found)
                rows.append((arguments.study, measured, used, WIDTH[language], *found))
    PURITY.write(arguments.output, rows)


def _texts(corpus: Path, language: str) -> Iterator[str]:
    for split in SPLITS:
        for document in read_jsonl(corpus / f"{split}.jsonl"):
            yield document[language]


if __name__ == "__main__":
    run(main)
