"""Take a published model as the base of a study: where a pre-trained one would stand."""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

from jadapt.core import checksums
from jadapt.core.files import load_settings, write_json, write_text
from jadapt.workflow.preloaded import run


def main() -> None:
    """Parse the command line; copy the model and describe a run of no steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="the base run's resolved configuration")
    parser.add_argument("--seed", type=int, required=True, help="names the run")
    parser.add_argument("--model", type=Path, required=True, help="the checkpoint")
    parser.add_argument("--output", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--run", type=Path, required=True, help="gets run.json and train.jsonl")
    arguments = parser.parse_args()
    settings = load_settings(arguments.settings)

    from safetensors import safe_open

    from jadapt.training import provenance

    started = time.time()
    checksums.check_folder(arguments.model)
    checksums.copy_folder(arguments.model, arguments.output)
    with safe_open(arguments.output / "model.safetensors", "pt") as weights:
        sizes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
    count = sum(math.prod(shape) for shape in sizes)
    # Nothing was trained here; tables count steps and seconds from this.
    write_text(arguments.run / "train.jsonl", "")
    write_json(
        arguments.run / "run.json",
        {
            **provenance.describe({**settings, "seed": arguments.seed, "learning_rate": None}),
            "parameters": count,
            "trainable_parameters": 0,
            "steps": 0,
            "tokens": 0,
            "training_seconds": 0.0,
            "final_training_loss": None,
            "seconds": time.time() - started,
        },
    )


if __name__ == "__main__":
    run(main)
