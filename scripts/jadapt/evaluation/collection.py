"""Gather the results of all runs of a study into the tables that everything else reads."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from jadapt.core.errors import UserError
from jadapt.core.files import read_json
from jadapt.core.tables import CURVES, EFFICIENCY, GRID, METRICS
from jadapt.evaluation.transfer import known_rows, transfer_rows

CURVE_METRICS = ("training_loss", "learning_rate", "gradient_norm")

# Two machines sum one model's losses in another order; two models differ by more than this share.
SAME_MODEL = 1e-3


def metrics_table(paths: list[Path], known: str) -> pd.DataFrame:
    """Concatenate the evaluations and add the rows that compare stages with each other.

    Those of the known language come first, then those of whole sequences
    (`jadapt.evaluation.transfer`); the order of the tasks is that in which the evaluations name
    them.
    """
    parts = [pd.read_csv(path, float_precision="round_trip") for path in paths]
    for path, part in zip(paths, parts, strict=True):
        METRICS.check(part.columns, path)
    table = pd.concat(parts)
    parts = [table, known_rows(table, known), transfer_rows(table, known)]
    # Empty parts would change the types of the columns.
    return pd.concat([part for part in parts if len(part)])


def grid_table(paths: list[Path]) -> pd.DataFrame:
    """Concatenate the learning-rate grids and ablations of the runs.

    Each file repeats the rows of the base model, of which the first copy is kept. Cells are read
    as text, so that no digit changes and a variant such as ``8`` does not become a number.
    """
    files = [_grid_file(path) for path in paths]
    if not files:
        return pd.DataFrame(columns=list(GRID.header))
    table = pd.concat(files, ignore_index=True)
    base = table[table["method"] == "base"]
    by = ["study", "seed", "evaluated_on", "metric"]
    for (*_, domain, metric), copies in base.groupby(by, sort=False):
        values = copies["value"].astype(float)
        if values.max() - values.min() > SAME_MODEL * values.abs().max():
            raise UserError(
                f"grid: the base model has two values of {metric} on '{domain}'; "
                f"delete {', '.join(map(str, paths))} and remake them"
            )
    base = base.drop_duplicates(by)
    return pd.concat([base, table[table["method"] != "base"]], ignore_index=True)


def _grid_file(path: Path) -> pd.DataFrame:
    table = GRID.read_text(path)
    GRID.check(table.columns, path)
    return table[list(GRID.header)]


def efficiency_table(paths: list[Path], study: str) -> pd.DataFrame:
    """Return one row per run: sizes, speed, seconds and memory.

    ``tokens_per_second`` counts time inside training steps only; ``seconds`` is the wall time of
    the process with imports, validation and checkpoints.
    """
    rows = []
    for path in paths:
        run = read_json(path)
        if not run["steps"]:
            # A published model, whose training costs are unknown.
            continue
        rows.append(
            {
                **run,
                "study": study,
                "method": run["settings"]["run"],
                "seed": run["settings"]["seed"],
                "trainable_percent": 100 * run["trainable_parameters"] / run["parameters"],
                "tokens_per_second": run["tokens"] / run["training_seconds"],
            }
        )
    return pd.DataFrame(rows)[list(EFFICIENCY.header)]


def curves_table(logs: list[Path], runs: list[Path], study: str) -> pd.DataFrame:
    """Return the training logs in long form: losses (nats per token), rates, gradient norms."""
    rows = []
    for log, run_path in zip(logs, runs, strict=True):
        settings = read_json(run_path)["settings"]
        run = (study, settings["run"], settings["seed"])
        per_step = settings["global_batch_size"] * settings["sequence_length"]
        for text in log.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            tokens = line["step"] * per_step
            for metric, value in line.items():
                if metric in CURVE_METRICS or metric.endswith("validation_loss"):
                    rows.append((*run, line["task"], line["step"], tokens, metric, value))
    return pd.DataFrame(rows, columns=list(CURVES.header))
