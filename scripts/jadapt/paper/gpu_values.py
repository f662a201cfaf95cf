"""The numbers of the text on one GPU, by name."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from jadapt.analysis import gpu_benchmark_goals
from jadapt.analysis.gpu_benchmark import (
    BATCHES,
    CHECKS,
    GAINS,
    METHODS,
    PRECISIONS,
    SPEED,
    TWO_GPUS,
)
from jadapt.analysis.numbers import Form, Numbers, rows, slug
from jadapt.analysis.printing import count, fixed, percent, plain
from jadapt.core.released import CARD, MACHINE

RATIO, WHOLE_PERCENT = partial(fixed, digits=2), partial(percent, digits=0)
GOALS = "scripts/jadapt/analysis/gpu_benchmark_goals.py"


def add(numbers: Numbers, card: dict[str, Any]) -> None:
    """Add what `jadapt.analysis.gpu_benchmark_findings.context` found."""
    for key in ("warmup", "steps"):
        if card[key]:
            numbers.add(
                f"card.{key}", float(card[key]), count, printed=card[key],
                file=f"{CARD}/{MACHINE}", key=key,
            )  # fmt: skip
    constant = "scripts/jadapt/analysis/gpu_benchmark.py"
    numbers.add("card.rank", card["rank"], count, file=constant, key="LOW_RANK")
    if card["checks"]:
        for key in ("held", "all"):
            numbers.add(f"card.checks.{key}", card["checks"][key], count, _part(CHECKS))
    if card["methods"]:
        _methods(numbers, card["methods"])
    _ratios(numbers, "card.low_rank_speed", card["low_rank_speed"], SPEED, METHODS, BATCHES)
    for each in card["compared"]:
        for key in ("same", "best"):
            if each[key]:
                name = f"card.compared.{slug(each['label'])}.{key}"
                numbers.add(f"{name}.speed", each[key]["speed"], RATIO, _part(SPEED, BATCHES))
                numbers.add(f"{name}.peak", each[key]["peak"], RATIO, _part(SPEED, BATCHES))
    for each in card["utilisation"]:
        of = _part(SPEED, BATCHES, METHODS)
        numbers.add(f"card.utilisation.{slug(each['label'])}", each["share"], percent, of, "share")
    if card["waiting"] is not None:
        of = _part(SPEED, BATCHES, METHODS)
        numbers.add("card.waiting", card["waiting"], partial(percent, digits=2), of, "share")
    numbers.add("card.gains_repeats", card["gains_repeats"], count, _part(GAINS))
    for each in card["gains"]:
        name = f"card.gains.{slug(each['label'])}"
        numbers.add(f"{name}.noise", each["noise"], WHOLE_PERCENT, _part(GAINS, SPEED))
        _ratios(numbers, name, [*each["faster"], *each["slower"], *each["near"]], GAINS)
        if each["all"] is not None:
            numbers.add(f"{name}.all", each["all"], RATIO, _part(GAINS, change="all"))
    for each in (card["precisions"] or {"methods": []})["methods"]:
        for key, unit in (("fastest", "token/s"), ("leanest", "MiB")):
            of = _part(PRECISIONS, precision=each[key].label)
            name = f"card.precisions.{slug(each['label'])}.{key}"
            numbers.add(name, each[key].value, count, of, unit)
    if card["two"]:
        numbers.add("card.two.devices", card["two"]["devices"], count, _part(TWO_GPUS))
        for key in ("lowest", "highest", "slowest"):
            numbers.add(f"card.two.{key}", card["two"][key].value, RATIO, _part(TWO_GPUS))
        numbers.add("card.two.difference", card["two"]["difference"], plain, _part(TWO_GPUS))
    for goal in card["goals"]:
        limit = gpu_benchmark_goals.GOALS[goal.name]
        form: Form = WHOLE_PERCENT if goal.share else partial(fixed, digits=1)
        numbers.add(f"card.goal.{goal.name}", limit, form, file=GOALS, key=goal.name)
        form = percent if goal.share else RATIO
        parts = [TWO_GPUS] if goal.name == "two_gpus" else [SPEED, BATCHES, METHODS]
        numbers.add(f"card.reached.{goal.name}", goal.value, form, _part(*parts))


def _methods(numbers: Numbers, found: dict[str, Any]) -> None:
    numbers.add("card.methods", found["count"], count, _part(METHODS))
    for key, unit in (
        ("lowest", "MiB"), ("highest", "MiB"), ("slowest", "token/s"), ("fastest", "token/s")
    ):  # fmt: skip
        numbers.add(f"card.methods.{key}", found[key].value, count, _part(METHODS), unit)
    for key in ("saved", "gained"):
        if found[key] is not None:
            numbers.add(f"card.methods.{key}", found[key], percent, _part(METHODS), "share")


def _ratios(numbers: Numbers, name: str, found: Iterable[Any], *parts: str) -> None:
    for ratio in found:
        numbers.add(f"{name}.{slug(ratio.label)}", ratio.value, RATIO, _part(*parts))


def _part(*parts: str, **where: Any) -> Any:
    return rows("card", part=list(parts), **where)
