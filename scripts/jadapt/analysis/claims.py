"""The file of claims: read, and checked to the last word before anything runs.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jadapt.analysis import expressions
from jadapt.analysis.expressions import Vocabulary
from jadapt.analysis.labels import BASE
from jadapt.config import checking, origins, yaml_files
from jadapt.config.claim_files import ClaimsFile
from jadapt.core.errors import UserError, nearest
from jadapt.core.paths import ROOT

FILE = ROOT / "config" / "claims.yaml"
EQUAL, AT_LEAST, AT_MOST, ABOVE, BELOW = "equal", "at_least", "at_most", "above", "below"


@dataclass(frozen=True)
class Claim:
    """One published claim; see ``config/schemas/claims.schema.json`` for the keys."""

    id: str
    source: str
    statement: str
    published: dict[str, float]
    expression: str | None = None
    expected: str | None = None
    relation: str | None = None
    tolerance: dict[str, float] = field(default_factory=dict)
    scope: tuple[str, ...] = ()
    obstacle: str | None = None
    digits: int = 3
    unit: str = ""

    @property
    def arithmetic(self) -> bool:
        """Whether it follows from numbers alone, so that no run can change it."""
        return self.expression is not None and not any(
            f"{name}(" in self.expression for name in expressions.MEASURING
        )

    @property
    def target(self) -> float:
        """The number that the value is compared with; 0 for a claim without an expression."""
        return float(expressions.evaluate(self.expected or "0", self.published))

    @property
    def words(self) -> str:
        """The statement with the published numbers filled in."""
        return self.statement.format(**self.published)

    def allowed(self) -> tuple[float, float]:
        """Return the ends of the range in which a value agrees with the claim."""
        target = self.target
        room = self.tolerance.get("absolute", abs(target) * self.tolerance.get("relative", 0.0))
        low = target - room if self.relation in (EQUAL, AT_LEAST, ABOVE) else -float("inf")
        high = target + room if self.relation in (EQUAL, AT_MOST, BELOW) else float("inf")
        return low, high


@dataclass(frozen=True)
class Ledger:
    """The content of the file of claims."""

    claims: list[Claim]
    sources: dict[str, dict[str, str]]
    shapes: dict[str, dict[str, int]]
    conditions: dict[str, dict[str, Any]]
    obstacles: dict[str, str]

    def unmet(self, config: dict[str, Any]) -> list[str]:
        """Return the names of the conditions that a study's configuration does not meet."""
        return [
            name
            for name, condition in self.conditions.items()
            if not _holds(condition, _setting(config, condition["key"]))
        ]

    def lacks(self, claim: Claim, config: dict[str, Any]) -> list[str]:
        """Return the runs and ablations that a claim's expression names and a study has not."""
        there = {
            expressions.RUN: {BASE, *config["methods"]},
            expressions.ABLATION: set(config["ablations"]),
        }
        return [
            word
            for kind, word in expressions.arguments(claim.expression or "0")
            if kind in there and word not in there[kind]
        ]


def _holds(condition: dict[str, Any], value: Any) -> bool:
    if "minimum" in condition:
        return isinstance(value, int | float) and value >= condition["minimum"]
    return value in condition["values"]


def _setting(config: dict[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def read(path: str | Path, domains: Iterable[str] = ()) -> Ledger:
    """Read and check a file of claims.

    Args:
        path: the YAML file.
        domains: the domains that an expression may name besides their roles.

    Raises:
        UserError: one line that names the file, the claim and the key.
    """
    content = _read(path)
    claims = []
    for entry in content["claims"]:
        scope = tuple(entry.get("scope", ()))
        claims.append(Claim(**{**entry, "scope": scope}))
    vocabulary = Vocabulary(tuple(domains), tuple(content["shapes"]))
    seen: set[str] = set()
    for claim in claims:
        if claim.id in seen:
            raise UserError(f"{path}: claims.{claim.id}: the id is used twice")
        seen.add(claim.id)
        _check_claim(claim, content, vocabulary, str(path))
    parts = ("sources", "shapes", "conditions", "obstacles")
    return Ledger(claims, *(content[part] for part in parts))


def _read(path: str | Path) -> dict[str, Any]:
    document = yaml_files.read_document(path)
    try:
        checking.check(document.content, ClaimsFile, origins.of_document(document))
    except UserError as error:
        raise UserError(_with_name(str(error), document.content)) from None
    return document.content


def _with_name(message: str, content: dict) -> str:
    """Replace the position of a claim in a message by its id."""
    claims = content.get("claims")
    for index, entry in reversed(list(enumerate(claims if isinstance(claims, list) else []))):
        if isinstance(entry, dict) and "id" in entry:
            message = message.replace(f"claims.{index}", f"claims.{entry['id']}")
    return message


def _check_claim(claim: Claim, content: dict, vocabulary: Vocabulary, path: str) -> None:
    at = f"{path}: claims.{claim.id}"
    obstacle = [] if claim.obstacle is None else [claim.obstacle]
    for key, names, part in (
        ("source", [claim.source], "sources"),
        ("scope", claim.scope, "conditions"),
        ("obstacle", obstacle, "obstacles"),
    ):
        for name in names:
            if name not in content[part]:
                raise UserError(f"{at}.{key}: unknown '{name}'{nearest(name, content[part])}")
    try:
        _ = claim.words
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise UserError(
            f"{at}.statement: {error} cannot be filled in; published: {', '.join(claim.published)}"
        ) from None
    for key in ("expression", "expected"):
        text = getattr(claim, key)
        functions = expressions.SIGNATURES if key == "expression" else {}
        if text is not None:
            try:
                expressions.check(text, claim.published, vocabulary, functions=functions)
                expressions.evaluate_placeholders(text, claim.published)
            except UserError as error:
                raise UserError(f"{at}.{key}: {error}") from None


def read_sources(path: str | Path) -> dict[str, dict[str, str]]:
    """Read only where the claims of a file were published."""
    return _read(path)["sources"]
