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
from jadapt.data.partition import reserved, unreserved
from jadapt.data.sampling import Regularisation, SampledStream
from jadapt.data.tokens import TokenFile
from jadapt.methods.strategy import Batch, Strategy
from jadapt.tokenization.tokenizers import Tokenizer
from jadapt.training.distributed import ranks


class TrainingRows:
    """Reads the token files of a run.

    The order of a domain's rows depends only on the run's role, its seed and the domain, so it is
    the same for every method. Of a domain that pre-training takes a little of, pre-training draws
    the documents that are reserved for it, and every other role the others.

    Args:
        settings: the settings of a run, with ``role`` (of `jadapt.core.seeds`), ``seed`` and
            ``reserved`` (shares of the documents that are kept for pre-training, by domain).
        tokens: one folder per domain, which holds one token file per split.
        tokenizer: the tokenizer that made the token files.
    """

    def __init__(self, settings: dict, tokens: dict[str, Path], tokenizer: Tokenizer) -> None:
        self._settings, self._tokens, self._tokenizer = settings, tokens, tokenizer
        self._streams: dict[tuple[str, int, bool], PackedStream] = {}
        self._validation: dict[str, list[dict[str, np.ndarray]]] = {}

    def seed(self, place: int) -> int:
        """Return the seed of the task at position ``place`` of the sequence (from 0)."""
        return self._seed("task", place)

    def _seed(self, *key: object) -> int:
        """Return the seed of one stream of random numbers of the run."""
        return seeds.of_run(self._settings, *key)

    def stream(self, domain: str) -> PackedStream:
        """Return the rows of a domain in the order of its own task, without subword sampling."""
        return self._packed(domain, self._seed("rows", domain))

    def task(self, place: int, strategies: list[Strategy]) -> Stream:
        """Return the training rows of the task at ``place``, after the strategies have mixed them.

        With ``subword_regularisation`` the segmentation of every text is drawn at random.
        """
        sampled = bool(self._settings.get("subword_regularisation"))
        domains = [self._settings["source_domain"], *self._settings["sequence"]]

        def own(domain: str) -> PackedStream:
            return self._packed(domain, self._seed("rows", domain), sampled)

        stream: Stream = own(self._settings["sequence"][place])
        if mixture := self._settings.get("mixture"):
            drawn = self._seed("mixture", place, mixture["domain"])
            other = self._packed(mixture["domain"], drawn, sampled)
            stream = MixedStream(stream, other, mixture["share"])
        earlier = [own(domain) for domain in domains[: place + 1]]
        # Joint training sees all domains in every task, each time in another order.
        every = [
            self._packed(domain, self._seed("joint", place, domain), sampled) for domain in domains
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
            generator=torch.Generator().manual_seed(self._seed("loader")),
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

    def _documents(self, domain: str, count: int) -> range | None:
        """Return which of ``count`` training documents this run may draw; None is all."""
        share = self._settings["reserved"].get(domain)
        if share is None:
            return None
        pretraining = self._settings["role"] == "pretraining"
        return reserved(count, share) if pretraining else unreserved(count, share)

    def _packed(self, domain: str, seed: int, sampled: bool = False) -> PackedStream:
        key = (domain, seed, sampled)
        if key not in self._streams:
            tokens, length = self._file(domain, "train"), self._settings["sequence_length"]
            tokenizer, documents = self._tokenizer, self._documents(domain, len(tokens))
            if sampled:
                drawn = Regularisation(**self._settings["subword_regularisation"])
                self._streams[key] = SampledStream(
                    tokens, length, seed, tokenizer, drawn, documents
                )
            else:
                self._streams[key] = PackedStream(
                    tokens, length, seed, tokenizer.start_id, tokenizer.end_id, documents
                )
        return self._streams[key]

    def _file(self, domain: str, split: str) -> TokenFile:
        tokens = TokenFile(self._tokens[domain] / split)
        tokens.check(self._tokenizer.sha256)
        return tokens
