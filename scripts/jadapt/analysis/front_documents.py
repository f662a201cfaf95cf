"""Losses of single test documents of the fronts, as their intervals need them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from jadapt.analysis.fronts import Losses
from jadapt.core.errors import UserError

# The base model in a file of losses: a rate of zero.
BASE_RATE = 0.0
KEY = ["strength", "learning_rate", "interpolation", "seed"]
Point = tuple[str, float, float]


@dataclass(frozen=True)
class Documents:
    """What is known of the test documents of some domains.

    Attributes:
        losses: of the trained models of each run.
        points: of each run, the (strength, rate, interpolation) that `Losses.points` counts.
        base: bits of the base model by domain, of shape (documents,).
    """

    losses: Mapping[str, Losses]
    points: Mapping[str, list[Point]]
    base: Mapping[str, np.ndarray]

    def only(self, runs: Collection[str], seeds: Collection[int]) -> Documents:
        """Return the same of some runs and seeds alone."""
        some = {run: own for run, own in self.losses.items() if run in runs}
        kept = {run: np.isin(own.seeds, list(seeds)) for run, own in some.items()}
        losses = {
            run: Losses(
                {name: bits[kept[run]] for name, bits in own.bits.items()},
                own.bytes, own.seeds[kept[run]], own.points[kept[run]],
            )
            for run, own in some.items()
        }  # fmt: skip
        return Documents(losses, self.points, self.base)


def read(folder: Path, runs: Iterable[str], domains: Iterable[str]) -> Documents | None:
    """Read ``{run}.parquet`` of a folder.

    Returns:
        None where a file is missing, or none holds the losses of the base model: then intervals
        cover the seeds alone.

    Raises:
        UserError: two models were not measured on the same documents.
    """
    paths = {run: folder / f"{run}.parquet" for run in runs}
    if not paths or not all(path.is_file() for path in paths.values()):
        return None
    wanted = list(domains)
    base: dict[str, np.ndarray] = {}
    sizes: dict[str, np.ndarray] = {}
    losses: dict[str, dict[str, tuple[list[tuple[Point, int]], np.ndarray]]] = {}
    points: dict[str, list[Point]] = {}
    for run, path in paths.items():
        table = pd.read_parquet(path)
        if table.empty:
            # Every point of it diverged.
            continue
        table = table[table["domain"].isin(wanted)]
        if "interpolation" not in table:
            table = table.assign(interpolation=1.0)
        of_base = table["learning_rate"].astype(float) == BASE_RATE
        for model, rows in ((True, table[of_base]), (False, table[~of_base])):
            for domain, own in rows.groupby("domain", observed=True, sort=False):
                name = str(domain)
                keys, bits, size = _matrix(own, path)
                if not np.array_equal(sizes.setdefault(name, size), size):
                    raise UserError(f"{path}: other test documents of '{name}' than other fronts")
                if model:
                    base.setdefault(name, bits[0])
                else:
                    losses.setdefault(run, {})[name] = (keys, bits)
    if not set(base) >= {name for own in losses.values() for name in own} or not base:
        return None
    found = {}
    for run, own in losses.items():
        keys = next(iter(own.values()))[0]
        points[run] = list(dict.fromkeys(point for point, _ in keys))
        place = [points[run].index(point) for point, _ in keys]
        found[run] = Losses(
            {name: bits for name, (_, bits) in own.items()},
            {name: sizes[name] for name in own},
            np.array([seed for _, seed in keys]),
            np.array(place),
        )
    return Documents(found, points, base)


def _matrix(
    own: pd.DataFrame, path: Path
) -> tuple[list[tuple[Point, int]], np.ndarray, np.ndarray]:
    """Return the models, their bits of shape (models, documents) and the documents' bytes."""
    keys, rows, sizes = [], [], None
    for key, model in own.groupby(KEY, observed=True, sort=True):
        model = model.sort_values("document")
        size = model["bytes"].to_numpy(dtype=float)
        if sizes is None:
            sizes = size
        if not np.array_equal(sizes, size):
            raise UserError(f"{path}: models that were measured on different documents")
        strength, rate, share, seed = key
        keys.append(((str(strength), float(rate), float(share)), int(seed)))
        rows.append(model["bits"].to_numpy(dtype=float))
    assert sizes is not None
    return keys, np.array(rows), sizes
