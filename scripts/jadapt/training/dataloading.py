"""The data of a run: training rows of each task, rows for the strategies, validation rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from jadapt.config import budget
from jadapt.core import seeds
from jadapt.data.evaluation_rows import evaluation_rows
from jadapt.data.loading import PackedRows, RowsFrom
from jadapt.data.mixing import MixedStream, Stream
from jadapt.data.packing import PackedStream
from jadapt.data.sampling import Regularisation, SampledStream
from jadapt.data.tokens import TokenFile
from jadapt.methods.strategy import Batch, Strategy
from jadapt.tokenization.tokenizers import Tokenizer
from jadapt.training.distributed import ranks

# Stands for the position of the source domain, which is not part of the task sequence.
KNOWN = 99
TASKS = 100


class TrainingRows:
    """Reads the token files of a run.

    The order of a domain's rows depends only on the run's seed and the domain's position in the
    sequence, so it is the same for every method.

    Args:
        settings: the settings of a run, with ``seed``.
        tokens: one folder per domain, which holds one token file per split.
        tokenizer: the tokenizer that made the token files.
    """

    def __init__(self, settings: dict, tokens: dict[str, Path], tokenizer: Tokenizer) -> None:
        self._settings, self._tokens, self._tokenizer = settings, tokens, tokenizer
        self._streams: dict[tuple[str, int, bool], PackedStream] = {}
        self._validation: dict[str, list[dict[str, np.ndarray]]] = {}

    def seed(self, place: int) -> int:
        """Return the seed of the task at position ``place`` of the sequence (from 0)."""
        return self._seed(place, "task", place)

    def _seed(self, offset: int, *key: object) -> int:
        """Return the seed of one stream of rows.

        Runs with a ``role`` draw from streams of their own (`jadapt.core.seeds`). The others keep
        the seeds that released results were drawn with: 1000 per seed of the run, plus an offset.
        """
        if role := self._settings.get("role"):
            return seeds.stream(role, self._settings["seed"], *key)
        return self._settings["seed"] * 1000 + offset

    def _rows_seed(self, domain: str) -> int:
        return self._seed(self._place(domain), "rows", domain)

    def stream(self, domain: str) -> PackedStream:
        """Return the rows of a domain in the order of its own task, without subword sampling."""
        return self._packed(domain, self._rows_seed(domain))

    def task(self, place: int, strategies: list[Strategy]) -> Stream:
        """Return the training rows of the task at ``place``, after the strategies have mixed them.

        With ``subword_regularisation`` the segmentation of every text is drawn at random.
        """
        sampled = bool(self._settings.get("subword_regularisation"))
        domains = [self._settings["source_domain"], *self._settings["sequence"]]

        def own(domain: str) -> PackedStream:
            return self._packed(domain, self._rows_seed(domain), sampled)

        stream: Stream = own(self._settings["sequence"][place])
        if mixture := self._settings.get("mixture"):
            drawn = self._seed(place, "mixture", mixture["domain"])
            other = self._packed(mixture["domain"], drawn, sampled)
            stream = MixedStream(stream, other, mixture["share"])
        earlier = [own(domain) for domain in domains[: place + 1]]
        # Joint training sees all domains in every task, each time in another order.
        offset = TASKS * (place + 1)
        every = [
            self._packed(domain, self._seed(offset + i, "joint", place, domain), sampled)
            for i, domain in enumerate(domains)
        ]
        for strategy in strategies:
            stream = strategy.mix(stream, earlier, every)
        return stream

    def loader(self, stream: Stream, task: str, done: int) -> DataLoader:
        """Return the batches of this process for a task, beginning after ``done`` steps."""
        settings = self._settings
        count = budget.rows(settings, task)
        return DataLoader(
            PackedRows(stream, count),
            sampler=RowsFrom(
                done * settings["global_batch_size"],
                count,
                settings["micro_batch_size"],
                ranks.rank(),
                ranks.count(),
            ),
            batch_size=settings["micro_batch_size"],
            # A separate generator, so that the loader does not advance torch's global one.
            generator=torch.Generator().manual_seed(settings["seed"]),
        )

    def batch(self, domain: str, first: int, count: int) -> Batch:
        """Return rows [first, first + count) of a domain, int64 of shape (count, T)."""
        stream = self.stream(domain)
        rows = [stream.row(index) for index in range(first, first + count)]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def available(self) -> dict[str, int]:
        """Return the number of training rows of each domain: the source domain, then the tasks."""
        domains = [self._settings["source_domain"], *self._settings["sequence"]]
        return {domain: self.stream(domain).rows_per_epoch for domain in dict.fromkeys(domains)}

    def validation(self, domain: str) -> list[dict[str, np.ndarray]]:
        """Return the validation rows of a domain (cached, since every validation reads them)."""
        if domain not in self._validation:
            self._validation[domain] = list(
                evaluation_rows(
                    self._file(domain, "validation"),
                    self._settings["sequence_length"],
                    maximum_tokens=self._settings["validation_tokens"],
                    start_id=self._tokenizer.start_id,
                    # The end token is scored, as in training: the two losses are comparable.
                    end_id=self._tokenizer.end_id,
                )
            )
        return self._validation[domain]

    def _place(self, domain: str) -> int:
        sequence = self._settings["sequence"]
        return sequence.index(domain) if domain in sequence else KNOWN

    def _packed(self, domain: str, seed: int, sampled: bool = False) -> PackedStream:
        key = (domain, seed, sampled)
        if key not in self._streams:
            tokens, length = self._file(domain, "train"), self._settings["sequence_length"]
            tokenizer = self._tokenizer
            if sampled:
                drawn = Regularisation(**self._settings["subword_regularisation"])
                self._streams[key] = SampledStream(tokens, length, seed, tokenizer, drawn)
            else:
                self._streams[key] = PackedStream(
                    tokens, length, seed, start_id=tokenizer.start_id, end_id=tokenizer.end_id
                )
        return self._streams[key]

    def _file(self, domain: str, split: str) -> TokenFile:
        tokens = TokenFile(self._tokens[domain] / split)
        tokens.check(self._tokenizer.sha256)
        return tokens
