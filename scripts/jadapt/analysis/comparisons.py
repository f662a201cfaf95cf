"""Methods against each other: paired differences, corrected tests, and words for both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from jadapt.analysis.adapted_models import Method
from jadapt.analysis.statistics import (
    LEVEL,
    Estimate,
    holm,
    paired_difference,
    paired_p,
    paired_tests,
)

LESS, SAME, MORE = "less", "same", "more"


@dataclass(frozen=True)
class Comparison:
    """One method against its reference: differences by seed, and which way they point.

    ``gain_p`` and ``loss_p`` are two-sided p values of paired t tests, corrected for the number of
    tests of the study; NaN with one seed.
    """

    method: Method
    reference: Method
    gain: Estimate
    loss: Estimate
    gain_p: float
    loss_p: float
    learned: str
    forgot: str

    @property
    def name(self) -> str:
        """What names of its numbers begin with."""
        return f"{self.method.name}.against.{self.reference.name}"

    @property
    def speed_ratio(self) -> float:
        """Tokens per second as a multiple of the reference's."""
        return self.method.speed.mean / self.reference.speed.mean

    @property
    def memory_ratio(self) -> float:
        """Peak memory as a multiple of the reference's."""
        return self.method.memory.mean / self.reference.memory.mean


def direction(difference: Estimate, p: float = math.nan) -> str:
    """Return ``less`` or ``more``; ``same`` when it cannot be told, or nothing is known.

    With a p value that decides; without one the interval does, and with one seed the sign.
    """
    if not math.isfinite(difference.mean) or difference.mean == 0:
        return SAME
    apart = not difference.low <= 0 <= difference.high
    if not (p <= 1 - LEVEL if math.isfinite(p) else apart):
        return SAME
    return LESS if difference.mean < 0 else MORE


def compare(found: list[Method], reference: Method) -> list[Comparison]:
    """Compare every other method with the reference, corrected over all of these tests together."""
    runs = pd.concat(
        pd.DataFrame({"gain": method.gains, "loss": method.losses})
        .rename_axis("seed")
        .reset_index()
        .assign(method=method.name)
        for method in found
    )
    tests = paired_tests(runs, reference.name).set_index(["method", "measure"])["p_holm"]
    return [
        _comparison(method, reference, tests[method.name, "gain"], tests[method.name, "loss"])
        for method in found
        if method is not reference
    ]


def compositions(found: list[Method], reference: Method) -> list[Comparison]:
    """Compare strategies on other parameters than the reference's with the same without them.

    These tests answer another question than those of `compare` and are corrected by themselves.
    """
    pairs = [
        (method, other)
        for method in found
        for other in found
        if method.strategies
        and not other.strategies
        and other.kind == method.kind
        and other is not reference
    ]
    p = [paired_p(new.gains, old.gains) for new, old in pairs]
    p += [paired_p(new.losses, old.losses) for new, old in pairs]
    corrected = holm(pd.Series(p, dtype=float))
    return [
        _comparison(method, other, corrected[index], corrected[index + len(pairs)])
        for index, (method, other) in enumerate(pairs)
    ]


def _comparison(method: Method, other: Method, gain_p: float, loss_p: float) -> Comparison:
    gain = paired_difference(method.gains, other.gains)
    loss = paired_difference(method.losses, other.losses)
    words = direction(gain, gain_p), direction(loss, loss_p)
    return Comparison(method, other, gain, loss, float(gain_p), float(loss_p), *words)


def tests_made(comparisons: list[Comparison]) -> int:
    """Return the number of tests that the correction counts."""
    values = [p for item in comparisons for p in (item.gain_p, item.loss_p)]
    return sum(math.isfinite(p) for p in values)


def best(found: Iterable[Method], key: Callable[[Method], Estimate], *, high: bool) -> list[Method]:
    """Return the methods of the highest (or lowest) mean; several where means are equal."""
    values = {method.name: key(method).mean for method in found}
    known = [value for value in values.values() if math.isfinite(value)]
    if not known:
        return []
    top = max(known) if high else min(known)
    return [method for method in found if values[method.name] == top]


def leaders(found: list[Method]) -> dict[str, list[Method]]:
    """Return who learned most and forgot least, and the ends of the measures of transfer.

    Joint training is a bound and takes no part. No model is told the task of a text.
    """
    rivals = [method for method in found if not method.joint] or found
    return {
        "most_learned": best(rivals, lambda method: method.gain, high=True),
        "least_forgotten": best(rivals, lambda method: method.loss, high=False),
        "most_forgotten": best(rivals, lambda method: method.loss, high=True),
        "average": best(rivals, lambda method: method.average, high=False),
        "backward": best(rivals, lambda method: method.backward, high=True),
        "backward_worst": best(rivals, lambda method: method.backward, high=False),
        "forward": best(rivals, lambda method: method.forward, high=True),
        "forward_worst": best(rivals, lambda method: method.forward, high=False),
    }


def grouped(comparisons: Iterable[Comparison], side: str) -> dict[str, list[Comparison]]:
    """Sort comparisons by their word on one side (``learned`` or ``forgot``)."""
    found: dict[str, list[Comparison]] = {LESS: [], SAME: [], MORE: []}
    for item in comparisons:
        found[getattr(item, side)].append(item)
    return found
