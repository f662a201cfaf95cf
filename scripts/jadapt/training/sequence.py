"""One run: a method and a seed, through the whole sequence of tasks, resumable at any point."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lightning.pytorch
import torch
from nemo import lightning as nl
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from jadapt.errors import UserError
from jadapt.files import atomic, read_json, write_json
from jadapt.methods import registry
from jadapt.methods.strategy import Batch, Context
from jadapt.models.scoring import mean_loss
from jadapt.text.tokenizers import Tokenizer
from jadapt.training import checkpoints, meters
from jadapt.training.method_steps import MethodSteps
from jadapt.training.module import AdaptationModule
from jadapt.training.optimisation import optimiser_module
from jadapt.training.rows import TrainingRows

FINISHED = "finished.json"
NOTES = "strategy{index}.safetensors"


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
    the log, and, once the task is done, its model and what the strategies noted. A run that is
    started again finds the first unfinished task and its newest checkpoint, and ends with the same
    weights and the same log.

    Raises:
        UserError: the method or a strategy does not fit the model or the data.
    """

    def __init__(
        self, settings: dict, places: Places, tokenizer: Tokenizer, module: AdaptationModule
    ):
        self.settings = settings
        self.places = places
        self.module = module
        self.method = registry.create(settings["method"], settings)
        self.strategies = registry.create_strategies(
            settings.get("continual", {}), settings["method"]
        )
        self.rows = TrainingRows(settings, places.tokens, tokenizer)
        try:
            self.method.check(AutoConfig.from_pretrained(places.model, local_files_only=True))
            for strategy in self.strategies:
                strategy.check(self.rows.available())
        except UserError as error:
            raise UserError(f"methods.{settings['run']}.{error}") from None

    def train(self) -> dict:
        """Train every task; return what ``run.json`` says of them: sizes, steps and seconds."""
        torch.set_num_threads(self.settings["threads"])
        torch.use_deterministic_algorithms(True)
        lightning.pytorch.seed_everything(self.settings["seed"], verbose=False)
        meters.reset_peak_memory()
        self.module.begin_run(self.method, self.strategies)
        reports = [self._task(place, task) for place, task in enumerate(self.settings["sequence"])]
        return {
            "parameters": reports[-1]["parameters"],
            "trainable_parameters": reports[-1]["trainable_parameters"],
            "training_seconds": sum(report["training_seconds"] for report in reports),
            "steps": sum(report["steps"] for report in reports),
            "tokens": sum(report["tokens"] for report in reports),
            "peak_memory_mib": max(report["peak_memory_mib"] for report in reports),
            "final_training_loss": reports[-1]["final_training_loss"],
        }

    def publish(self) -> None:
        """Move the models and the log of all tasks to the output folder."""
        output = self.places.output
        output.mkdir(parents=True, exist_ok=True)
        for task in self.settings["sequence"]:
            target = output / "models" / task
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(self._folder(task) / "model", target)
        with (
            atomic(output / "train.jsonl") as temporary,
            open(temporary, "w", encoding="utf-8") as stream,
        ):
            for task in self.settings["sequence"]:
                stream.write((self._folder(task) / "train.jsonl").read_text(encoding="utf-8"))

    def _task(self, place: int, task: str) -> dict:
        """Train one task, or take up its result when an earlier attempt finished it."""
        folder = self._folder(task)
        if (folder / FINISHED).exists():
            self.module.start_from = folder / "model"
            self._load_notes(folder)
            return read_json(folder / FINISHED)
        folder.mkdir(parents=True, exist_ok=True)
        report = self._fit(place, task, folder)
        # The marker comes last, so that a task is either finished with its model or not at all.
        shutil.rmtree(folder / "model", ignore_errors=True)
        self.method.save(self.module.model, folder / "model")
        self._save_notes(folder)
        write_json(folder / FINISHED, report)
        return report

    def _fit(self, place: int, task: str, folder: Path) -> dict:
        settings, module = self.settings, self.module
        log = folder / "train.jsonl"
        step_log = meters.StepLog(
            log,
            settings["global_batch_size"] * settings["sequence_length"],
            settings["log_interval"],
            task,
        )
        resume = checkpoints.latest(folder)
        done = checkpoints.step_of(resume) if resume else 0
        print(f"{task}: step {done} of {settings['steps']}", file=sys.stderr, flush=True)
        module.task_seed = self.rows.seed(place)
        module.prepare = partial(self._prepare, place)
        optimiser_module(settings).connect(module)
        trainer = self._trainer(
            [
                # First: whatever is logged, validated or saved after a step includes it.
                MethodSteps(self.method, partial(self._loss_on, task)),
                step_log,
                meters.Validation(
                    log, settings["validation_interval"], task, partial(self._validate, task)
                ),
                checkpoints.PeriodicCheckpoint(folder, settings["checkpoint_interval"]),
            ]
        )
        trainer.fit(
            module,
            train_dataloaders=self.rows.loader(self.rows.task(place, self.strategies), done),
            ckpt_path=str(resume) if resume else None,
        )
        trainable = self.method.trainable_count(module.model)
        self.method.end_task(module.model, place + 1)
        # What is noted serves the tasks that follow.
        if place + 1 < len(settings["sequence"]):
            for strategy in self.strategies:
                strategy.end_task(module.context, task)
        return {
            "task": task,
            "parameters": sum(p.numel() for p in module.model.parameters()),
            "trainable_parameters": trainable,
            "steps": settings["steps"],
            "tokens": settings["steps"] * step_log.tokens_per_step,
            "training_seconds": step_log.training_seconds,
            "peak_memory_mib": meters.peak_memory_mib(),
            "final_training_loss": step_log.last_loss,
        }

    def _trainer(self, callbacks: list) -> nl.Trainer:
        settings = self.settings
        accumulation = settings["global_batch_size"] // (
            settings["micro_batch_size"] * settings["devices"]
        )
        return nl.Trainer(
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
            callbacks=callbacks,
        )

    def _prepare(self, place: int) -> None:
        """Tell method and strategies of the task; before the first, of the language known so far.

        The model is that of the end of the task before, also when the task is then resumed.
        """
        module, known = self.module, self.settings["known_domain"]
        domains = [known, *self.settings["sequence"]]
        module.context = Context(
            model=module.model,
            method=self.method,
            rows=self._batch,
            loss=module.loss,
            reduce=module.trainer.strategy.reduce,
            batch_size=self.settings["micro_batch_size"],
            seed=self.settings["seed"],
        )
        if place == 0:
            for strategy in self.strategies:
                strategy.end_task(module.context, known)
        self.method.begin_task(module.model, place + 1)
        for strategy in self.strategies:
            strategy.begin_task(module.context, domains[: place + 1], place + 1)

    def _batch(self, domain: str, first: int, count: int) -> Batch:
        device = self.module.model.device
        rows = self.rows.batch(domain, first, count)
        return {name: values.to(device) for name, values in rows.items()}

    def _validate(self, task: str) -> dict[str, float]:
        losses = {"validation_loss": self._loss_on(task)}
        known = self.settings["known_domain"]
        losses[f"{known}_validation_loss"] = (
            losses["validation_loss"] if known == task else self._loss_on(known)
        )
        return losses

    def _loss_on(self, domain: str) -> float:
        rows = self.rows.validation(domain)
        return mean_loss(self.module.model, rows, self.settings["micro_batch_size"])

    def _save_notes(self, folder: Path) -> None:
        for index, strategy in enumerate(self.strategies):
            if notes := strategy.state_dict():
                with atomic(folder / NOTES.format(index=index)) as temporary:
                    save_file({k: v.contiguous() for k, v in notes.items()}, temporary)

    def _load_notes(self, folder: Path) -> None:
        for index, strategy in enumerate(self.strategies):
            path = folder / NOTES.format(index=index)
            if path.exists():
                strategy.load_state_dict(load_file(path))

    def _folder(self, task: str) -> Path:
        return self.places.checkpoints / task
