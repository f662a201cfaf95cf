"""Gather what the runs of a study left behind into the tables that everything else reads."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from jadapt.errors import UserError
from jadapt.files import read_json

EFFICIENCY_COLUMNS = [
    "study", "method", "seed", "parameters", "trainable_parameters", "trainable_percent",
    "tokens_per_second", "seconds", "training_seconds", "peak_memory_mib", "steps", "tokens",
    "device", "final_training_loss",
]  # fmt: skip
CURVE_COLUMNS = ["study", "method", "seed", "task", "step", "tokens", "metric", "value"]
CURVE_METRICS = ("training_loss", "learning_rate", "gradient_norm")


def metrics_table(paths: list[Path], known: str) -> pd.DataFrame:
    """Concatenate the evaluations and add ``{known}_retention``.

    Retention is the base model's bits per byte on the known language divided by the run's: 1 when
    nothing was forgotten, less when the text has become more surprising.
    """
    table = pd.concat([pd.read_csv(path, float_precision="round_trip") for path in paths])
    loss = table[(table.metric == "bits_per_byte") & (table.evaluated_on == known)]
    before = loss[loss.method == "base"]
    if len(before) != 1:
        raise UserError(f"metrics: expected one base model on '{known}', found {len(before)}")
    retention = loss[loss.method != "base"].copy()
    retention["metric"] = f"{known}_retention"
    retention["value"] = before.value.item() / retention["value"]
    retention["unit"] = "ratio"
    return pd.concat([table, retention])


def efficiency_table(paths: list[Path], study: str) -> pd.DataFrame:
    """One row a run: sizes, speed, seconds and memory.

    ``tokens_per_second`` counts time inside training steps only; ``seconds`` is the wall time of
    the process with imports, validation and checkpoints.
    """
    rows = []
    for path in paths:
        run = read_json(path)
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
    return pd.DataFrame(rows)[EFFICIENCY_COLUMNS]


def curves_table(logs: list[Path], runs: list[Path], study: str) -> pd.DataFrame:
    """The training logs in long form: losses in nats a token, rates and gradient norms by step."""
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
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)
