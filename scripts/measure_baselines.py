"""Write the table of trivial language models of the study's text, as the table of metrics is."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.core.errors import UserError, run
from jadapt.core.tables import BASELINES
from jadapt.evaluation.baselines import Domain, baseline_rows

NO_SEED = 0


def main() -> None:
    """Parse the command line, fit the models and write their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True)
    parser.add_argument("--corpora", type=Path, required=True, help="holds a folder a domain")
    parser.add_argument("--tokens", type=Path, required=True, help="holds a folder a domain")
    parser.add_argument(
        "--labels", type=_count, nargs="+", required=True, metavar="DOMAIN=COUNT",
        help="labels that a run is trained on, by task, in the order of the tasks",
    )  # fmt: skip
    parser.add_argument(
        "--known", type=_count, metavar="DOMAIN=COUNT",
        help="the domain that the base model is trained on, and how many labels of it",
    )  # fmt: skip
    parser.add_argument(
        "--reserved", type=_share, nargs="*", default=[], metavar="DOMAIN=SHARE",
        help="shares of the training documents that only pre-training draws",
    )  # fmt: skip
    parser.add_argument("--domains", nargs="+", required=True, help="whose test text is scored")
    parser.add_argument(
        "--maximum-tokens", type=int, help="test tokens of a domain; all by default"
    )
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    trained = [dict(arguments.labels)]
    if arguments.known:
        trained.insert(0, dict([arguments.known]))
    domains = {
        name: Domain(arguments.corpora / name, arguments.tokens / name)
        for name in {*arguments.domains, *(name for labels in trained for name in labels)}
    }
    rows = [
        row
        for labels in trained
        for row in baseline_rows(
            domains,
            labels,
            arguments.domains,
            arguments.maximum_tokens,
            dict(arguments.reserved),
        )
    ]
    BASELINES.write(
        arguments.output,
        ((arguments.study, row.method, NO_SEED, *row[1:]) for row in rows),
    )


def _count(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not (name and count.isdecimal() and int(count)):
        raise UserError(f"--labels {text}: expected DOMAIN=COUNT, a count of at least 1")
    return name, int(count)


def _share(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    return name, float(share)


if __name__ == "__main__":
    run(main)
