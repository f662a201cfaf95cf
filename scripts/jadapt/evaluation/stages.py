"""Evaluate the model after each task of a run on every domain: the rows of the matrix R."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from jadapt.core import checksums
from jadapt.data.evaluation_rows import evaluation_rows
from jadapt.data.tokens import TokenFile
from jadapt.evaluation.likelihood import evaluate, text_rows
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

        A method that keeps parameters per task is told the task of each text; its
        ``bits_per_byte_without_task`` is what it reaches without being told.

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
            for domain, rows in self.rows.items():
                told = method if method is not None and method.needs_task_id else None
                if told:
                    told.for_task(
                        model, task_index(domain, self.settings["source_domain"], trained)
                    )
                tally = evaluate(model, rows, self.token_bytes, self.settings["batch_size"])
                for metric in text_rows(tally):
                    yield (task, domain, *metric)
                if told:
                    told.for_task(model, None)
                    tally = evaluate(model, rows, self.token_bytes, self.settings["batch_size"])
                    for metric in text_rows(tally, told=False):
                        yield (task, domain, *metric)
            if further is not None:
                further(task, (model, method))
            print(f"{directory}: evaluated", file=sys.stderr, flush=True)
