"""Time encoding here against SentencePiece's own batch, and print the study's tokenizers beside."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import sentencepiece

from jadapt.core.files import read_jsonl
from jadapt.tokenization.tokenizers import MODEL_NAME, load

# Share of the library's own speed that encoding must reach.
GOAL = 0.9
ROUNDS = 7
BATCH = 1024


def seconds(encode, batches: list[list[str]]) -> float:
    """Return the time that encoding all batches takes."""
    begin = time.perf_counter()
    for batch in batches:
        encode(batch)
    return time.perf_counter() - begin


def compare(directory: Path, texts: list[str]) -> bool:
    """Print both speeds on one core; tell whether the goal is reached."""
    tokenizer = load(directory)
    library = sentencepiece.SentencePieceProcessor(model_file=str(directory / MODEL_NAME))
    batches = [texts[first : first + BATCH] for first in range(0, len(texts), BATCH)]

    def plain(batch: list[str]) -> list[list[int]]:
        return library.encode(batch, out_type=int, num_threads=1)

    encoders = {"here": tokenizer.encode_batch, "SentencePiece": plain}
    best = dict.fromkeys(encoders, float("inf"))
    # In turn, so that a slower minute of the machine slows both.
    for _ in range(ROUNDS):
        for name, encode in encoders.items():
            best[name] = min(best[name], seconds(encode, batches))
    size = sum(len(text.encode()) for text in texts) / 1e6
    ratio = best["SentencePiece"] / best["here"]
    for name, found in best.items():
        print(f"{name:<16}{size / found:>8.1f} MB/s")
    verdict = "reached" if ratio >= GOAL else "missed"
    print(f"{'ratio':<16}{ratio:>8.2f}, goal {GOAL} {verdict}")
    return ratio >= GOAL


def print_study(table: Path) -> None:
    """Print the speeds of the tokenization study and of the same models in `tokenizers`."""
    speeds: dict[str, dict[str, float]] = {}
    with open(table, encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["metric"].endswith("encoding_speed"):
                speeds.setdefault(row["tokenizer"], {})[row["metric"]] = float(row["value"])
    print(f"{'tokenizer':<24}{'MB/s':>8}{'tokenizers library':>20}")
    for name, found in speeds.items():
        library = found.get("library_encoding_speed")
        other = f"{library:.1f}" if library else "–"
        print(f"{name:<24}{found['encoding_speed']:>8.1f}{other:>20}")


def main() -> int:
    """Return 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder of a finished study")
    parser.add_argument("--domain", default="cloud")
    arguments = parser.parse_args()
    corpus = arguments.results / "corpora" / arguments.domain / "train.jsonl"
    texts = [record["ja"] for record in read_jsonl(corpus)]
    reached = compare(arguments.results / "tokenizer", texts)
    table = arguments.results / "tokenizers.csv"
    if table.exists():
        print_study(table)
    return int(not reached)


if __name__ == "__main__":
    sys.exit(main())
