"""Train a tokenizer on a generated corpus, encode it, and measure the memory of both.

Memory is the resident set summed over the whole process tree, which counts shared pages once per
process: an upper bound. Exits with status 1 above the limit.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
SEED = 20240
SAMPLING_SECONDS = 0.05
MEBIBYTE = 1 << 20
SETTINGS = {"vocabulary_size": 4000, "model_type": "unigram", "maximum_sentences": 20_000}
NOUNS = {
    "ja": ["猫", "学校", "東京", "コーヒー", "天気", "データ", "言語", "電車", "友達", "図書館"],
    "en": ["cat", "school", "city", "coffee", "weather", "data", "language", "train", "friend"],
}
SENTENCES = {
    "ja": ["{0}は{1}が好きです。", "昨日、{0}で{1}を見ました。", "{0}と{1}の違いは何ですか？"],
    "en": ["The {0} likes the {1}. ", "I saw a {1} near the {0}. ", "Is {0} like {1}? "],
}
SYLLABLES = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろ"


def documents(language: str, generator: random.Random) -> Iterator[str]:
    """Yield documents of 1 to 12 sentences; some words and numbers are new each time."""
    letters = SYLLABLES if language == "ja" else "abcdefghijklmnopqrstuvwxyz"
    while True:
        sentences = []
        for _ in range(generator.randint(1, 12)):
            name = "".join(generator.choices(letters, k=generator.randint(2, 5)))
            words = [generator.choice(NOUNS[language]), generator.choice([name, str(SEED), name])]
            generator.shuffle(words)
            sentences.append(generator.choice(SENTENCES[language]).format(*words))
        yield "".join(sentences)


def write_corpus(path: Path, language: str, size: int) -> None:
    """Write a corpus file of at least ``size`` bytes."""
    written = 0
    texts = documents(language, random.Random(SEED))
    with open(path, "wb") as stream:
        while written < size:
            record = {"id": str(written), language: next(texts), "source": "generated"}
            written += stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")


def tree_memory(process: psutil.Process) -> int:
    """Return the resident bytes of a process and all below it."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def measure(script: str, *arguments: object) -> tuple[float, int]:
    """Run a script of the workflow; return its seconds and its peak memory in bytes."""
    command = [sys.executable, SCRIPTS / script, *arguments]
    begin, peak = time.perf_counter(), 0
    with psutil.Popen([str(part) for part in command]) as process:
        while process.poll() is None:
            try:
                peak = max(peak, tree_memory(process))
            except psutil.NoSuchProcess:
                break
            time.sleep(SAMPLING_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, script)
    return time.perf_counter() - begin, peak


def main() -> int:
    """Print one table; return 1 when a stage needs more memory than the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the corpus (10^6)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--language", choices=("ja", "en"), default="ja")
    parser.add_argument("--limit", type=int, default=1024, help="memory limit in MiB")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="bench_encoding_") as name:
        corpus, tokenizer = Path(name, "train.jsonl"), Path(name, "tokenizer")
        write_corpus(corpus, arguments.language, arguments.megabytes * 10**6)
        megabytes = corpus.stat().st_size / 10**6
        stages = {
            "train tokenizer": measure(
                "train_tokenizer.py",
                *("--settings", json.dumps(SETTINGS)),
                *("--corpus", f"{arguments.language}={corpus}"),
                *("--output", tokenizer),
            ),
            f"encode, {arguments.workers} workers": measure(
                "encode.py",
                *("--tokenizer", tokenizer),
                *("--corpus", corpus),
                *("--language", arguments.language),
                *("--output", Path(name, "tokens")),
                *("--workers", arguments.workers),
            ),
        }
    print("| stage | MB | seconds | MB/s | peak MiB | limit MiB | verdict |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for stage, (seconds, peak) in stages.items():
        # Training reads only as much as it samples: its rate over the whole file says nothing.
        rate = f"{megabytes / seconds:.1f}" if stage.startswith("encode") else "–"
        verdict = "within" if peak <= arguments.limit * MEBIBYTE else "above"
        print(
            f"| {stage} | {megabytes:.0f} | {seconds:.1f} | {rate} "
            f"| {peak / MEBIBYTE:.0f} | {arguments.limit} | {verdict} |"
        )
    return int(any(peak > arguments.limit * MEBIBYTE for _, peak in stages.values()))


if __name__ == "__main__":
    sys.exit(main())
