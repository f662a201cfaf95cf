"""The points of all lines of the fronts, drawn anew over seeds, and over documents if kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from jadapt.analysis import front_points
from jadapt.analysis.front_documents import Documents, Point
from jadapt.analysis.front_points import TOLD, Plan
from jadapt.analysis.fronts import LEVELS, Draws, draw

SEEDS, SEEDS_AND_DOCUMENTS = "seeds", "seeds and documents"
Line = tuple[str, str]


@dataclass(frozen=True)
class Drawn:
    """Lines with gain and forgetting of their points in every draw, and what the draws cover."""

    draws: Draws
    keys: Mapping[Line, list[Point]]
    covers: str

    def beside(self, line: Line, best: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the forgetting of a line at each level of a gain, in every draw."""
        return tuple(self.draws.forgotten(line_key(line), level * best) for level in LEVELS)


def line_key(line: Line) -> str:
    """Return the name of a line among those that are drawn together."""
    return " ".join(line)


def points_of(found: pd.DataFrame, line: Line) -> list[Point]:
    """Return the (strength, rate, interpolation) of the points of a line."""
    own = front_points.of_line(found, *line)
    columns = (own["strength"], own["learning_rate"], own["interpolation"])
    return list(dict.fromkeys(zip(*columns, strict=True)))


def of_documents(
    documents: Documents, plan: Plan, found: pd.DataFrame, there: list[Line], draws: int
) -> Drawn:
    """Draw seeds and documents, for the lines of whose points the documents were kept.

    A point that is not among them diverged with every seed; it stays undefined.
    """
    lost = found[found["gain"].isna()]
    kept = [domain for domain in plan.retention if domain in documents.base]
    made = draw(documents.losses, documents.base, plan.tasks, kept, draws)
    gain: dict[str, np.ndarray] = {}
    forgetting: dict[str, np.ndarray] = {}
    keys: dict[Line, list[Point]] = {}
    for line in there:
        known = documents.points.get(line[0], [])
        wanted = points_of(found, line)
        absent = {point for point in wanted if point not in known}
        if line[1] == TOLD or not known or not absent <= set(points_of(lost, line)):
            continue
        keys[line] = wanted
        for of, values in ((made.gain, gain), (made.forgetting, forgetting)):
            whole = np.full((draws + 1, len(wanted)), np.nan)
            for place, point in enumerate(wanted):
                if point in known:
                    whole[:, place] = of[line[0]][:, known.index(point)]
            values[line_key(line)] = whole
    return Drawn(Draws(gain, forgetting), keys, SEEDS_AND_DOCUMENTS)


def of_seeds(found: pd.DataFrame, there: list[Line], draws: int, seed: int = 0) -> Drawn:
    """Draw seeds alone, the same for all lines: every sample of them where these are few."""
    seeds = sorted(set(found["seed"]))
    count = len(seeds)
    if count**count <= draws:
        chosen = np.array(list(product(range(count), repeat=count)))
    else:
        chosen = np.random.default_rng(seed).integers(count, size=(draws, count))
    chosen = np.vstack([np.arange(count), chosen])
    gain: dict[str, np.ndarray] = {}
    forgetting: dict[str, np.ndarray] = {}
    keys: dict[Line, list[Point]] = {}
    for line in there:
        own = front_points.of_line(found, *line)
        table = own.set_index(["strength", "learning_rate", "interpolation", "seed"])
        keys[line] = points_of(found, line)
        for measure, kept in (("gain", gain), ("forgetting", forgetting)):
            wide = table[measure].unstack().reindex(index=keys[line], columns=seeds)
            kept[line_key(line)] = wide.to_numpy(dtype=float)[:, chosen].mean(axis=2).T
    return Drawn(Draws(gain, forgetting), keys, SEEDS)
