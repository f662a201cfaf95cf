"""The network of the BiLSTM-CRF segmenter (Huang, Xu and Yu 2015; for words, Chen et al. 2015).

A character is its embedding, that of its type and those of the two pairs that it makes with its
neighbours. Two LSTMs read them in both directions, and a CRF scores sequences of tags.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torchcrf import CRF

from jadapt.segmentation.features import PADDING, TAGS, TYPES, UNKNOWN, Features


@dataclass(frozen=True)
class NetworkSettings:
    """Sizes of the network: keys of ``segmentation.network``."""

    character_size: int
    bigram_size: int
    type_size: int
    hidden_size: int
    layers: int
    dropout: float


@dataclass(frozen=True)
class Batch:
    """Texts side by side; ``T`` is the longest, texts end in padding.

    ``characters`` and ``types`` have shape (texts, T), ``bigrams`` (texts, T + 1), ``lengths``
    (texts,); all int64.
    """

    characters: Tensor
    types: Tensor
    bigrams: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, features: list[Features]) -> Batch:
        """Pad the texts to the longest."""
        lengths = [len(each.characters) for each in features]
        width = max(lengths)
        arrays = []
        for name, extra in (("characters", 0), ("types", 0), ("bigrams", 1)):
            array = np.full((len(features), width + extra), PADDING, dtype=np.int64)
            for row, each, length in zip(array, features, lengths, strict=True):
                row[: length + extra] = getattr(each, name)
            arrays.append(torch.from_numpy(array))
        characters, types, bigrams = arrays
        return cls(characters, types, bigrams, torch.tensor(lengths))

    @property
    def mask(self) -> Tensor:
        """Which places hold a character, bool, shape (texts, T)."""
        return torch.arange(self.characters.shape[1]) < self.lengths[:, None]


class BiLSTMCRF(nn.Module):
    """Scores of tags for every character, and the CRF over them."""

    def __init__(self, settings: NetworkSettings, characters: int, bigrams: int) -> None:
        """``characters`` and ``bigrams`` are the numbers of known ones."""
        super().__init__()
        self.settings = settings
        first = UNKNOWN + 1
        self.characters = nn.Embedding(first + characters, settings.character_size, PADDING)
        self.bigrams = nn.Embedding(first + bigrams, settings.bigram_size, PADDING)
        self.types = nn.Embedding(len(TYPES), settings.type_size, PADDING)
        self.dropout = nn.Dropout(settings.dropout)
        size = settings.character_size + settings.type_size + 2 * settings.bigram_size
        self.forwards, self.backwards = nn.ModuleList(), nn.ModuleList()
        for _ in range(settings.layers):
            self.forwards.append(nn.LSTM(size, settings.hidden_size, batch_first=True))
            self.backwards.append(nn.LSTM(size, settings.hidden_size, batch_first=True))
            size = 2 * settings.hidden_size
        self.output = nn.Linear(size, len(TAGS))
        self.crf = CRF(len(TAGS), batch_first=True)

    def scores(self, batch: Batch) -> Tensor:
        """Return the score of every tag for every character, shape (texts, T, tags)."""
        pairs = self.bigrams(batch.bigrams)
        values = torch.cat(
            [
                self.characters(batch.characters),
                self.types(batch.types),
                pairs[:, :-1],
                pairs[:, 1:],
            ],
            dim=2,
        )
        # Each text is turned around within its own length, so that padding always comes last and
        # what a text gets does not depend on the texts beside it. (A packed sequence does the same
        # and is several times slower on CPUs, where it misses oneDNN.)
        turned = _turned(batch)
        for forwards, backwards in zip(self.forwards, self.backwards, strict=True):
            values = self.dropout(values)
            ahead, _ = forwards(values)
            behind, _ = backwards(_take(values, turned))
            values = torch.cat([ahead, _take(behind, turned)], dim=2)
        return self.output(self.dropout(values))

    def loss(self, batch: Batch, tags: Tensor) -> Tensor:
        """Return the negative log-likelihood of ``tags`` (texts, T), in nats per character."""
        likelihood = self.crf(self.scores(batch), tags, mask=batch.mask, reduction="sum")
        return -likelihood / batch.lengths.sum()


def _turned(batch: Batch) -> Tensor:
    """Return, for every place, the one that it changes with; padding stays, shape (texts, T)."""
    places = torch.arange(batch.characters.shape[1])
    return torch.where(batch.mask, batch.lengths[:, None] - 1 - places, places)


def _take(values: Tensor, places: Tensor) -> Tensor:
    return values.gather(1, places[:, :, None].expand(-1, -1, values.shape[2]))
