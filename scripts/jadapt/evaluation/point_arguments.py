"""Arguments of the scripts that train a run at several points: a grid of rates, or a front."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.core.files import named_path


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what every such script is told; it adds what it writes besides."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--study", required=True)
    made.add_argument("--settings", required=True, help="rates, seeds and variants to train")
    made.add_argument("--model", type=Path, required=True, help="checkpoint to start from")
    made.add_argument("--tokenizer", type=Path, required=True)
    made.add_argument("--tokens", type=named_path, nargs="+", required=True, metavar="DOMAIN=DIR")
    made.add_argument("--checkpoints", type=Path, required=True, help="kept between attempts")
    made.add_argument("--table", type=Path, required=True, help="CSV of every point")
    return made
