"""Entries of tokenizers, and the tokenization study.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from jadapt.config.fields import (
    Count,
    Dictionary,
    Name,
    Names,
    Section,
    Seeds,
    Text,
    require,
)
from jadapt.config.training import SubwordRegularisation, TokenizationTraining

# What each kind of tokenizer cannot do without.
NEEDED = {
    "sentencepiece": ("model_type", "vocabulary_size"),
    "pretrained": ("model",),
    "extended": ("base", "pieces"),
}


class Tokenizer(Section):
    """A tokenizer: trained by the workflow, that of a model, or one extended by another."""

    kind: Literal["sentencepiece", "pretrained", "extended"]
    """sentencepiece: trained by the workflow; pretrained: that of `model`; extended: `base` with
    the Japanese pieces of `pieces`."""
    model_type: Literal["unigram", "bpe"] = "unigram"
    """SentencePiece algorithm."""
    vocabulary_size: Annotated[int, Field(ge=300, le=1_000_000)] = 300
    """Entries, with the special and the byte pieces."""
    character_coverage: Annotated[float, Field(gt=0.9, le=1)] = 1.0
    """Share of characters that get a piece; the rest falls back to bytes."""
    byte_fallback: bool = True
    """Spell unknown characters as UTF-8 bytes, so that no text is lost."""
    maximum_sentences: Count = 1
    """Training sentences taken from each domain."""
    domains: Names = Field(default_factory=list)
    """Domains whose training splits the tokenizer learns from."""
    normalisation: Literal["none", "nfkc", "nfkc_punctuation"] = "none"
    """Form that the tokenizer brings texts to before it encodes them. The corpora are in NFKC
    unless their cleaning says otherwise."""
    words: Dictionary | None = None
    """MeCab dictionary whose words no piece goes across; null for none."""
    model: Text = ""
    """pretrained: an entry of config/models.yaml of kind gguf or hub."""
    base: Tokenizer | None = None
    """extended: the tokenizer whose ids are kept."""
    pieces: Tokenizer | None = None
    """extended: a SentencePiece model that gives the new pieces."""
    raw: bool = False
    """Tokenization study: train and measure on text that was cleaned without normalisation."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, value: Any) -> Any:
        return require(value, NEEDED)


class Regularisation(Section):
    """Subword regularisation on and off, with one of the tokenizers."""

    tokenizer: Text
    """The name of one of the tokenizers."""
    variants: Annotated[dict[Name, SubwordRegularisation], Field(min_length=1, max_length=100)]
    """Settings of subword_regularisation by name."""
    seeds: Seeds
    """Seeds, of the models without as well."""


class Tokenization(Section):
    """The tokenization study: tokenizers measured on the same text, a model trained with each."""

    domains: Names
    """Japanese domains whose text is measured and trained on."""
    maximum_documents: Count
    """Training documents of each domain."""
    test_documents: Count
    """Test documents of each domain."""
    maximum_sentences: Count
    """Sentences of each domain that a tokenizer is trained on, unless its entry says otherwise."""
    words: Dictionary
    """MeCab dictionary of the words that are counted as kept whole."""
    tokenizers: Annotated[dict[Name, Tokenizer], Field(min_length=1, max_length=1000)]
    """The tokenizers by name; the first is the one that `training.steps` are meant for."""
    model: Text
    """A model of config/models.yaml of kind scratch."""
    training: TokenizationTraining
    """What differs from `training`, with the learning rate."""
    seeds: Seeds
    """Seeds of the model of each tokenizer."""
    regularisation: Regularisation | None = None
    """Subword regularisation on and off, with one of the tokenizers; null for none."""
