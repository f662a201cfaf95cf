"""What was learned against what was forgotten, over all rates and strengths of a method.

Methods are compared at equal learning: how much of the text to be kept is forgotten where a given
part of what full fine-tuning can learn is learned. Between two neighbouring points of a front that
neither dominates, forgetting is interpolated linearly; every front begins at the base model, which
learned and forgot nothing.

Intervals come from a bootstrap over seeds and test documents together: each draw takes seeds and,
domain by domain, documents with replacement, the same documents for all methods, so that methods
are compared on the same text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

# Parts of the best gain of the reference at which methods are compared.
LEVELS = (0.5, 0.75, 0.9)
CONFIDENCE = 0.95
DRAWS = 2000


@dataclass(frozen=True)
class Losses:
    """Surprise of test documents in bits, by domain.

    Attributes:
        bits: of each domain, of shape (models, documents).
        bytes: of each domain, UTF-8 bytes of shape (documents,).
        seeds: of shape (models,); the base model's seed does not matter.
        points: which point of the front each model belongs to, of shape (models,).
    """

    bits: Mapping[str, np.ndarray]
    bytes: Mapping[str, np.ndarray]
    seeds: np.ndarray
    points: np.ndarray

    def per_byte(self, domain: str, weights: np.ndarray) -> np.ndarray:
        """Return bits per byte of shape (draws, models), for documents counted ``weights`` times.

        Args:
            domain: whose documents.
            weights: of shape (draws, documents).
        """
        return (weights @ self.bits[domain].T) / (weights @ self.bytes[domain])[:, None]


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    @property
    def defined(self) -> bool:
        """Whether there is a value."""
        return bool(np.isfinite(self.value))


def at_equal_learning(gains: np.ndarray, forgetting: np.ndarray, wanted: float) -> float:
    """Return the least forgetting at which ``wanted`` is learned; NaN where no point learns it.

    Args:
        gains: bits per byte learned by each point of a front.
        forgetting: bits per byte forgotten by each.
        wanted: gain to compare at.
    """
    return on_front(*front(gains, forgetting), wanted)


def on_front(x: np.ndarray, y: np.ndarray, wanted: float) -> float:
    """Return forgetting where ``wanted`` is learned on a front (x, y); NaN beyond its end."""
    return float(np.interp(wanted, x, y)) if wanted <= x[-1] else math.nan


def pareto(gains: np.ndarray, forgetting: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points that no other one dominates, by increasing gain."""
    return _undominated(gains[None], forgetting[None])[0]


def _undominated(gains: np.ndarray, forgetting: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what `pareto` does for every row of two arrays of shape (rows, points)."""
    order = np.lexsort((-gains, forgetting), axis=1)
    x, y = (np.take_along_axis(values, order, axis=1) for values in (gains, forgetting))
    before = np.maximum.accumulate(x, axis=1)[:, :-1]
    kept = x > np.hstack([np.full((len(x), 1), -np.inf), before])
    return [(x[row][mask], y[row][mask]) for row, mask in enumerate(kept)]


def area(gains: np.ndarray, forgetting: np.ndarray, upto: float) -> float:
    """Return the mean forgetting over gains from 0 to ``upto``; NaN where the front ends before."""
    return under_front(*front(gains, forgetting), upto)


def under_front(x: np.ndarray, y: np.ndarray, upto: float) -> float:
    """Return the mean of a front (x, y) over gains from 0 to ``upto``; NaN beyond its end."""
    if not upto <= x[-1]:
        return math.nan
    return float(np.interp(np.linspace(0.0, upto, 101), x, y).mean())


def front(gains: np.ndarray, forgetting: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the front of the points that were measured and of the base model, by gain."""
    return fronts(gains[None], forgetting[None])[0]


def fronts(gains: np.ndarray, forgetting: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what `front` does for every row of two arrays of shape (draws, points)."""
    finite = np.isfinite(gains) & np.isfinite(forgetting)
    base = np.zeros((len(gains), 1))
    # What was not measured is dominated by everything.
    x = np.hstack([np.where(finite, gains, -np.inf), base])
    y = np.hstack([np.where(finite, forgetting, np.inf), base])
    return _undominated(x, y)


@dataclass(frozen=True)
class Draws:
    """Gains and forgetting of every point of the fronts, estimated and drawn anew.

    Attributes:
        gain: by method, of shape (1 + draws, points); row 0 is the estimate.
        forgetting: likewise.
    """

    gain: Mapping[str, np.ndarray]
    forgetting: Mapping[str, np.ndarray]

    _fronts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def fronts(self, method: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the front of a method in every draw; found once, for all levels."""
        if method not in self._fronts:
            self._fronts[method] = fronts(self.gain[method], self.forgetting[method])
        return self._fronts[method]

    def forgotten(self, method: str, wanted: np.ndarray) -> np.ndarray:
        """Return forgetting at equal learning in every draw, for gains of shape (1 + draws,)."""
        pairs = zip(self.fronts(method), wanted, strict=True)
        return np.array([on_front(*ends, at) for ends, at in pairs])

    def bound_alone(self, method: str, wanted: float) -> bool:
        """Tell whether forgetting at ``wanted`` is read off between the base model and the point
        that learns least, so that it bounds what a lower rate would forget from above."""
        x, _ = self.fronts(method)[0]
        return x[0] == 0 and len(x) > 1 and wanted < x[1]

    def best_gain(self, method: str) -> np.ndarray:
        """Return the largest gain of a method's points in every draw, of shape (1 + draws,)."""
        known = np.where(np.isfinite(self.gain[method]), self.gain[method], -np.inf).max(axis=1)
        return np.where(np.isfinite(known), known, np.nan)

    def areas(self, method: str, upto: np.ndarray) -> np.ndarray:
        """Return the area under the front in every draw."""
        pairs = zip(self.fronts(method), upto, strict=True)
        return np.array([under_front(*ends, at) for ends, at in pairs])


def draw(
    fronts: Mapping[str, Losses],
    base: Mapping[str, np.ndarray],
    tasks: Sequence[str],
    retention: Sequence[str],
    draws: int = DRAWS,
    seed: int = 0,
) -> Draws:
    """Estimate gain and forgetting of every point, and draw them anew.

    Args:
        fronts: of each method.
        base: bits of the base model, of each domain, of shape (documents,).
        tasks: domains that were learned.
        retention: domains that were to be kept.
        draws: of the bootstrap.
        seed: of the bootstrap.
    """
    generator = np.random.default_rng(seed)
    weights = {
        domain: _weights(len(bits), draws, generator)
        for domain, bits in base.items()
        if domain in (*tasks, *retention)
    }
    sizes = next(iter(fronts.values())).bytes
    before = {domain: (w @ base[domain]) / (w @ sizes[domain]) for domain, w in weights.items()}
    # Seeds are drawn once for all methods: equal seeds read the same rows in the same order.
    known = sorted({int(seed) for losses in fronts.values() for seed in losses.seeds})
    chosen = np.stack([np.arange(len(known))] + [
        generator.integers(len(known), size=len(known)) for _ in range(draws)
    ])  # fmt: skip
    gain, forgetting = {}, {}
    for method, losses in fronts.items():
        change = {
            domain: losses.per_byte(domain, w) - before[domain][:, None]
            for domain, w in weights.items()
        }
        learned = -np.mean([change[domain] for domain in tasks], axis=0)
        forgot = np.mean([change[domain] for domain in retention], axis=0)
        gain[method] = _over_seeds(learned, losses, known, chosen)
        forgetting[method] = _over_seeds(forgot, losses, known, chosen)
    return Draws(gain, forgetting)


def _weights(documents: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """Return how often each draw takes each document, the first row taking each once."""
    counts = generator.multinomial(documents, np.full(documents, 1 / documents), size=draws)
    return np.vstack([np.ones(documents), counts]).astype(float)


def _over_seeds(
    values: np.ndarray, losses: Losses, known: list[int], chosen: np.ndarray
) -> np.ndarray:
    """Average (draws, models) over the seeds that each draw takes, to (draws, points).

    A point is missing where one of its seeds diverged: it must not vanish from the average.
    """
    points = range(int(losses.points.max()) + 1)
    table = np.full((len(values), len(points), len(known)), np.nan)
    for model, (point, seed) in enumerate(zip(losses.points, losses.seeds, strict=True)):
        table[:, point, known.index(int(seed))] = values[:, model]
    return np.take_along_axis(table, chosen[:, None, :], axis=2).mean(axis=2)


def interval(drawn: np.ndarray, confidence: float = CONFIDENCE) -> Interval:
    """Return the estimate (the first entry) and percentiles of the draws.

    A draw in which the value is not defined counts as the worst: where more than the tail of the
    draws are so, that end is infinite, since the method may not get there at all.
    """
    value, others = float(drawn[0]), np.sort(np.nan_to_num(drawn[1:], nan=np.inf))
    tail = (1 - confidence) / 2
    low, high = np.quantile(others, [tail, 1 - tail], method="inverted_cdf")
    return Interval(value, float(low), float(high))


@dataclass(frozen=True)
class Comparison:
    """A method against the reference at equal learning, in bits per byte; below 0 forgets less.

    Attributes:
        difference: forgetting of the method minus that of the reference, with its interval.
        p: of the two-sided test that there is none, by the bootstrap.
        equivalent: whether the interval of 90 % lies within the margin (two one-sided tests, 5 %).
        bound: the verdict that is not to be given, since the side that it speaks against has no
            point of so little learning, and a straight line to the base model in its place.
    """

    difference: Interval
    p: float
    equivalent: bool
    bound: tuple[str, ...] = ()

    def verdict(self, level: float = 0.05) -> str:
        """Return ``less``, ``more``, ``same`` (within the margin) or ``undecided``."""
        if not self.difference.defined:
            return "undecided"
        if self.p <= level:
            found = "less" if self.difference.value < 0 else "more"
            return "undecided" if found in self.bound else found
        return "same" if self.equivalent else "undecided"


def compare(own: np.ndarray, reference: np.ndarray, margin: float) -> Comparison:
    """Compare forgetting at equal learning, given in every draw, with a margin of equivalence."""
    drawn = own - reference
    others = drawn[1:][np.isfinite(drawn[1:])]
    if not np.isfinite(drawn[0]) or not len(others):
        return Comparison(interval(drawn), 1.0, False)
    below, above = np.mean(others <= 0), np.mean(others >= 0)
    # A share of n draws says no more than 1 / n.
    p = min(1.0, max(2 * min(below, above), 1 / len(others)))
    inner = interval(drawn, 0.9)
    return Comparison(interval(drawn), float(p), -margin < inner.low and inner.high < margin)
