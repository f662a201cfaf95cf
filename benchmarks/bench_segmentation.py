"""Speed of the segmenters on text of a study: MeCab beside its own binary, and the BiLSTM-CRF.

All are measured in turn within one run, and the medians are printed. MeCab's binary is that of the
system (Debian: apt-get install mecab), with the same dictionary, options and text; it is printed as
it is, and with its words read into Python, which is the work compared and what the limit is about.
The analysis alone is MeCab called from Python for each text with nothing done to what it returns:
the rest of the time goes into the words, as strings, and the spaces that MeCab dropped.
A line of many megabytes is segmented as well, and must come back whole. Exits with status 1 below a
limit.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import torch

from jadapt.core.errors import UserError, run
from jadapt.segmentation import Segmenter, load
from jadapt.segmentation.base import DICTIONARIES
from jadapt.segmentation.mecab import tagger

SLOWER_THAN_BINARY = 0.10
CHARACTERS_PER_SECOND = 20_000


def lines(results: Path, characters: int) -> list[str]:
    """Return lines of the study's Japanese training text, of each domain about as much."""
    files = sorted(results.glob("corpora/*/train.jsonl"))
    found: list[str] = []
    for path in files:
        size = 0
        with open(path, encoding="utf-8") as stream:
            for record in stream:
                text = json.loads(record).get("ja") or ""
                found += filter(str.strip, text.splitlines())
                size += len(text)
                if size * len(files) >= characters:
                    break
    if not found:
        raise UserError(f"{results}: no Japanese text in corpora/; run `make paper` first")
    return found


def binary(dictionary: str, path: Path, output: Path) -> Callable[[], None]:
    """Return a call of MeCab's own program on a file."""
    program = shutil.which("mecab")
    if program is None:
        raise UserError("mecab is not installed: apt-get install mecab")
    folder = importlib.import_module(dictionary).DICDIR
    options = ["-r", "/dev/null", "-d", folder, "-O", "wakati", "-b", "1000000", "-o", str(output)]
    return lambda: subprocess.run([program, *options, str(path)], check=True)


@dataclass(frozen=True)
class Taken:
    """Median seconds of a call: on the clock, and of the processor, its child's included."""

    clock: float
    processor: float


def processor_seconds() -> float:
    """Return the seconds of processor time of this process and of the children that ended."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def with_words(call: Callable[[], object], output: Path) -> Callable[[], list[list[str]]]:
    """Return a call that reads the words that ``call`` wrote, each line a list."""

    def read() -> list[list[str]]:
        call()
        return [line.split(" ") for line in output.read_text(encoding="utf-8").split("\n")]

    return read


def analysis(dictionary: str, texts: list[str]) -> Callable[[], None]:
    """Return a call that has MeCab analyse each text."""
    parse = tagger(dictionary).parse

    def call() -> None:
        for text in texts:
            parse(text)

    return call


def measure(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, Taken]:
    """Measure each call so many times; one round of all comes after another."""
    clock: dict[str, list[float]] = {name: [] for name in runs}
    processor: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, call in runs.items():
            begin, used = time.perf_counter(), processor_seconds()
            call()
            clock[name].append(time.perf_counter() - begin)
            processor[name].append(processor_seconds() - used)
    median = statistics.median
    return {name: Taken(median(clock[name]), median(processor[name])) for name in runs}


def with_threads(count: int, segmenter: Segmenter, texts: list[str]) -> Callable[[], object]:
    """Return a call that segments with so many threads."""

    def call() -> None:
        torch.set_num_threads(count)
        segmenter.segment(texts)

    return call


def compared(arguments: argparse.Namespace, texts: list[str], model: Segmenter) -> Iterator[str]:
    """Print the table of speeds; yield what is below a limit."""
    with tempfile.TemporaryDirectory(prefix="bench_segmentation_") as name:
        path = Path(name, "text")
        path.write_text("\n".join(texts) + "\n", encoding="utf-8")
        few = texts[::10]
        runs: dict[str, Callable[[], object]] = {}
        for dictionary in DICTIONARIES:
            segmenter = load(dictionary)
            program = binary(dictionary, path, Path(name, "out"))
            runs[f"{dictionary}, binary"] = program
            runs[f"{dictionary}, binary and words"] = with_words(program, Path(name, "out"))
            runs[f"{dictionary}, analysis alone"] = analysis(dictionary, texts)
            runs[f"{dictionary}, here"] = lambda each=segmenter: each.segment(texts)
        for threads in (1, arguments.threads):
            runs[f"bilstm_crf, {threads} threads"] = with_threads(threads, model, few)
        taken = measure(runs, arguments.repeats)
    print("| segmenter | characters | seconds | processor s | characters/s | binary | with words |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, value in taken.items():
        size = sum(map(len, few if name.startswith("bilstm") else texts))
        dictionary, _, where = name.partition(", ")
        ratios, told = [], "– | –"
        if where in ("here", "analysis alone"):
            # Processor time: a neighbour on the machine does not count.
            others = (taken[f"{dictionary}, {kind}"] for kind in ("binary", "binary and words"))
            ratios = [value.processor / other.processor for other in others]
            told = " | ".join(f"{ratio:.2f} x" for ratio in ratios)
        speed = f"{size / value.clock:,.0f}"
        print(
            f"| {name} | {size:,} | {value.clock:.2f} | {value.processor:.2f} | {speed} | {told} |"
        )
        if where == "here" and ratios[-1] > 1 + SLOWER_THAN_BINARY:
            yield f"{dictionary}: {ratios[-1]:.2f} times the binary's processor time"
    size = sum(map(len, few))
    fastest = max(size / taken[name].clock for name in taken if name.startswith("bilstm"))
    if fastest < CHARACTERS_PER_SECOND:
        yield f"bilstm_crf: {fastest:,.0f} characters/s"


def long_line(segmenters: list[Segmenter], texts: list[str], megabytes: int) -> Iterator[str]:
    """Print what one long line takes; yield who does not give it back."""
    size, parts = 0, []
    for text in cycle(texts):
        parts.append(text)
        size += len(text.encode("utf-8"))
        if size >= megabytes * 10**6:
            break
    line = "".join(parts)
    print(f"\n| one line of {megabytes} MB | seconds | peak MiB so far | whole |")
    print("| --- | --- | --- | --- |")
    for segmenter in segmenters:
        begin = time.perf_counter()
        (words,) = segmenter.segment([line])
        taken = time.perf_counter() - begin
        whole = "".join(words) == line
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {segmenter.name} | {taken:.1f} | {peak:.0f} | {'yes' if whole else 'no'} |")
        if not whole:
            yield f"{segmenter.name}: the long line did not come back"


def main() -> int:
    """Print both tables; return 1 when something is below its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="results/{study}")
    parser.add_argument("--characters", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2, help="of the BiLSTM-CRF, beside one")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=10, help="size of the long line (10^6)")
    arguments = parser.parse_args()
    models = sorted(arguments.results.glob("segmentation/bilstm_crf/seed*"))
    if not models:
        raise UserError(f"{arguments.results}: no segmenter; run `make table NAME=segmentation`")
    model = load("bilstm_crf", models[0])
    texts = lines(arguments.results, arguments.characters)
    short = list(compared(arguments, texts, model))
    torch.set_num_threads(1)
    short += long_line([*map(load, DICTIONARIES), model], texts, arguments.megabytes)
    for complaint in short:
        print(f"below its limit: {complaint}", file=sys.stderr)
    return int(bool(short))


if __name__ == "__main__":
    run(main)
