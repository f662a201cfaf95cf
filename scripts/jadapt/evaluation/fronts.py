"""Fronts: a run at every rate and strength through the whole sequence, measured as it stands.

A method is not one point. The rate that learns a task best may forget most, so each run is trained
at all of its learning rates and strengths (of its penalty, its share of old text, ...), and every
model is measured on what was to be learned and on what was to be kept. Where one point is needed, a
rule that the study states picks it, on validation text (`jadapt.evaluation.selection`).

Many short trainings share one process, since starting NeMo takes ten seconds.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

import torch

from jadapt.core import checksums
from jadapt.core.errors import UserError
from jadapt.core.files import read_json, write_json
from jadapt.evaluation.documents import DocumentLosses
from jadapt.evaluation.selection import Choice, Rule, choose, extension
from jadapt.evaluation.stages import Stages
from jadapt.methods.interpolation import interpolated
from jadapt.tokenization.tokenizers import Tokenizer
from jadapt.training import provenance
from jadapt.training.async_scalars import Diverged
from jadapt.training.distributed import ranks
from jadapt.training.module import AdaptationModule
from jadapt.training.run import LOG, Places, Run

RESULT = "result.json"
DOCUMENTS = "documents.parquet"
SPLITS = ("validation", "test")
BASE_DOCUMENTS = "base.parquet"
# What points are compared by; methods that keep something for each task are measured both ways.
BITS = ("bits_per_byte", "bits_per_byte_with_task")
# What a measurement is of: (trained through, interpolation, domain, split, metric, value, unit, n).
Measured = list


@dataclass(frozen=True)
class Point:
    """One training of a front."""

    variant: str
    strength: str
    rate: float
    seed: int
    settings: dict
    folder: str

    @property
    def label(self) -> str:
        """Name it in the log."""
        words = [self.variant, self.strength and f"strength {self.strength}"]
        return " ".join([*filter(None, words), f"rate {self.rate:g} seed {self.seed}"])


class Front:
    """Trains and measures the points of one run.

    Args:
        settings: of `jadapt.config.runs.front_settings`:
            ``run``, ``ablation``, ``variants`` (``name``, ``strength``, ``settings``), ``rates``,
            ``seeds``, ``extend`` (how many rates may be added beyond an end of the grid),
            ``interpolations``, ``rule`` (None for an ablation), ``retention`` and ``domains`` to
            measure, ``maximum_tokens``, ``batch_size``.
        study: name for the table.
        model: checkpoint of the base model.
        tokens: a folder for each domain, with one for each split.
        tokenizer: the one that the tokens were made with.
        work: where finished points are kept until all are done.
        train: whether points that are not finished are trained; otherwise the table has those
            that are, and none of them is chosen.
    """

    def __init__(
        self,
        settings: dict,
        study: str,
        model: Path,
        tokens: dict[str, Path],
        tokenizer: Tokenizer,
        work: Path,
        train: bool = True,
    ):
        self.settings, self.study, self.model, self.tokens = settings, study, model, tokens
        self.tokenizer, self.work, self.train = tokenizer, work, train
        first = settings["variants"][0]["settings"]
        self.sequence, self.source = first["sequence"], first["source_domain"]
        measuring = {
            "sequence_length": first["sequence_length"],
            "maximum_tokens": settings["maximum_tokens"],
            "batch_size": settings["batch_size"],
            "source_domain": self.source,
            "accelerator": first["accelerator"],
        }
        # Domains that are not available have no token file, or an empty one.
        self.stages = {
            split: Stages(measuring, self._folders(split), tokenizer, model) for split in SPLITS
        }
        self._check_splits()

    def _check_splits(self) -> None:
        """Refuse text of which one split is there: the rule would weigh what is not measured."""
        for name in dict.fromkeys([*self.sequence, *self.settings["retention"]]):
            there = [split for split in SPLITS if name in self.stages[split].rows]
            if len(there) == 1:
                lacking = SPLITS[1 - SPLITS.index(there[0])]
                raise UserError(
                    f"{self.tokens[name] / lacking}: no tokens of '{name}', whose {there[0]} split "
                    "is there; make both, or neither"
                )

    def _folders(self, split: str) -> dict[str, Path]:
        folders = {name: self.tokens[name] / split for name in self.settings["domains"]}
        return {name: path for name, path in folders.items() if path.is_dir()}

    def run(self) -> tuple[list[tuple], Choice | None]:
        """Train and measure every point; extend the grid while the best rate lies at an end.

        Returns:
            The rows of the table (`jadapt.core.tables.FRONTS`; NaN where training diverged), the
            base model's first, and the chosen point, None for an ablation and where points of the
            grid are missing; without training it may lie at an end of the grid.

        Raises:
            UserError: training diverged at every point.
        """
        base = self._base()
        points = list(self._points(self.settings["rates"]))
        results = self._results(points)
        rule = self.settings["rule"] and Rule(**self.settings["rule"])
        if rule is None or len(results) < len(points):
            return list(self._rows(base, results, None)), None
        tasks, retention = self.sequence, self.settings["retention"]
        rates = list(self.settings["rates"])
        for _ in range(self.settings["extend"]):
            choice = choose(self.settings["run"], rule, base, results, tasks, retention)
            added = extension(rates, choice.rate)
            if added is None:
                break
            rates = sorted([*rates, added])
            print(
                f"the best rate {choice.rate:g} is an end of the grid; {added:g} is added",
                file=sys.stderr, flush=True,
            )  # fmt: skip
            more = [p for p in self._points([added]) if p.strength == choice.strength]
            found = self._results(more)
            if len(found) < len(more):
                break
            results += found
        choice = choose(self.settings["run"], rule, base, results, tasks, retention)
        return list(self._rows(base, results, choice)), choice

    def documents(self) -> Iterator[tuple[Point, Path]]:
        """Yield the base model and the points that were trained to the end, each with its losses by
        document."""
        yield Point("", "", 0.0, 0, {}, ""), self.work / BASE_DOCUMENTS
        for path in sorted(self.work.rglob(DOCUMENTS)):
            yield Point(**read_json(path.with_name("point.json"))), path

    def _points(self, rates: list[float]) -> Iterator[Point]:
        """Yield the points of a grid; a seed's come together, so that the first that are trained
        are a front."""
        for seed in self.settings["seeds"]:
            for number, variant in enumerate(self.settings["variants"]):
                for rate in rates:
                    settings = {**variant["settings"], "learning_rate": rate, "seed": seed}
                    folder = f"{number}/{rate:g}/seed{seed}"
                    names = variant["name"], variant.get("strength", "")
                    yield Point(*names, rate, seed, settings, folder)

    def _results(self, points: Iterable[Point]) -> list[tuple[Point, list[Measured]]]:
        """Return what was measured of the points, or, without training, of those finished."""
        if self.train:
            return [(point, self._result(point)) for point in points]
        found = [(point, self.work / point.folder / RESULT) for point in points]
        return [(point, read_json(path)) for point, path in found if path.exists()]

    def _result(self, point: Point) -> list[Measured]:
        """Train and measure one point, or take up its result from an earlier attempt."""
        folder = self.work / point.folder
        with provenance.alone(folder):
            known = ranks.on_rank_zero(lambda: self._known(point, folder))
            if known is not None:
                return known
            print(point.label, file=sys.stderr, flush=True)
            measured: list[Measured] = []

            def measure(place: int, task: str) -> None:
                """Measure the model after a task, and keep what was measured with the task."""
                training = run.module.model.training
                # Compiling for other shapes, without gradients, would take longer than it saves.
                with torch.compiler.set_stance("force_eager"):
                    found = self._measure(run, place, folder)
                run.module.model.train(training)
                ranks.on_rank_zero(lambda: write_json(folder / task / RESULT, found))

            places = Places(self.model, self.tokens, folder, folder)
            run = Run(point.settings, places, self.tokenizer, self._module, measure)
            try:
                report = run.train()
            except Diverged as error:
                print(f"{point.label}: {error}", file=sys.stderr, flush=True)
                measured = list(self._diverged())
            else:
                for task in self.sequence:
                    measured += read_json(folder / task / RESULT)
                measured += self._costs(report, folder)
            ranks.on_rank_zero(lambda: self._keep(point, folder, measured))
        return measured

    def _keep(self, point: Point, folder: Path, measured: list[Measured]) -> None:
        """Write the result of a point; its models are not needed any more."""
        for task in self.sequence:
            shutil.rmtree(folder / task, ignore_errors=True)
        write_json(folder / "point.json", {**vars(point), "settings": {}})
        write_json(folder / RESULT, measured)

    def _known(self, point: Point, folder: Path) -> list[Measured] | None:
        """Claim the folder of a point; return the result of an earlier attempt."""
        expected = provenance.fingerprint(point.settings, self.model, self.tokens)
        provenance.claim(folder, expected)
        return read_json(folder / RESULT) if (folder / RESULT).exists() else None

    @cached_property
    def _module(self) -> AdaptationModule:
        return AdaptationModule(self.model)

    def _measure(self, run: Run, place: int, folder: Path) -> list[Measured]:
        """Measure the model that a run has in memory after the task at ``place``.

        After the last task everything is measured, on both splits, and on test text at every
        interpolation, among which nothing is chosen; on the way there, what was just learned and
        what is to be kept, on test text.
        """
        trained = self.sequence[: place + 1]
        task, last = trained[-1], place + 1 == len(self.sequence)
        model, method = run.module.model.eval(), run.method
        if not last:
            wanted = [task, *self.settings["retention"]]
            return self._of(model, method, trained, 1.0, {"test": wanted})
        everything: dict[str, list[str] | None] = {"validation": None, "test": None}
        losses = DocumentLosses()
        found = self._of(model, method, trained, 1.0, everything, losses)
        if run.method.interpolates:
            for share in self.settings["interpolations"]:
                with interpolated(model, method, self.model, share):
                    found += self._of(model, method, trained, share, {"test": None}, losses)
        ranks.on_rank_zero(lambda: losses.write(folder / DOCUMENTS))
        return found

    def _of(
        self,
        model,
        method,
        trained: list[str],
        share: float,
        wanted: dict[str, list[str] | None],
        losses: DocumentLosses | None = None,
    ) -> list[Measured]:
        """Return the bits per byte of a model on the domains wanted of each split (None: all)."""
        found = []
        if losses:
            losses.share = share
        for split, domains in wanted.items():
            stages = self.stages[split]
            keep = losses if split == "test" else None
            for domain, metric, value, unit, n in stages.measure(
                model, method, trained, domains, BITS, keep
            ):
                found.append([trained[-1], share, domain, split, metric, value, unit, n])
        return found

    def _diverged(self) -> Iterator[Measured]:
        for split, stages in self.stages.items():
            for domain in stages.rows:
                name, unit = "bits_per_byte", "bit/byte"
                yield [self.sequence[-1], 1.0, domain, split, name, None, unit, 0]

    def _costs(self, report: dict, folder: Path) -> list[Measured]:
        """Return what a point took, as measurements of no domain."""
        rows = [("trainable_parameters", report["trainable_parameters"], "1", 1)]
        lines = [
            json.loads(text)
            for task in self.sequence
            for text in (folder / task / LOG).read_text(encoding="utf-8").splitlines()
        ]
        steps = [line for line in lines if "tokens_per_second" in line]
        rows += costs(report, steps)
        return [[self.sequence[-1], 1.0, "", "", *row] for row in rows]

    def _base(self) -> list[Measured]:
        """Measure the base model, whose weights every interpolation starts from."""
        from jadapt.models.loading import checkpoint

        path = self.work / "base.json"
        digest = checksums.digest(self.model / "model.safetensors")
        known = ranks.on_rank_zero(lambda: read_json(path) if path.exists() else None)
        if known is not None and known["model"] == digest:
            return known["rows"]
        model = checkpoint(self.model)
        model.config.use_cache = False
        if self.settings["variants"][0]["settings"]["accelerator"] == "gpu":
            model.to("cuda")
        found = []
        losses = DocumentLosses(share=0.0)
        for split, stages in self.stages.items():
            keep = losses if split == "test" else None
            measured = stages.measure(model.eval(), None, [], None, BITS, keep)
            for domain, metric, value, unit, n in measured:
                found.append(["", 0.0, domain, split, metric, value, unit, n])
        ranks.on_rank_zero(lambda: losses.write(self.work / BASE_DOCUMENTS))
        ranks.on_rank_zero(lambda: write_json(path, {"model": digest, "rows": found}))
        return found

    def _rows(
        self,
        base: list[Measured],
        results: list[tuple[Point, list[Measured]]],
        choice: Choice | None,
    ) -> Iterator[tuple]:
        for through, share, domain, split, metric, value, unit, n in base:
            yield (
                self.study, "base", "", "", repr(0.0), "", repr(share), 0, through, domain, split,
                metric, repr(value), unit, n, False,
            )  # fmt: skip
        for point, measured in results:
            chosen = choice is not None and (point.rate, point.strength) == (
                choice.rate,
                choice.strength,
            )
            for through, share, domain, split, metric, value, unit, n in measured:
                yield (
                    self.study, self.settings["run"], self.settings["ablation"], point.variant,
                    repr(point.rate), point.strength, repr(share), point.seed, through, domain,
                    split, metric, repr(math.nan if value is None else value), unit, n, chosen,
                )  # fmt: skip


def costs(report: dict, steps: list[dict]) -> list[tuple[str, float, str, int]]:
    """Return what a training took, as (metric, value, unit, n).

    Args:
        report: of `Run.train`.
        steps: the lines of the log that have a speed.

    Returns:
        The peak memory, tokens, seconds, and the speed as the median over the lines of the log, so
        that what happens once (compiling, recording) does not count; with a scaled loss also its
        last scale and how many steps were skipped.
    """
    speed = median(line["tokens_per_second"] for line in steps)
    scaling = [name for name in ("loss_scale", "skipped_steps") if name in steps[-1]]
    return [
        ("peak_memory_mib", report["peak_memory_mib"], "MiB", 1),
        ("median_tokens_per_second", speed, "token/s", len(steps)),
        ("tokens", report["tokens"], "token", 1),
        ("training_seconds", report["training_seconds"], "s", 1),
        *((name, steps[-1][name], "1", 1) for name in scaling),
    ]
