"""Evaluate the models that one run left behind on every domain's test split."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from jadapt.errors import run
from jadapt.files import atomic, load_settings, named_path

COLUMNS = (
    "study", "method", "seed", "trained_through", "evaluated_on", "metric", "value", "unit", "n",
)  # fmt: skip


def main() -> None:
    """Parse the command line, evaluate, and write the run's part of the metrics table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True)
    parser.add_argument("--method", required=True, help="name of the run")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--settings", required=True)
    parser.add_argument("--base", type=Path, required=True, help="the base model's folder")
    parser.add_argument("--models", type=named_path, nargs="+", required=True, metavar="TASK=DIR")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--tokens", type=named_path, nargs="+", required=True, metavar="DOMAIN=DIR")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    settings = load_settings(arguments.settings)

    import torch

    from jadapt.data.evaluation_rows import evaluation_rows
    from jadapt.data.tokens import TokenFile
    from jadapt.evaluation.likelihood import evaluate
    from jadapt.models.loading import load
    from jadapt.text import tokenizers

    torch.set_num_threads(settings["threads"])
    torch.use_deterministic_algorithms(True)
    tokenizer = tokenizers.load(arguments.tokenizer)
    token_bytes = tokenizer.token_bytes()
    run_columns = (arguments.study, arguments.method, arguments.seed)
    rows = []
    for task, directory in arguments.models:
        model = load(directory, arguments.base)
        for domain, tokens in arguments.tokens:
            token_file = TokenFile(tokens)
            if not len(token_file):
                print(f"{domain}: not available, left out", file=sys.stderr)
                continue
            token_file.check_tokenizer(tokenizer.sha256)
            packed = evaluation_rows(
                token_file,
                settings["sequence_length"],
                maximum_tokens=settings["maximum_tokens"],
                start_id=tokenizer.start_id,
            )
            tally = evaluate(model, packed, token_bytes, settings["batch_size"])
            for metric, value, unit, n in tally.metrics():
                rows.append((*run_columns, task, domain, metric, repr(value), unit, n))
            print(f"{task} on {domain}: {tally.tokens} tokens", file=sys.stderr, flush=True)
    with (
        atomic(arguments.output) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)


if __name__ == "__main__":
    run(main)
