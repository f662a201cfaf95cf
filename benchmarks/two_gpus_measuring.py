"""One layout of bench_two_gpus.py, in a process a device; see there."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import two_gpus_tables as tables

from jadapt.core.errors import run
from jadapt.training.distributed import launching, worker

STARTED = time.perf_counter()
SHAPES = {
    # HuggingFaceTB/SmolLM2-135M, config.json
    "smollm2_135m": {
        "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
        "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
        "max_position_embeddings": 8192, "rope_theta": 100000.0, "initializer_range": 0.041666666,
    },
    "tiny": {
        "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
        "rope_theta": 10000.0, "initializer_range": 0.05,
    },
}  # fmt: skip
DOMAINS = ("known", "task")
LEARNING_RATES = {"sft": 3e-4, "lora": 3e-3}
# A third of the steps under the clock each.
WINDOWS = 3


def main() -> None:
    """Start the processes of a layout, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layout", choices=tables.DEVICES, required=True)
    parser.add_argument("--methods", nargs="+", choices=tables.METHODS, required=True)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--accelerator", choices=["gpu", "cpu"], required=True)
    parser.add_argument("--model", type=Path)
    for name in ("--gate", "--work", "--output"):
        parser.add_argument(name, type=Path, required=True)
    for name in ("--rows", "--length", "--warmup", "--steps", "--loss-steps"):
        parser.add_argument(name, type=int, required=True)
    arguments = parser.parse_args()
    devices = {"devices": tables.DEVICES[arguments.layout], "accelerator": arguments.accelerator}
    # bench_two_gpus.py holds the GPUs.
    if worker.rank(devices) is None:
        launching.start(devices["devices"])
    else:
        measure(arguments, devices)


def measure(arguments: argparse.Namespace, devices: dict) -> None:
    """Load everything, wait for the gate, and measure one method after the other."""
    # Loaded before the gate opens: other layouts measure meanwhile.
    from jadapt.training.distributed import ranks
    from jadapt.training.module import AdaptationModule

    bench = Bench(arguments, devices)
    module = AdaptationModule(bench.model)
    with ranks.joined(devices):
        while not arguments.gate.exists():
            time.sleep(0.05)
        ranks.on_rank_zero(bench.prepare)
        for method in arguments.methods:
            row = bench.row(module, method)
            if ranks.is_rank_zero():
                with open(arguments.output / tables.ROWS, "a", encoding="utf-8") as stream:
                    stream.write(json.dumps(row) + "\n")


class Bench:
    """Trains a method twice: a few steps for its losses, more of them for its speed."""

    def __init__(self, arguments: argparse.Namespace, devices: dict):
        import gpu_cases
        import gpu_measuring
        import timed_run

        self.arguments, self.cases, self.measuring = arguments, gpu_cases, gpu_measuring
        self.timed = timed_run
        self.model = arguments.work / "model"
        small = arguments.shape == "tiny"
        self.common = gpu_measuring.RECIPE | devices | {
            "run": "bench", "accelerator": arguments.accelerator, "precision": "bf16-mixed",
            "sequence_length": arguments.length,
            "micro_batch_size": arguments.rows, "log_interval": 1,
            # As many rows as a micro-batch has: other sizes would be compiled anew.
            "validation_tokens": arguments.rows * (arguments.length - 1),
            "fast": {
                "cross_entropy_chunk": gpu_cases.CHUNK, "flash_attention": True,
                "fused_optimiser": True, "deterministic": False,
                # Compiling takes a CPU longer than all the rest.
                "compile_layers": not small,
                "cuda_graphs": arguments.accelerator == "gpu" and arguments.layout != "fsdp2",
            },
        }  # fmt: skip
        if devices["devices"] > 1:
            self.common["parallelism"] = arguments.layout

    def prepare(self) -> None:
        """Write the weights and the tokens once, for all layouts."""
        import numpy as np

        from jadapt.core import checksums

        if (self.model / checksums.FOLDER_RECORD).exists():
            return
        shutil.rmtree(self.model, ignore_errors=True)
        if self.arguments.model:
            self.model.mkdir(parents=True)
            for name in ("config.json", "model.safetensors"):
                shutil.copyfile(self.arguments.model / name, self.model / name)
        else:
            _random_weights(SHAPES[self.arguments.shape], self.model)
        shape = json.loads((self.model / "config.json").read_text(encoding="utf-8"))
        for number, domain in enumerate(DOMAINS):
            for split, count in (("train", 512), ("validation", self.arguments.rows)):
                folder = self.arguments.work / "tokens" / domain / split
                shutil.rmtree(folder, ignore_errors=True)
                # Some tokens are frequent, so that there is something to learn in a few steps, and
                # a wrong gradient shows.
                drawn = np.random.default_rng(number).random((count, self.arguments.length - 1))
                documents = (3 + drawn**4 * (shape["vocab_size"] - 3)).astype(int)
                self.measuring.write_tokens(folder, documents)
        checksums.seal_folder(self.model)

    def row(self, module: Any, method: str) -> dict:
        """Measure a method; return its line of `rows.jsonl`."""
        from jadapt.core import code_version
        from jadapt.training import provenance

        arguments, devices = self.arguments, self.common["devices"]
        loading = time.perf_counter() - STARTED
        # The same rows a step, however many devices share them.
        log, _ = self._train(
            module, method,
            {"steps": arguments.loss_steps, "global_batch_size": 2 * arguments.rows},
        )  # fmt: skip
        _, clock = self._train(
            module, method,
            {
                "steps": arguments.warmup + arguments.steps,
                "global_batch_size": devices * arguments.rows,
                # As seldom as in a study.
                "log_interval": arguments.warmup + arguments.steps,
            },
        )  # fmt: skip
        names = ("torch", "transformers", "nemo_toolkit", "lightning")
        return {
            "case": f"{arguments.layout}/{method}",
            "layout": arguments.layout,
            "method": method,
            "devices": devices,
            "rows": arguments.rows,
            "length": arguments.length,
            "precision": self.common["precision"],
            "windows": clock.speeds(devices * arguments.rows * arguments.length),
            "losses": [line["training_loss"] for line in log if "training_loss" in line],
            "validation_losses": [
                line["validation_loss"] for line in log if "validation_loss" in line
            ],
            "gradient_norms": [line["gradient_norm"] for line in log if "gradient_norm" in line],
            "peak_mib": clock.peak_mib,
            "trainable_parameters": clock.trainable,
            "loading_seconds": loading,
            "warmup_seconds": clock.warmup_seconds,
            "device": provenance.device(devices),
            "shape": arguments.shape,
            "weights": str(arguments.model or "random"),
            "versions": " ".join(f"{name}={version(name)}" for name in names),
            "commit": code_version.commit() or "unknown",
        }

    def _train(self, module: Any, method: str, changes: dict) -> tuple[list[dict], Any]:
        """Train a run of its own; return its log and its clock."""
        arguments = self.arguments
        entry = self.cases.MEASURED[tables.METHODS[method]]
        rate = {"learning_rate": LEARNING_RATES[method]}
        settings = self.common | rate | entry | changes
        folder = arguments.work / arguments.layout / f"{method}-{settings['steps']}"
        tokens = {domain: arguments.work / "tokens" / domain for domain in DOMAINS}
        places = self.timed.Places(self.model, tokens, folder, folder)
        clock = self.timed.Windows(arguments.warmup, arguments.steps, WINDOWS)
        timed = self.timed.ClockedRun(settings, places, self.measuring.TOKENIZER, module)
        timed.clock = clock
        report = timed.train()
        clock.trainable = report["trainable_parameters"]
        text = (folder / "task" / "train.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()], clock


def _random_weights(shape: dict, folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(
        **shape, tie_word_embeddings=True, use_cache=False, torch_dtype="float32",
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="100GB")


if __name__ == "__main__":
    run(main)
