"""The file of published claims, config/claims.yaml, as far as its shape goes.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from jadapt.config.fields import MISSING_KEY, UNIQUE, Name, NotNegative, Section, Text, refused

Size = Annotated[int, Field(ge=1, le=10**9)]


class Publication(Section):
    """Where claims were published."""

    label: Text
    """Short name for tables."""
    title: Text
    """Title of the publication."""
    about: Text
    """Authors, year and what was measured there."""
    citation: str = ""
    """Key in paper/references.bib."""


class Shape(Section):
    """A Qwen2-shaped model whose parameters are counted."""

    layers: Size
    """Blocks of attention and feed-forward."""
    hidden_size: Size
    """Width."""
    intermediate_size: Size
    """Width of the feed-forward block."""
    attention_heads: Size
    """Query heads."""
    key_value_heads: Size
    """Key and value heads."""
    head_size: Size
    """Width of a head."""
    vocabulary_size: Size
    """Rows of the embedding, which is shared with the output."""


class Condition(Section):
    """What a study's configuration must hold for a claim to be tested in it."""

    key: Text
    """Dotted key of the study's configuration."""
    values: Annotated[list[Any], Field(min_length=1)] | None = None
    """Any of these."""
    minimum: float | None = None
    """A number that is no lower than this."""
    otherwise: Text
    """What the ledger says where the condition does not hold."""

    @model_validator(mode="after")
    def _one(self) -> Condition:
        if (self.values is None) == (self.minimum is None):
            raise refused("has one of `values` and `minimum`")
        return self


class Tolerance(Section):
    """How far from what is expected a value may lie."""

    absolute: NotNegative | None = None
    """In the unit of the value."""
    relative: NotNegative | None = None
    """As a share of what is expected."""

    @model_validator(mode="after")
    def _one(self) -> Tolerance:
        if (self.absolute is None) == (self.relative is None):
            raise refused("has one of `absolute` and `relative`")
        return self


class PublishedClaim(Section):
    """One published claim."""

    id: Name
    """Name of the claim."""
    source: Text
    """One of `sources`."""
    statement: Text
    """What is claimed; {name} or {name:format} stands for a published number."""
    published: dict[Name, float]
    """The published numbers by name."""
    expression: Text | None = None
    """What is measured or computed here."""
    expected: Text | None = None
    """What it is compared with: an expression over the published numbers."""
    relation: Literal["equal", "at_least", "at_most", "above", "below"] | None = None
    """How the value must stand to what is expected."""
    tolerance: Tolerance | None = None
    """How far from it the value may lie."""
    scope: Annotated[list[str], *UNIQUE] = Field(default_factory=list)
    """Names of `conditions`; all must hold."""
    obstacle: Text | None = None
    """One of `obstacles`; the value is still measured where there is an expression."""
    digits: Annotated[int, Field(ge=0, le=6)] = 3
    """Decimals of the printed value (3)."""
    unit: str = ""
    """Printed after the value."""

    @model_validator(mode="after")
    def _complete(self) -> PublishedClaim:
        needed = {
            "expression": self.relation is not None,
            "expected": self.expression is not None,
            "relation": self.expression is not None,
            "tolerance": self.relation == "equal",
        }
        for key, necessary in needed.items():
            if necessary and getattr(self, key) is None:
                raise PydanticCustomError(MISSING_KEY, "{key} is missing", {"key": key})
        if self.expression is None and self.obstacle is None:
            raise refused("has an `expression`, or an `obstacle` that says why not")
        return self


class ClaimsFile(Section):
    """The claims ledger."""

    sources: dict[str, Publication]
    """Where claims were published, by name."""
    shapes: dict[str, Shape]
    """Qwen2-shaped models whose parameters are counted, by name."""
    conditions: dict[str, Condition]
    """What a study's configuration must hold for a claim to be tested in it, by name."""
    obstacles: dict[str, str]
    """Reasons why a claim can be tested in no study of this workflow, by name."""
    claims: Annotated[list[PublishedClaim], Field(min_length=1)]
    """The claims."""
