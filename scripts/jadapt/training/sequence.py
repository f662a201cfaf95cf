"""One run: a method and a seed, through the whole sequence of tasks, resumable at any point."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch
import torch
from nemo import lightning as nl
from torch.utils.data import DataLoader

from jadapt.data.evaluation_rows import evaluation_rows
from jadapt.data.loading import PackedRows, RowsFrom
from jadapt.data.mixing import MixedStream, Stream
from jadapt.data.packing import PackedStream
from jadapt.data.tokens import TokenFile
from jadapt.files import read_json, write_json
from jadapt.methods import registry
from jadapt.models.scoring import mean_loss
from jadapt.text.tokenizers import Tokenizer
from jadapt.training import checkpoints, meters
from jadapt.training.module import AdaptationModule
from jadapt.training.optimisation import optimiser_module

FINISHED = "finished.json"


@dataclass(frozen=True)
class Places:
    """Where a run reads and writes; ``tokens[domain]`` holds a folder a split."""

    model: Path
    tokens: dict[str, Path]
    checkpoints: Path
    output: Path


class Run:
    """Trains one method and seed through its tasks.

    Work in progress lives under ``places.checkpoints``: a folder a task with periodic checkpoints,
    the log, and, once the task is done, its model. A run that is started again finds the first
    unfinished task and its newest checkpoint, and ends with the same weights and the same log.
    """

    def __init__(self, settings: dict, places: Places, tokenizer: Tokenizer):
        self.settings = settings
        self.places = places
        self.tokenizer = tokenizer
        self.method = registry.create(settings["method"], settings)
        self.module = AdaptationModule(places.model, self.method)

    def train(self) -> dict:
        """Train every task; return what ``run.json`` says of them: sizes, steps and seconds."""
        torch.set_num_threads(self.settings["threads"])
        torch.use_deterministic_algorithms(True)
        lightning.pytorch.seed_everything(self.settings["seed"], verbose=False)
        reports = [self._task(index, task) for index, task in enumerate(self.settings["sequence"])]
        self._publish()
        return {
            "parameters": reports[-1]["parameters"],
            "trainable_parameters": reports[-1]["trainable_parameters"],
            "training_seconds": sum(report["training_seconds"] for report in reports),
            "steps": sum(report["steps"] for report in reports),
            "tokens": sum(report["tokens"] for report in reports),
            "peak_memory_mib": max(report["peak_memory_mib"] for report in reports),
            "final_training_loss": reports[-1]["final_training_loss"],
        }

    def _task(self, index: int, task: str) -> dict:
        """Train one task, or take up its result when an earlier attempt finished it."""
        folder = self._folder(task)
        if (folder / FINISHED).exists():
            self.module.start_from = folder / "model"
            return read_json(folder / FINISHED)
        folder.mkdir(parents=True, exist_ok=True)
        report = self._fit(index, task, folder)
        # The marker comes last, so that a task is either finished with its model or not at all.
        shutil.rmtree(folder / "model", ignore_errors=True)
        self.method.save(self.module.model, folder / "model")
        write_json(folder / FINISHED, report)
        return report

    def _fit(self, index: int, task: str, folder: Path) -> dict:
        settings = self.settings
        log = folder / "train.jsonl"
        step_log = meters.StepLog(
            log,
            settings["global_batch_size"] * settings["sequence_length"],
            settings["log_interval"],
            task,
        )
        validation = meters.Validation(
            log, settings["validation_interval"], task, lambda: self._validate(task)
        )
        resume = checkpoints.latest(folder)
        accumulation = settings["global_batch_size"] // (
            settings["micro_batch_size"] * settings["devices"]
        )
        trainer = nl.Trainer(
            accelerator=settings["accelerator"],
            devices=settings["devices"],
            strategy="auto",
            precision=settings["precision"],
            max_steps=settings["steps"],
            accumulate_grad_batches=accumulation,
            gradient_clip_val=settings["gradient_clip"],
            limit_val_batches=0,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
            plugins=[checkpoints.AtomicCheckpointIO()],
            callbacks=[
                step_log,
                validation,
                checkpoints.PeriodicCheckpoint(folder, settings["checkpoint_interval"]),
            ],
        )
        done = checkpoints.step_of(resume) if resume else 0
        print(f"{task}: step {done} of {settings['steps']}", file=sys.stderr, flush=True)
        self.module.task_seed = self._seed(index)
        optimiser_module(settings).connect(self.module)
        trainer.fit(
            self.module,
            train_dataloaders=self._loader(index, task, done),
            ckpt_path=str(resume) if resume else None,
        )
        parameters = list(self.module.model.parameters())
        return {
            "task": task,
            "parameters": sum(p.numel() for p in parameters),
            "trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
            "steps": settings["steps"],
            "tokens": settings["steps"] * step_log.tokens_per_step,
            "training_seconds": step_log.training_seconds,
            "peak_memory_mib": meters.peak_memory_mib(),
            "final_training_loss": step_log.last_loss,
        }

    def _loader(self, index: int, task: str, done: int) -> DataLoader:
        """Batches from optimiser step ``done`` on; the order depends on seed and task alone."""
        settings = self.settings
        stream = self._stream(index, task)
        count = settings["steps"] * settings["global_batch_size"]
        return DataLoader(
            PackedRows(stream, count),
            sampler=RowsFrom(done * settings["global_batch_size"], count),
            batch_size=settings["micro_batch_size"],
            # A generator of its own: the loader must not draw from the model's random numbers.
            generator=torch.Generator().manual_seed(settings["seed"]),
        )

    def _stream(self, index: int, task: str) -> Stream:
        """The task's rows, with a trace of another domain among them where one is configured."""
        seed = self._seed(index)
        stream = self._packed(task, seed)
        if trace := self.settings.get("trace"):
            return MixedStream(stream, self._packed(trace["domain"], seed), trace["share"])
        return stream

    def _seed(self, index: int) -> int:
        """The same rows in the same order for every method, others for every seed and task."""
        return self.settings["seed"] * 1000 + index

    def _packed(self, domain: str, seed: int) -> PackedStream:
        return PackedStream(
            self._tokens(domain, "train"),
            self.settings["sequence_length"],
            seed=seed,
            start_id=self.tokenizer.start_id,
            end_id=self.tokenizer.end_id,
        )

    def _tokens(self, domain: str, split: str) -> TokenFile:
        tokens = TokenFile(self.places.tokens[domain] / split)
        tokens.check_tokenizer(self.tokenizer.sha256)
        return tokens

    def _validate(self, task: str) -> dict[str, float]:
        losses = {"validation_loss": self._loss_on(task)}
        known = self.settings["known_domain"]
        losses[f"{known}_validation_loss"] = (
            losses["validation_loss"] if known == task else self._loss_on(known)
        )
        return losses

    def _loss_on(self, domain: str) -> float:
        rows = evaluation_rows(
            self._tokens(domain, "validation"),
            self.settings["sequence_length"],
            maximum_tokens=self.settings["validation_tokens"],
            start_id=self.tokenizer.start_id,
            # Scored as in training, so that the two losses can be laid over each other.
            end_id=self.tokenizer.end_id,
        )
        return mean_loss(self.module.model, rows, self.settings["micro_batch_size"])

    def _publish(self) -> None:
        """Move the models and the log of all tasks to the output folder."""
        output = self.places.output
        for task in self.settings["sequence"]:
            target = output / "models" / task
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(self._folder(task) / "model", target)
        with open(output / "train.jsonl", "w", encoding="utf-8") as stream:
            for task in self.settings["sequence"]:
                stream.write((self._folder(task) / "train.jsonl").read_text(encoding="utf-8"))

    def _folder(self, task: str) -> Path:
        return self.places.checkpoints / task
