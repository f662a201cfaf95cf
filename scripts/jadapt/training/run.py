"""One run: a method with one seed, trained on all tasks in order; resumable at any point."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lightning.pytorch
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from jadapt.config import budget, composition, parallelism
from jadapt.core import checksums, seeds
from jadapt.core.errors import UserError
from jadapt.core.files import atomic, read_json, write_json
from jadapt.methods import registry
from jadapt.methods.strategy import Batch, Context
from jadapt.models.scoring import mean_loss
from jadapt.tokenization.tokenizers import Tokenizer
from jadapt.training import accounting, checkpoints, memory, meters, precision
from jadapt.training.dataloading import TrainingRows
from jadapt.training.determinism import make_deterministic
from jadapt.training.distributed import ranks, sharding
from jadapt.training.distributed.devices import check_devices
from jadapt.training.kernels import Fast
from jadapt.training.method_steps import MethodSteps
from jadapt.training.module import AdaptationModule
from jadapt.training.optimisation import optimiser_module
from jadapt.training.trainer import Trainer, trainer

REPORT = "finished.json"
LOG = "train.jsonl"
NOTES = "strategy{index}.safetensors"
# What was measured after the task, where the run was asked to measure.
MEASURED = "result.json"
# Folder of the strategies' state before the first task; no domain has such a name.
BEFORE = "0-known"


@dataclass(frozen=True)
class Places:
    """The paths that a run reads and writes; ``tokens[domain]`` holds one folder per split."""

    model: Path
    tokens: dict[str, Path]
    checkpoints: Path
    output: Path


class Run:
    """Trains one method with one seed on its tasks in order.

    Work in progress is kept under ``places.checkpoints``, in one folder per task: periodic
    checkpoints, the log and, once the task is finished, its model and the state of the strategies,
    with checksums. A run that is started again continues with the first unfinished task from its
    newest sound checkpoint, and ends with the same weights and the same log.

    Args:
        after_task: called with the place and the name of each task once it is trained, with the
            model in memory; what it writes to ``result.json`` in the task's folder is sealed with
            the task, so that it is called once for each task, however often a run is stopped.

    Raises:
        UserError: the method or a strategy does not fit the model or the data, or the files of the
            model or the data have changed since they were written.
    """

    def __init__(
        self,
        settings: dict,
        places: Places,
        tokenizer: Tokenizer,
        module: AdaptationModule,
        after_task: Callable[[int, str], None] | None = None,
    ):
        check_devices(settings)
        precision.check(settings)
        parallelism.check(settings)
        composition.check_fast(settings)
        self.settings = settings
        self.places = places
        self.module = module
        self.after_task = after_task
        self.method = registry.create(settings["method"], settings)
        self.strategies = registry.create_strategies(
            settings.get("continual", {}), settings["method"]
        )
        self.rows = TrainingRows(settings, places.tokens, tokenizer)
        checksums.check_folder(places.model)
        try:
            self.method.check(AutoConfig.from_pretrained(places.model, local_files_only=True))
            for strategy in self.strategies:
                strategy.check(self.rows.available(), settings)
        except UserError as error:
            raise UserError(f"methods.{settings['run']}.{error}") from None

    def train(self) -> dict:
        """Train every task; return their part of ``run.json``: sizes, steps, tokens, seconds."""
        torch.set_num_threads(self.settings["threads"])
        make_deterministic(self.settings["accelerator"], Fast.of(self.settings).deterministic)
        lightning.pytorch.seed_everything(seeds.of_run(self.settings, "run"), verbose=False)
        meters.reset_peak_memory()
        self.module.begin_run(self.places.model, self.method, self.strategies, self.settings)
        reports = [self._task(place, task) for place, task in enumerate(self.settings["sequence"])]
        return {
            "parameters": reports[-1]["parameters"],
            "trainable_parameters": reports[-1]["trainable_parameters"],
            "training_seconds": sum(report["training_seconds"] for report in reports),
            "steps": sum(report["steps"] for report in reports),
            "tokens": sum(report["tokens"] for report in reports),
            "tokens_processed": sum(report["tokens_processed"] for report in reports),
            "flops": sum(report["flops"] for report in reports),
            "peak_memory_mib": max(report["peak_memory_mib"] for report in reports),
            "final_training_loss": reports[-1]["final_training_loss"],
        }

    def publish(self) -> None:
        """Copy the models and the log of all tasks to the output folder (rank 0 does)."""
        ranks.on_rank_zero(self._publish)

    def _publish(self) -> None:
        output = self.places.output
        output.mkdir(parents=True, exist_ok=True)
        for task in self.settings["sequence"]:
            checksums.copy_folder(self._folder(task) / "model", output / "models" / task)
        with (
            atomic(output / LOG) as temporary,
            open(temporary, "w", encoding="utf-8") as stream,
        ):
            for task in self.settings["sequence"]:
                stream.write((self._folder(task) / LOG).read_text(encoding="utf-8"))

    def _task(self, place: int, task: str) -> dict:
        """Train one task, or load its result if an earlier attempt has finished it."""
        folder = self._folder(task)
        if ranks.on_rank_zero(lambda: self._finished(folder)):
            self.module.start_from = folder / "model"
            self._load_notes(folder)
            return read_json(folder / REPORT)
        folder.mkdir(parents=True, exist_ok=True)
        report = self._fit(place, task, folder)
        with sharding.gathered(self.module.model):
            if self.after_task:
                self.after_task(place, task)
            ranks.on_rank_zero(lambda: self._keep(folder, report))
        return report

    def _keep(self, folder: Path, report: dict) -> None:
        """Write the model and the report of a finished task, and the state of the strategies."""
        shutil.rmtree(folder / "model", ignore_errors=True)
        self.method.save(self.module.model, folder / "model")
        checksums.seal_folder(folder / "model")
        self._save_notes(folder)
        write_json(folder / REPORT, report)
        # The checksums are written last: a task counts as finished only when all its files exist.
        others = [path.name for path in folder.glob(NOTES.format(index="*"))]
        others += [path.name for path in folder.glob(MEASURED)]
        checksums.seal_folder(folder, [REPORT, LOG, *others])

    def _finished(self, folder: Path) -> bool:
        """Tell whether a task is finished and its files are intact; invalidate damaged ones."""
        if not (folder / checksums.FOLDER_RECORD).exists():
            return False
        reason = checksums.folder_fault(folder) or checksums.folder_fault(folder / "model")
        if reason is None:
            return True
        print(f"{reason}; the task is trained again from its last checkpoint", file=sys.stderr)
        (folder / checksums.FOLDER_RECORD).unlink()
        return False

    def _fit(self, place: int, task: str, folder: Path) -> dict:
        settings, module = budget.of_task(self.settings, task), self.module
        log = folder / LOG
        step_log = meters.StepLog(
            log,
            settings["global_batch_size"] * settings["sequence_length"],
            settings["log_interval"],
            task,
        )
        resume = ranks.on_rank_zero(lambda: checkpoints.usable(folder))
        done = checkpoints.step_of(resume) if resume else 0
        print(f"{task}: step {done} of {settings['steps']}", file=sys.stderr, flush=True)
        module.task_seed = self.rows.seed(place)
        module.prepare = partial(self._prepare, place)
        optimiser_module(settings).connect(module)
        fitting = self._trainer(
            settings,
            [
                # First, so that logs, validation and checkpoints include what the method does here.
                MethodSteps(self.method, partial(self._loss_on, task)),
                step_log,
                meters.Validation(
                    log, settings["validation_interval"], task, partial(self._validate, task)
                ),
                checkpoints.PeriodicCheckpoint(folder, settings["checkpoint_interval"]),
            ],
        )
        with memory.named(settings, module, fitting):
            fitting.fit(
                module,
                train_dataloaders=self.rows.loader(
                    self.rows.task(place, self.strategies), task, done
                ),
                ckpt_path=str(resume) if resume else None,
            )
        # Lightning moves the model to the CPU, but estimating Fisher information may follow.
        module.model.to(fitting.strategy.root_device)
        trainable = self.method.trainable_count(module.model)
        shape = accounting.shape_of(module.model, self.places.model, settings["sequence_length"])
        processed = accounting.task_processed(shape, settings, self.strategies, place)
        self.method.end_task(module.model, place + 1)
        for strategy in self.strategies:
            strategy.finish_task(module.context)
        # The state that strategies keep of a task is only needed by later tasks.
        if place + 1 < len(settings["sequence"]):
            for strategy in self.strategies:
                strategy.end_task(module.context, task)
        return {
            "task": task,
            "parameters": sum(p.numel() for p in module.model.parameters()),
            "trainable_parameters": trainable,
            "steps": settings["steps"],
            "tokens": settings["steps"] * step_log.tokens_per_step,
            "tokens_processed": processed.tokens,
            "flops": processed.flops,
            "training_seconds": step_log.training_seconds,
            "peak_memory_mib": ranks.largest(meters.peak_memory_mib()),
            "final_training_loss": step_log.last_loss,
        }

    def _trainer(self, settings: dict, callbacks: list) -> Trainer:
        return trainer(settings, callbacks)

    def _prepare(self, place: int) -> None:
        """Inform the method and the strategies of a task; before the first, of the source domain.

        The model is as at the end of the previous task, also if the task is resumed afterwards.
        """
        module, known = self.module, self.settings["source_domain"]
        domains = [known, *self.settings["sequence"]]
        module.context = Context(
            model=module.model,
            method=self.method,
            rows=self._batch,
            loss=module.loss,
            reduce=module.trainer.strategy.reduce,
            batch_size=self.settings["micro_batch_size"],
            seed=seeds.of_run(self.settings, "strategies"),
        )
        if place == 0:
            self._note_known(known)
        self.method.begin_task(module.model, place + 1)
        for strategy in self.strategies:
            strategy.begin_task(module.context, domains[: place + 1], place + 1)

    def _batch(self, domain: str, first: int, count: int) -> Batch:
        device = self.module.model.device
        rows = self.rows.batch(domain, first, count)
        return {name: values.to(device) for name, values in rows.items()}

    def _validate(self, task: str) -> dict[str, float]:
        losses = {"validation_loss": self._loss_on(task)}
        known = self.settings["source_domain"]
        losses[f"{known}_validation_loss"] = (
            losses["validation_loss"] if known == task else self._loss_on(known)
        )
        return losses

    def _loss_on(self, domain: str) -> float:
        rows = self.rows.validation(domain)
        # Compiling variants for masks and for no gradients would take longer than it saves.
        with torch.compiler.set_stance("force_eager"):
            loss = mean_loss(self.module.model, rows, self.settings["micro_batch_size"])
        # All processes use the same value, so a method that decides by it decides alike in all.
        return ranks.mean([loss])[0]

    def _note_known(self, known: str) -> None:
        """Let the strategies record their state of the source domain, or load it if it was saved
        before (estimating Fisher information takes a while)."""
        folder = self.places.checkpoints / BEFORE
        if ranks.on_rank_zero(lambda: checksums.folder_fault(folder)) is None:
            self._load_notes(folder)
            return
        for strategy in self.strategies:
            strategy.end_task(self.module.context, known)

        def keep() -> None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._save_notes(folder)
            checksums.seal_folder(folder)

        ranks.on_rank_zero(keep)

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
