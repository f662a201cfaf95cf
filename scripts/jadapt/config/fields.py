"""Types of single settings, and the base of every model of them.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from jadapt.core.errors import nearest

# Types of errors that `jadapt.config.checking` knows besides pydantic's own.
UNKNOWN_KEY, MISSING_KEY, WORDS = "unknown_key", "missing_key", "words"


class Section(BaseModel):
    """A mapping of settings: no other keys, no conversion between types, finite numbers.

    The text below each field explains it; `jadapt.config.schemas` reads it from the source, which
    would take a quarter of a second of every command here.
    """

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True
    )

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_key(cls, value: Any) -> Any:
        # Before everything else: a key that is missing is often one that was spelt otherwise.
        if isinstance(value, dict):
            known = cls.model_fields
            unknown = sorted(str(key) for key in value if key not in known)
            if unknown:
                raise PydanticCustomError(
                    UNKNOWN_KEY, "{hint}", {"key": unknown[0], "hint": nearest(unknown[0], known)}
                )
        return value


def refused(message: str) -> PydanticCustomError:
    """Return an error of a validator in words of one's own; braces in them mean nothing."""
    return PydanticCustomError(WORDS, "{message}", {"message": message})


def require(value: Any, needed: dict[str, tuple[str, ...]], by: str = "kind") -> Any:
    """Return an entry; refuse one that lacks what its ``kind`` (or another key, ``by``) needs."""
    if isinstance(value, dict) and isinstance(value.get(by), str):
        for key in needed.get(value[by], ()):
            if value.get(key) is None:
                raise PydanticCustomError(MISSING_KEY, "{key} is missing", {"key": key})
    return value


def matching(pattern: str, maximum: int = 200) -> Any:
    """Return the type of texts that match a pattern from beginning to end."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise refused(f"{value!r} does not match '{pattern}'")
        if len(value) > maximum:
            raise refused(f"{value[:20]!r}… is longer than {maximum} characters")
        return value

    # JSON Schema anchors nothing by itself, and its `$` is the very end of the text.
    schema: Any = {"pattern": f"^(?:{pattern})$", "maxLength": maximum}
    return Annotated[str, AfterValidator(check), Field(json_schema_extra=schema)]


def _distinct(values: list) -> list:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise refused(f"{value!r} stands in it twice")
    return values


_UNIQUE = (AfterValidator(_distinct), Field(json_schema_extra={"uniqueItems": True}))

Text = Annotated[str, Field(min_length=1, max_length=2000)]
# Names that become parts of paths and targets.
Name = matching(r"[a-z][a-z0-9_]*", 64)
StudyName = matching(r"[a-z][a-z0-9_-]*", 64)
Sha256 = matching(r"[0-9a-f]{64}")
# A path below the working copy or an archive: not absolute, never upwards.
InnerPath = matching(r"(?!/)(?!(?:.*/)?\.\.(?:/|\Z))[^\0\r\n]+", 1000)
Glob = matching(r"(?!/)(?!(?:.*/)?\.\.(?:/|\Z))[^\0\r\n]+", 1000)

# What no setting here comes near keeps a slip of the finger from taking all memory.
Count = Annotated[int, Ge(1), Le(10**9)]
CountOrNone = Annotated[int, Ge(0), Le(10**9)]
# numpy takes no larger one.
Seed = Annotated[int, Ge(0), Le(2**32 - 1)]
Positive = Annotated[float, Gt(0), Le(1e12)]
NotNegative = Annotated[float, Ge(0), Le(1e12)]
Share = Annotated[float, Ge(0), Le(1)]
PositiveShare = Annotated[float, Gt(0), Le(1)]
ShareBelowOne = Annotated[float, Ge(0), Lt(1)]
LearningRate = Annotated[float, Gt(0), Le(100)]

Seeds = Annotated[list[Seed], Field(min_length=1, max_length=1000), *_UNIQUE]
Names = Annotated[list[Name], Field(min_length=1, max_length=1000), *_UNIQUE]
Rates = Annotated[list[LearningRate], Field(min_length=2, max_length=100), *_UNIQUE]
# The distinct values of a list with bounds of its own: ``Annotated[list[X], ..., *UNIQUE]``.
UNIQUE = _UNIQUE
Dictionary = Literal["unidic_lite", "ipadic"]
Language = Literal["ja", "en"]
