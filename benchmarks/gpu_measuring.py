"""How a case of bench_gpu.py is measured: through NeMo as in a study, or in a plain loop."""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gpu_checks
import numpy as np
import torch
from gpu_cases import Case, Check
from lightning.pytorch import Callback
from transformers import AutoModelForCausalLM, PreTrainedModel

from jadapt.core import checksums, code_version
from jadapt.core.errors import UserError
from jadapt.core.files import sha256_file, write_json
from jadapt.data.tokens import FORMAT_VERSION
from jadapt.methods.base import Method
from jadapt.methods.peft.targets import LINEAR_LAYERS
from jadapt.models import scratch
from jadapt.training import memory, provenance
from jadapt.training.kernels import cuda_graphs
from jadapt.training.module import AdaptationModule
from jadapt.training.run import Places, Run

# Dense bf16 with float32 sums, by the makers' data sheets, in FLOP/s.
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
TOKENIZER = SimpleNamespace(start_id=1, end_id=2, pad_id=0, sha256="0" * 64)
RECIPE = {
    "role": "task", "seed": 1, "reserved": {}, "learning_rate": 1e-5, "source_domain": "known",
    "sequence": ["task"], "devices": 1, "threads": 1, "warmup_steps": 1,
    "minimum_learning_rate_ratio": 0.1, "weight_decay": 0.01, "beta1": 0.9, "beta2": 0.95,
    "gradient_clip": 1.0, "log_interval": 10**6,
    "validation_interval": 10**6, "validation_tokens": 1, "checkpoint_interval": 10**6,
}  # fmt: skip


class Clock(Callback):
    """Times the steps after the warm-up and notes the peak of memory within them."""

    def __init__(self, warmup: int, device: torch.device):
        self.warmup, self.device = warmup, device
        self.started = time.perf_counter()
        self.warm_seconds = self.seconds = 0.0
        self.peak = 0
        self.parts = memory.Fixed(0, 0, 0)
        self.waited_before = 0.0
        self.stream: TimedStream | None = None

    def begin(self) -> None:
        """End the warm-up."""
        _wait(self.device)
        self.warm_seconds = time.perf_counter() - self.started
        if self.device.type == "cuda":
            cuda_graphs.reset_peak()
        self.waited_before = self.stream.seconds if self.stream else 0.0
        self.started = time.perf_counter()

    def end(self, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Stop, and divide the memory by what it holds."""
        _wait(self.device)
        self.seconds = time.perf_counter() - self.started
        self.peak = memory.device_memory()[1]
        self.parts = memory.fixed(model, optimiser)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Start and stop by the count of steps."""
        if trainer.global_step == self.warmup:
            self.begin()
        elif trainer.global_step == trainer.max_steps:
            self.end(pl_module.model, trainer.optimizers[0])


class TimedStream:
    """The rows of a task, with the seconds that training waits for them."""

    def __init__(self, stream: Any):
        self.rows, self.seconds = stream, 0.0

    def row(self, index: int) -> dict:
        """Return a row."""
        begin = time.perf_counter()
        row = self.rows.row(index)
        self.seconds += time.perf_counter() - begin
        return row


class TimedRun(Run):
    """A run of a study with a clock in its trainer and its rows."""

    clock: Clock

    def _trainer(self, settings: dict, callbacks: list) -> Any:
        # First, so that it stops before the last step is followed by a validation.
        return super()._trainer(settings, [self.clock, *callbacks])

    def time_rows(self) -> None:
        """Put a clock around the rows of the task."""
        task = self.rows.task

        def timed(place: int, strategies: list) -> TimedStream:
            self.clock.stream = TimedStream(task(place, strategies))
            return self.clock.stream

        self.rows.task = timed


class Bench:
    """Measures cases of one shape; weights and tokens are written once into ``work``."""

    def __init__(self, shape: dict, accelerator: str, work: Path, warmup: int, steps: int):
        self.shape, self.accelerator, self.work = shape, accelerator, work
        self.warmup, self.steps = warmup, steps
        self.device = torch.device("cuda" if accelerator == "gpu" else "cpu")
        if accelerator == "gpu" and not torch.cuda.is_available():
            raise UserError("--shape: no GPU here; --shape tiny measures on the CPU")
        self.compiled_for: tuple | None = None
        self.model = self._weights()
        self.module = AdaptationModule(self.model)

    def about(self, shape: str) -> dict:
        """Return what every row says of the machine and the code."""
        names = ("torch", "transformers", "peft", "nemo_toolkit", "lightning")
        return {
            "device": provenance.device(),
            "shape": shape,
            "commit": code_version.commit() or "unknown",
            "versions": " ".join(f"{name}={version(name)}" for name in names),
        }

    def measure(self, case: Case) -> dict:
        """Measure one case; running out of memory is a result too."""
        torch.manual_seed(1)
        self._clear(case)
        held = torch.cuda.memory_allocated() if self.device.type == "cuda" else 0
        try:
            if isinstance(case, Check):
                return {"full": False} | gpu_checks.run(self, case)
            measured = (self._nemo if case.stack == "nemo" else self._plain)(case)
            # Of the case before, which would be counted as this one's activations.
            measured["held_mib"] = held / memory.MEBIBYTE
        except (torch.OutOfMemoryError, UserError) as error:
            cause = error if isinstance(error, torch.OutOfMemoryError) else error.__cause__
            if not isinstance(cause, torch.OutOfMemoryError):
                raise
            measured = {"full": True}
        finally:
            self._forget()
        return measured

    def _forget(self) -> None:
        """Let go of everything that holds the model or the optimiser of a case."""
        module = self.module
        module.begin_run(self._weights(), Method({}), ())
        module.prepare = Method

    def _nemo(self, case: Case) -> dict:
        settings = {
            **RECIPE, **case.method, "run": case.label, "accelerator": self.accelerator,
            "precision": case.precision, "sequence_length": case.length, "fast": case.fast,
            "global_batch_size": case.rows, "micro_batch_size": case.rows,
            "steps": self.warmup + self.steps,
        }  # fmt: skip
        tokens = self._tokens(case.length)
        places = Places(self.model, tokens, self.work / "checkpoints", self.work / "output")
        shutil.rmtree(places.checkpoints, ignore_errors=True)
        run = TimedRun(settings, places, TOKENIZER, self.module)
        run.clock = Clock(self.warmup, self.device)
        run.time_rows()
        report = run.train()
        shutil.rmtree(places.checkpoints, ignore_errors=True)
        waited = run.clock.stream.seconds - run.clock.waited_before
        return self._row(case, run.clock, report["trainable_parameters"], waited)

    def _plain(self, case: Case) -> dict:
        """Train as the examples of transformers and peft do, with its best attention."""
        model = AutoModelForCausalLM.from_pretrained(
            self.model, torch_dtype=torch.bfloat16, attn_implementation="sdpa"
        )
        model.to(self.device)
        if case.method["method"] == "lora":
            from peft import LoraConfig, get_peft_model

            rank = case.method["rank"]
            model = get_peft_model(
                model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(LINEAR_LAYERS))
            )
        model.train()
        trained = [p for p in model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=1e-5, fused=True)
        clock = Clock(self.warmup, self.device)
        generator = np.random.default_rng(1)
        torch.use_deterministic_algorithms(False)
        for step in range(1, self.warmup + self.steps + 1):
            rows = generator.integers(3, self.shape["vocabulary"], (case.rows, case.length))
            ids = torch.from_numpy(rows).to(self.device)
            model(input_ids=ids, labels=ids).loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            optimiser.zero_grad()
            if step == self.warmup:
                clock.begin()
        clock.end(model, optimiser)
        return self._row(case, clock, sum(p.numel() for p in trained), None)

    def _row(self, case: Case, clock: Clock, trainable: int, waited: float | None) -> dict:
        tokens = self.steps * case.rows * case.length
        speed = tokens / clock.seconds
        operations = self._operations(case, trainable)
        peak = next((v for k, v in PEAKS.items() if k in provenance.device()), None)
        parts, unit = clock.parts, memory.MEBIBYTE
        return {
            "full": False,
            "trainable_parameters": trainable,
            "tokens_per_second": speed,
            "seconds_a_million_tokens": 1e6 / speed,
            "utilisation_percent": 100 * speed * operations / peak if peak else None,
            "loader_percent": None if waited is None else 100 * waited / clock.seconds,
            "warmup_seconds": clock.warm_seconds,
            "peak_mib": clock.peak / unit,
            "weights_mib": parts.weights / unit,
            "gradients_mib": parts.gradients / unit,
            "optimiser_mib": parts.optimiser / unit,
            "activations_mib": max(0, clock.peak - parts.total) / unit,
        }

    def _operations(self, case: Case, trainable: int) -> float:
        """Return the model's FLOPs a token: forward 2N, gradients of activations 2N, and of weights
        2 for each that trains; attention, half of it masked, 6 L d T (Chowdhery et al. 2022)."""
        attention = 6 * self.shape["num_hidden_layers"] * self.shape["hidden_size"] * case.length
        return 4 * self.parameters + 2 * trainable + attention

    def _weights(self) -> Path:
        """Write the random weights once, in bfloat16 on a GPU as published ones are."""
        folder = self.work / "model"
        if not (folder / checksums.FOLDER_RECORD).exists():
            shutil.rmtree(folder, ignore_errors=True)
            settings = {k: v for k, v in self.shape.items() if k != "vocabulary"}
            special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
            torch.manual_seed(1)
            model: PreTrainedModel = scratch.build(settings, self.shape["vocabulary"], special)
            model.save_pretrained(folder, max_shard_size="100GB")
            checksums.seal_folder(folder)
        with torch.device("meta"):
            settings = {k: v for k, v in self.shape.items() if k != "vocabulary"}
            self.parameters = scratch.build(
                settings, self.shape["vocabulary"], {"pad_token_id": 0}
            ).num_parameters()
        return folder

    def _tokens(self, length: int) -> dict[str, Path]:
        """Write random documents that fill one row each; the rows of an epoch never run out."""
        folders = {domain: self.work / f"tokens{length}" / domain for domain in ("known", "task")}
        for number, folder in enumerate(folders.values()):
            for split, count in (("train", 256), ("validation", 1)):
                if not (folder / split / "meta.json").exists():
                    size = (count, length - 1)
                    generator = np.random.default_rng(number)
                    write_tokens(
                        folder / split, generator.integers(3, self.shape["vocabulary"], size)
                    )
        return folders

    def _clear(self, case: Case) -> None:
        gc.collect()
        # Code that was compiled for another size would be compiled anew for any size.
        size = (case.rows, case.length, case.precision, case.fast.get("activation_budget"))
        if size != self.compiled_for:
            torch._dynamo.reset()
        self.compiled_for = size
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def write_tokens(directory: Path, documents: Sequence[np.ndarray]) -> None:
    """Write a token file of documents; each token counts as one character of one byte."""
    directory.mkdir(parents=True)
    lengths = np.array([len(document) for document in documents])
    arrays = {
        "tokens": np.concatenate(documents).astype("<u4"),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype("<i8"),
        "sizes": np.stack([lengths, lengths], axis=1).astype("<i8"),
    }
    total = int(lengths.sum())
    meta = {
        "format_version": FORMAT_VERSION, "dtype": "uint32", "tokens": total,
        "documents": len(documents), "bytes": total, "characters": total,
        "tokenizer_sha256": TOKENIZER.sha256,
    }  # fmt: skip
    for name, array in arrays.items():
        array.tofile(directory / f"{name}.bin")
        meta[f"{name}_sha256"] = sha256_file(directory / f"{name}.bin")
    write_json(directory / "meta.json", meta)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
