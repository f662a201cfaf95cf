"""Measure every segmenter of a study against the reference words of the test split."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from jadapt.core.errors import run
from jadapt.core.tables import SEGMENTATION
from jadapt.segmentation import load, reference
from jadapt.segmentation.base import BILSTM_CRF, Segmenter
from jadapt.segmentation.scoring import score, words_of


def main() -> int:
    """Write the table, and print the F1 of each segmenter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--reference", required=True, help="folder of prepare_segmentation.py")
    parser.add_argument("--dictionaries", nargs="*", default=[], help="MeCab's, to be measured")
    parser.add_argument(
        "--models", nargs="*", default=[], type=Path, metavar="FOLDER", help="seed{N} of each model"
    )
    parser.add_argument("--output", required=True, type=Path, help="segmentation.csv")
    arguments = parser.parse_args()
    meta = reference.describe(arguments.reference)
    texts = reference.read(arguments.reference, "test")
    seen = words_of(reference.read(arguments.reference, "train"))
    prefix = "" if meta["gold"] else "agreement_"
    shared = {
        "study": arguments.study,
        "reference": meta["name"],
        "gold": str(meta["gold"]).lower(),
    }
    rows = []
    for seed, segmenter in segmenters(arguments, meta):
        measured = score(segmenter, texts, seen)
        who = {"segmenter": segmenter.name, "seed": seed}
        for row in measured.rows():
            rows.append(shared | who | row | {"metric": prefix + row["metric"]})
        print(f"{segmenter.name}: F1 {measured.f1():.4f}", file=sys.stderr)
    SEGMENTATION.write(arguments.output, rows)
    return 0


def segmenters(arguments: argparse.Namespace, meta: dict) -> Iterator[tuple[int, Segmenter]]:
    """Yield every segmenter with its seed, 0 for those that have none.

    The one that made the reference is left out: it agrees with itself.
    """
    for name in arguments.dictionaries:
        if name != meta["segmenter"]:
            yield 0, load(name)
    for folder in arguments.models:
        yield int(folder.name.removeprefix("seed")), load(BILSTM_CRF, folder)


if __name__ == "__main__":
    run(main)
