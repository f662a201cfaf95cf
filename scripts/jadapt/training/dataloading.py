"""The rows of a run: those of each task, those of its memories, those it is validated on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from jadapt.data.evaluation_rows import evaluation_rows
from jadapt.data.loading import PackedRows, RowsFrom
from jadapt.data.mixing import MixedStream, Stream
from jadapt.data.packing import PackedStream
from jadapt.data.sampling import Regularisation, SampledStream
from jadapt.data.tokens import TokenFile
from jadapt.methods.strategy import Batch, Strategy
from jadapt.tokenization.tokenizers import Tokenizer
from jadapt.training.distributed import ranks

# The known language has no place in the sequence; a number that no task reaches stands for it.
KNOWN = 99
TASKS = 100


class TrainingRows:
    """Reads the token files of a run.

    The order of a domain's rows depends on the run's seed and the domain's place in the sequence
    alone, so it is the same for every method.

    Args:
        settings: a run's settings, with ``seed``.
        tokens: a folder a domain, which holds a token file a split.
        tokenizer: the one that the tokens were made with.
    """

    def __init__(self, settings: dict, tokens: dict[str, Path], tokenizer: Tokenizer) -> None:
        self._settings, self._tokens, self._tokenizer = settings, tokens, tokenizer
        self._streams: dict[tuple[str, int, bool], PackedStream] = {}
        self._validation: dict[str, list[dict[str, np.ndarray]]] = {}

    def seed(self, place: int) -> int:
        """Return the seed of the task at ``place`` in the sequence (0 is the first)."""
        return self._settings["seed"] * 1000 + place

    def stream(self, domain: str) -> PackedStream:
        """Return the rows of a domain as its own task sees them, never sampled."""
        return self._packed(domain, self.seed(self._place(domain)))

    def task(self, place: int, strategies: list[Strategy]) -> Stream:
        """Return the rows that the task at ``place`` trains on, as the strategies mix them.

        Where the run has ``subword_regularisation``, their segmentations are drawn at random.
        """
        sampled = bool(self._settings.get("subword_regularisation"))
        domains = [self._settings["source_domain"], *self._settings["sequence"]]

        def own(domain: str) -> PackedStream:
            return self._packed(domain, self.seed(self._place(domain)), sampled)

        stream: Stream = own(self._settings["sequence"][place])
        if mixture := self._settings.get("mixture"):
            other = self._packed(mixture["domain"], self.seed(place), sampled)
            stream = MixedStream(stream, other, mixture["share"])
        earlier = [own(domain) for domain in domains[: place + 1]]
        # Joint training comes by all domains in every task, each time in another order.
        offset = TASKS * (place + 1)
        every = [
            self._packed(domain, self.seed(offset + i), sampled) for i, domain in enumerate(domains)
        ]
        for strategy in strategies:
            stream = strategy.mix(stream, earlier, every)
        return stream

    def loader(self, stream: Stream, done: int) -> DataLoader:
        """Return this process's batches of a task from optimiser step ``done`` on."""
        settings = self._settings
        count = settings["steps"] * settings["global_batch_size"]
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
            # A generator of its own: the loader must not draw from the model's random numbers.
            generator=torch.Generator().manual_seed(settings["seed"]),
        )

    def batch(self, domain: str, first: int, count: int) -> Batch:
        """Return rows [first, first + count) of a domain, int64 of shape (count, T)."""
        stream = self.stream(domain)
        rows = [stream.row(index) for index in range(first, first + count)]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def available(self) -> dict[str, int]:
        """Return the number of training rows of each domain: the known one, then the tasks."""
        domains = [self._settings["source_domain"], *self._settings["sequence"]]
        return {domain: self.stream(domain).rows_per_epoch for domain in dict.fromkeys(domains)}

    def validation(self, domain: str) -> list[dict[str, np.ndarray]]:
        """Return the rows that a domain is validated on; kept, as every validation reads them."""
        if domain not in self._validation:
            self._validation[domain] = list(
                evaluation_rows(
                    self._file(domain, "validation"),
                    self._settings["sequence_length"],
                    maximum_tokens=self._settings["validation_tokens"],
                    start_id=self._tokenizer.start_id,
                    # Scored as in training, so that the two losses can be laid over each other.
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
                stream = SampledStream(tokens, length, seed, tokenizer, drawn)
            else:
                stream = PackedStream(
                    tokens, length, seed, start_id=tokenizer.start_id, end_id=tokenizer.end_id
                )
            self._streams[key] = stream
        return self._streams[key]

    def _file(self, domain: str, split: str) -> TokenFile:
        tokens = TokenFile(self._tokens[domain] / split)
        tokens.check(self._tokenizer.sha256)
        return tokens
