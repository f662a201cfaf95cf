"""Evaluate the model after each task of a run on every domain: the rows of the matrix R."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from jadapt.core import checksums
from jadapt.data.evaluation_rows import evaluation_rows
from jadapt.data.tokens import TokenFile
from jadapt.evaluation.documents import DocumentLosses
from jadapt.evaluation.likelihood import evaluate, text_rows
from jadapt.evaluation.tally import Tally
from jadapt.methods import loading
from jadapt.methods.base import Method
from jadapt.tokenization.tokenizers import Tokenizer

Measured = tuple[str, str, str, float, str, int]
Loaded = tuple[PreTrainedModel, Method | None]


def task_index(domain: str, known: str, trained: list[str]) -> int | None:
    """Return which task a text of ``domain`` belongs to, for a model trained on ``trained``.

    0 is the source domain, 1 the first task; None is a domain that the model was not trained on.
    """
    if domain in trained:
        return trained.index(domain) + 1
    return 0 if domain == known else None


class Stages:
    """Evaluates models on the test splits, which are read and packed once.

    Args:
        settings: ``sequence_length``, ``maximum_tokens`` per domain, ``batch_size``, ``known`` (the
            source domain) and, to compute on the GPU, ``accelerator: gpu``.
        tokens: the token folder of each domain's test split; one without documents is left out.
        tokenizer: the tokenizer that made the token files.
        base: the folder of the base model, to which adapters are applied.
    """

    def __init__(
        self, settings: dict, tokens: dict[str, Path], tokenizer: Tokenizer, base: Path
    ) -> None:
        self.settings, self.base = settings, base
        self.token_bytes = tokenizer.token_bytes()
        checksums.check_folder(base)
        self.rows: dict[str, list[dict[str, np.ndarray]]] = {}
        for domain, folder in tokens.items():
            token_file = TokenFile(folder)
            if not len(token_file):
                print(f"{domain}: not available, left out", file=sys.stderr)
                continue
            token_file.check(tokenizer.sha256)
            self.rows[domain] = list(
                evaluation_rows(
                    token_file,
                    settings["sequence_length"],
                    maximum_tokens=settings["maximum_tokens"],
                    start_id=tokenizer.start_id,
                )
            )

    def evaluate(
        self, models: dict[str, Path], further: Callable[[str, Loaded], None] | None = None
    ) -> Iterator[Measured]:
        """Yield (trained_through, evaluated_on, metric, value, unit, n) for a run's models.

        No model is told the task of a text. What a method that keeps something of each task reaches
        when it is told stands apart, as ``bits_per_byte_with_task``.

        Args:
            models: one folder per task, in the order of training.
            further: is called with the task and its model after its texts, while it is in memory.
        """
        trained: list[str] = []
        for task, directory in models.items():
            checksums.check_folder(directory)
            model, method = loading.load(directory, self.base)
            if self.settings.get("accelerator") == "gpu":
                model.to("cuda")
            if task != self.settings["source_domain"]:
                trained.append(task)
            for row in self.measure(model, method, trained):
                yield (task, *row)
            if further is not None:
                further(task, (model, method))
            print(f"{directory}: evaluated", file=sys.stderr, flush=True)

    def measure(
        self,
        model: PreTrainedModel,
        method: Method | None,
        trained: list[str],
        domains: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
        losses: DocumentLosses | None = None,
    ) -> Iterator[tuple[str, str, float, str, int]]:
        """Yield (evaluated_on, metric, value, unit, n) of a model in memory, in evaluation mode.

        Args:
            model: on the device that is to compute.
            method: how it was adapted; None for the base model.
            trained: the tasks that it was trained on, in order.
            domains: to measure; those that are not there are left out. Default: all.
            metrics: of whole texts, to report. Default: all, those by script too.
            losses: gets the losses of single documents.
        """
        for domain, rows in self.rows.items():
            if domains is not None and domain not in domains:
                continue
            tally = self._tally(model, rows, metrics)
            if losses is not None:
                for document, bits, size in tally.documents:
                    losses.add(domain, document, bits, size)
            found = list(text_rows(tally, wanted=metrics))
            if method is not None and method.needs_task_id:
                method.for_task(model, task_index(domain, self.settings["source_domain"], trained))
                tally = self._tally(model, rows, metrics)
                method.for_task(model, None)
                found += text_rows(tally, told=True, wanted=metrics)
            for name, value, unit, n in found:
                yield domain, name, value, unit, n

    def _tally(
        self,
        model: PreTrainedModel,
        rows: list[dict[str, np.ndarray]],
        metrics: Sequence[str] | None,
    ) -> Tally:
        size, whole = self.settings["batch_size"], metrics is not None
        return evaluate(model, rows, self.token_bytes, size, by_character=not whole)
