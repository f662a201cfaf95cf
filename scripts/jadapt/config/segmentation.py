"""Word segmentation: what is measured, the BiLSTM-CRF, and what takes the place of gold words.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from jadapt.config.fields import (
    UNIQUE,
    Count,
    Dictionary,
    Names,
    NotNegative,
    Positive,
    Section,
    Seeds,
    ShareBelowOne,
    Text,
)
from jadapt.config.training import changes

Width = Annotated[int, Field(ge=1, le=65536)]


class Network(Section):
    """The BiLSTM-CRF."""

    character_size: Width
    """Embedding of a character."""
    bigram_size: Width
    """Embedding of a pair of neighbours; each character has two."""
    type_size: Width
    """Embedding of a character's type: its script, or white space."""
    hidden_size: Width
    """Units of each LSTM, in each direction."""
    layers: Annotated[int, Field(ge=1, le=100)]
    """Layers of LSTMs."""
    dropout: ShareBelowOne
    """Dropout of what every layer and the output read."""


class SegmenterTraining(Section):
    """How it is trained."""

    epochs: Count
    """Passes over the training text."""
    batch_characters: Count
    """Characters of a batch."""
    learning_rate: Positive
    """Highest rate of AdamW; a cosine takes it to 0."""
    warmup_share: ShareBelowOne
    """Share of the steps in which the rate rises."""
    weight_decay: NotNegative
    """Decoupled weight decay."""
    gradient_clip: Positive
    """Largest norm of the gradient."""
    average_decay: ShareBelowOne
    """Decay of the moving average of the weights, a step."""
    unknown_characters: ShareBelowOne
    """Share of characters hidden from the network in training."""
    unknown_bigrams: ShareBelowOne
    """Share of pairs of neighbours hidden in training."""
    least_character: Count
    """How often a character must occur to have an embedding."""
    least_bigram: Count
    """How often a pair must occur to have an embedding."""
    threads: Annotated[int, Field(ge=1, le=1024)]
    """Processor threads; sums in another order give other digits."""


FallbackTraining = changes(
    SegmenterTraining, "FallbackTraining", "Keys of `training` that are set again."
)


class Characters(Section):
    """Characters of each split."""

    train: Count
    """In all domains together."""
    validation: Count
    """In all domains together."""
    test: Count
    """In all domains together."""


class Fallback(Section):
    """What is done where no gold segmentation can be reached: MeCab's words of the study's own
    text take its place."""

    dictionary: Dictionary
    """MeCab's dictionary."""
    domains: Names
    """Japanese domains, in equal shares."""
    characters: Characters
    """Characters of each split."""
    training: FallbackTraining
    """Keys of `training` that are set again."""


class Segmentation(Section):
    """Word segmentation, measured; a study without this section has no table of it."""

    gold: Text | None
    """An entry of `gold` in config/corpora.yaml, or null for none."""
    dictionaries: Annotated[list[Dictionary], Field(max_length=10), *UNIQUE]
    """MeCab's dictionaries to measure."""
    seeds: Seeds
    """One BiLSTM-CRF for each."""
    network: Network
    """The BiLSTM-CRF."""
    training: SegmenterTraining
    """How it is trained."""
    fallback: Fallback
    """What is done where no gold segmentation can be reached."""
