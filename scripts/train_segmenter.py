"""Train the BiLSTM-CRF segmenter of a study."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from jadapt.core.errors import run
from jadapt.core.files import load_settings
from jadapt.segmentation import reference
from jadapt.segmentation.network import NetworkSettings
from jadapt.segmentation.neural import BiLSTMCRFSegmenter
from jadapt.segmentation.scoring import score
from jadapt.segmentation.training import TrainingSettings, train


def main() -> int:
    """Train, save, and print one line per epoch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", required=True, help="JSON or a file: network, training, fallback"
    )
    parser.add_argument("--reference", required=True, help="folder of prepare_segmentation.py")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--output", required=True, type=Path, help="folder of the model")
    arguments = parser.parse_args()
    settings, meta = load_settings(arguments.settings), reference.describe(arguments.reference)
    training = settings["training"]
    if not meta["gold"]:
        training = {**training, **settings["fallback"]["training"]}
    texts = reference.read(arguments.reference, "train")
    held_out = reference.read(arguments.reference, "validation")

    begin, cpu = time.perf_counter(), time.process_time()
    model, vocabulary, log = train(
        texts,
        NetworkSettings(**settings["network"]),
        TrainingSettings(**training),
        arguments.seed,
        validate=lambda *made: score(BiLSTMCRFSegmenter(*made), held_out).f1(),
    )
    facts = {
        "trained_on": meta,
        "seed": arguments.seed,
        "training": training,
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time() - cpu,
        "log": log,
        "torch": torch.__version__,
    }
    BiLSTMCRFSegmenter(model, vocabulary).save(arguments.output, facts)
    print(
        f"{arguments.output}: {facts['parameters']:,} parameters, {facts['seconds']:.0f} s "
        f"({facts['cpu_seconds']:.0f} s of processor time)",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    run(main)
