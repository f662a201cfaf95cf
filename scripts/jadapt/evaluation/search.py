"""Learning-rate grids and ablations: many short runs on the first task, in one process."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean, median

import numpy as np
from transformers import PreTrainedModel

from jadapt.core import checksums
from jadapt.core.errors import UserError
from jadapt.core.files import read_json, write_json
from jadapt.data.evaluation_rows import evaluation_rows
from jadapt.data.tokens import TokenFile
from jadapt.evaluation.likelihood import evaluate
from jadapt.models.loading import checkpoint
from jadapt.tokenization.tokenizers import Tokenizer
from jadapt.training import provenance
from jadapt.training.async_scalars import Diverged
from jadapt.training.distributed import ranks
from jadapt.training.module import AdaptationModule
from jadapt.training.run import LOG, Places, Run

RESULT = "result.json"


@dataclass(frozen=True)
class Point:
    """One run of the search."""

    variant: str
    folder: str
    settings: dict
    rate: float
    seed: int


def costs(report: dict, log: Path) -> list[list]:
    """Return the costs of a point, as rows of (domain, metric, value, unit, n).

    Args:
        report: what `Run.train` returned.
        log: the ``train.jsonl`` of its task.

    Returns:
        The peak memory and the speed, which is the median over the lines of the log, so that what
        happens once (compiling, recording) does not count; with a loss scaler also the last scale
        and the number of skipped steps.
    """
    lines = [json.loads(text) for text in log.read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if "tokens_per_second" in line]
    speed = median(line["tokens_per_second"] for line in steps)
    scaling = [name for name in ("loss_scale", "skipped_steps") if name in steps[-1]]
    return [
        ["", "peak_memory_mib", report["peak_memory_mib"], "MiB", 1],
        ["", "median_tokens_per_second", speed, "token/s", len(steps)],
        *(["", name, steps[-1][name], "1", 1] for name in scaling),
    ]


class Search:
    """Trains every variant of a run at every rate with every seed; chooses one rate per variant.

    Args:
        settings: what `jadapt.config.runs.search_settings` or `ablation_settings` returned.
        study: the name of the study, for the table.
        model: folder of the base model.
        tokens: one folder per domain, with ``train`` and ``validation``.
        tokenizer: the tokenizer that made the token files.
        checkpoints: where finished points are kept until all are done.
    """

    def __init__(
        self,
        settings: dict,
        study: str,
        model: Path,
        tokens: dict[str, Path],
        tokenizer: Tokenizer,
        checkpoints: Path,
    ):
        self.settings, self.study = settings, study
        self.model, self.tokens, self.tokenizer = model, tokens, tokenizer
        self.checkpoints = checkpoints
        first = settings["variants"][0]["settings"]
        self.task, self.known = first["sequence"][0], first["source_domain"]
        self.token_bytes = tokenizer.token_bytes()
        self.rows = {domain: self._rows(domain, first) for domain in (self.known, self.task)}

    def run(self) -> tuple[list[tuple], dict[str, float]]:
        """Train and evaluate every point.

        Returns:
            The rows of `jadapt.core.tables.GRID` (NaN where training diverged), the base model's
            first, and the chosen rate of each variant: the one with the lowest mean bits per byte
            on the task's validation split.

        Raises:
            UserError: training diverged at every rate of a variant.
        """
        results = [(point, self._result(point)) for point in self._points()]
        choices = {
            variant["name"]: self._choose(variant["name"], results)
            for variant in self.settings["variants"]
        }
        rows = list(self._base_rows())
        for point, result in results:
            chosen = point.rate == choices[point.variant]
            for domain, metric, value, unit, n in result:
                rows.append(
                    (
                        self.study, self.settings["run"], self.settings["ablation"], point.variant,
                        repr(point.rate), point.seed, domain, metric,
                        repr(math.nan if value is None else value), unit, n, chosen,
                    )
                )  # fmt: skip
        return rows, choices

    def _points(self) -> Iterator[Point]:
        for number, variant in enumerate(self.settings["variants"]):
            for rate in self.settings["rates"]:
                for seed in self.settings["seeds"]:
                    settings = {**variant["settings"], "learning_rate": rate, "seed": seed}
                    yield Point(
                        variant["name"], f"{number}/{rate:g}/seed{seed}", settings, rate, seed
                    )

    def _result(self, point: Point) -> list[list]:
        """Train one point, or load its result if an earlier attempt has finished it.

        Points of an ablation include their costs, which the varied setting may affect.
        """
        folder = self.checkpoints / point.folder
        label = f"{point.variant} rate {point.rate:g} seed {point.seed}".strip()
        with provenance.alone(folder):
            known = ranks.on_rank_zero(lambda: self._known(point, folder))
            if known is not None:
                return known
            print(label, file=sys.stderr, flush=True)
            # If an earlier attempt was stopped between training and evaluation, train again from
            # the last checkpoint: models are evaluated in the precision that they have in memory.
            ranks.on_rank_zero(
                lambda: (folder / self.task / checksums.FOLDER_RECORD).unlink(missing_ok=True)
            )
            places = Places(self.model, self.tokens, folder, folder)
            run = Run(point.settings, places, self.tokenizer, self._module)
            try:
                report = run.train()
            except Diverged as error:
                print(f"{label}: {error}", file=sys.stderr, flush=True)
                result = [
                    [domain, "bits_per_byte", None, "bit/byte", 0]
                    for domain in (self.known, self.task)
                ]
            else:
                result = self._evaluate(self._module.model)
                count = report["trainable_parameters"]
                result.append(["", "trainable_parameters", count, "1", 1])
                if self.settings["ablation"]:
                    result += costs(report, folder / self.task / LOG)
            ranks.on_rank_zero(lambda: write_json(folder / RESULT, result))
        return result

    def _known(self, point: Point, folder: Path) -> list[list] | None:
        """Claim the folder of a point; return the result of an earlier attempt, if there is one."""
        expected = provenance.fingerprint(point.settings, self.model, self.tokens)
        provenance.claim(folder, expected)
        return read_json(folder / RESULT) if (folder / RESULT).exists() else None

    @cached_property
    def _module(self) -> AdaptationModule:
        return AdaptationModule(self.model)

    def _evaluate(self, model: PreTrainedModel) -> list[list]:
        """Evaluate a model without telling it the task."""
        model.eval()
        result = []
        for domain, rows in self.rows.items():
            tally = evaluate(model, rows, self.token_bytes, self.settings["batch_size"])
            bits = tally.bits / tally.bytes
            result.append([domain, "bits_per_byte", bits, "bit/byte", tally.bytes])
        return result

    def _rows(self, domain: str, settings: dict) -> list[dict[str, np.ndarray]]:
        tokens = TokenFile(self.tokens[domain] / "validation")
        tokens.check(self.tokenizer.sha256)
        return list(
            evaluation_rows(
                tokens,
                settings["sequence_length"],
                maximum_tokens=self.settings["maximum_tokens"],
                start_id=self.tokenizer.start_id,
            )
        )

    def _base_rows(self) -> Iterator[tuple]:
        model = checkpoint(self.model)
        model.config.use_cache = False
        if self.settings["variants"][0]["settings"]["accelerator"] == "gpu":
            model.to("cuda")
        for domain, metric, value, unit, n in self._evaluate(model):
            yield (
                self.study, "base", "", "", repr(0.0), 0, domain, metric, repr(value), unit, n,
                False,
            )  # fmt: skip

    def _choose(self, variant: str, results: list[tuple[Point, list[list]]]) -> float:
        losses: dict[float, list[float]] = {}
        for point, result in results:
            if point.variant == variant:
                found = next(value for domain, _, value, *_ in result if domain == self.task)
                losses.setdefault(point.rate, []).append(math.inf if found is None else found)
        rate = min(losses, key=lambda rate: mean(losses[rate]))
        if math.isinf(mean(losses[rate])):
            raise UserError(
                f"{self.settings['run']}: training diverged at every rate "
                f"({', '.join(f'{rate:g}' for rate in losses)}); add lower ones to "
                f"methods.{self.settings['run']}.learning_rate"
            )
        return rate
