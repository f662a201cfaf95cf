"""Every measure of the fronts of a study, in one table that figures, tables and text read.

======================  ===========================================================================
measure                 of
======================  ===========================================================================
``point_gain``,         every point; ``low`` and ``high`` are the extremes of its seeds
``point_forgetting``
``gain``,               the point that the rule of the study chose, with an interval
``forgetting``
``change``              the same point on one domain: bits per byte above the base model's
``best_gain``           a line: the largest gain of its points
``at_equal_learning``   a line, where ``level`` of the reference's best gain is learned
``difference``          the same minus the reference's, with test and verdict
``area``                a line: mean forgetting over gains up to the highest level
======================  ===========================================================================

The ``base`` model has its bits per byte by domain (measure ``bits_per_byte``); trivial models of
the same text (``unigram``, ``ngram``, …) have ``gain`` and ``change``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from jadapt.analysis import front_documents, front_points
from jadapt.analysis.front_documents import Documents
from jadapt.analysis.front_draws import SEEDS, Drawn, Line, line_key, of_documents, of_seeds
from jadapt.analysis.front_points import POINT, RATES, TOLD, WEIGHTS, Plan
from jadapt.analysis.fronts import (
    DRAWS,
    LEVELS,
    Comparison,
    Draws,
    Interval,
    compare,
    interval,
)
from jadapt.analysis.labels import BASE
from jadapt.analysis.statistics import holm
from jadapt.core.tables import BASELINES, FRONT_MEASURES, FRONTS

BIT = "bit/byte"
EMPTY: dict[str, Any] = {
    name: {"flag": False, "text": ""}.get(column.kind, math.nan)
    for name, column in FRONT_MEASURES.columns.items()
}
NOT_REACHED = "not reached"


def of_files(fronts: Path, documents: Path, baselines: Path | None, settings: dict) -> pd.DataFrame:
    """Return what `measure` does, from files.

    Args:
        fronts: ``fronts.csv``.
        documents: the folder of the losses of single documents.
        baselines: ``baselines.csv``, if it was made.
        settings: the configuration of the study.
    """
    plan, table = Plan.of(settings), FRONTS.read(fronts)
    there = [run for run in plan.runs if run in set(table["method"])]
    losses = front_documents.read(documents, there, [*plan.tasks, *plan.retention])
    return measure(table, plan, losses, BASELINES.read(baselines) if baselines else None)


def measure(
    fronts: pd.DataFrame,
    plan: Plan,
    documents: Documents | None = None,
    baselines: pd.DataFrame | None = None,
    draws: int = DRAWS,
) -> pd.DataFrame:
    """Return the table `jadapt.core.tables.FRONT_MEASURES`.

    Args:
        fronts: the table of the same name.
        plan: what the fronts are of.
        documents: losses of single documents; without them intervals cover the seeds alone.
        baselines: trivial models of the same text, if they were measured.
        draws: of the bootstrap.
    """
    values = front_points.final(fronts, plan)
    found = front_points.points(values, plan)
    rows = [*_points(found, plan), *_base(values), *_changes(values, plan)]
    rows += _comparisons(found, plan, documents, draws)
    if baselines is not None:
        rows += _trivial(baselines, values, plan)
    study = fronts["study"].iloc[0]
    return pd.DataFrame([{**EMPTY, **row, "study": study} for row in rows])[
        list(FRONT_MEASURES.header)
    ]


def _points(found: pd.DataFrame, plan: Plan) -> Iterator[dict[str, Any]]:
    of = {"gain": " ".join(plan.tasks), "forgetting": " ".join(plan.retention)}
    for point in front_points.means(found).to_dict("records"):
        for name, domains in of.items():
            yield {
                **{key: point[key] for key in POINT},
                "measure": f"point_{name}", "domain": domains, "selected": point["selected"],
                "value": point[name], "low": point[f"{name}_low"], "high": point[f"{name}_high"],
                "unit": BIT, "n": point["n"], "covers": SEEDS,
            }  # fmt: skip


def _base(values: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for domain, bits in front_points.base_bits(values).items():
        yield {
            "method": BASE, "measure": front_points.BITS, "domain": domain, "value": bits,
            "unit": BIT, "n": 1,
        }  # fmt: skip


def _changes(values: pd.DataFrame, plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield how far the chosen models are from the base model on every domain."""
    base = front_points.base_bits(values)
    chosen = values[values["selected"] & values["line"].isin([RATES, TOLD])]
    for key, own in chosen.groupby([*POINT, "domain"], sort=False):
        change = own["value"] - base.get(key[-1], math.nan)
        yield {
            **dict(zip([*POINT, "domain"], key, strict=True)),
            "measure": "change", "selected": True, "value": change.mean(skipna=False),
            "low": change.min(), "high": change.max(), "unit": BIT, "n": len(own), "covers": SEEDS,
        }  # fmt: skip


def _trivial(baselines: pd.DataFrame, values: pd.DataFrame, plan: Plan) -> Iterator[dict[str, Any]]:
    base = front_points.base_bits(values)
    last = baselines[
        (baselines["trained_through"] == plan.tasks[-1])
        & (baselines["metric"] == front_points.BITS)
        & ~baselines["method"].str.endswith("_own")
    ]  # fmt: skip
    for method, own in last.groupby("method", sort=False):
        change = own.set_index("evaluated_on")["value"] - base
        for domain, value in change.dropna().items():
            yield {
                "method": method, "measure": "change", "domain": domain, "value": value,
                "unit": BIT, "n": 1,
            }  # fmt: skip
        gain = -change.reindex(list(plan.tasks)).mean(skipna=False)
        yield {"method": method, "measure": "gain", "domain": " ".join(plan.tasks), "value": gain,
               "unit": BIT, "n": 1}  # fmt: skip


def _comparisons(
    found: pd.DataFrame, plan: Plan, documents: Documents | None, draws: int
) -> Iterator[dict[str, Any]]:
    runs, common = front_points.complete(found, plan)
    found = found[found["method"].isin(runs) & found["seed"].isin(common)]
    there = front_points.lines(found)
    if not there:
        return
    kinds = [of_seeds(found, there, draws)]
    if documents is not None and plan.reference in runs & set(documents.losses):
        kinds.insert(0, of_documents(documents.only(runs, common), plan, found, there, draws))
    tests: list[tuple[dict[str, Any], Comparison]] = []
    reference = (plan.reference, RATES)
    bests = [each.draws.best_gain(line_key(reference)) if reference in each.keys else None
             for each in kinds]  # fmt: skip
    besides = [each.beside(reference, best) if best is not None else ()
               for each, best in zip(kinds, bests, strict=True)]  # fmt: skip
    for line in there:
        place = next(place for place, each in enumerate(kinds) if line in each.keys)
        drawn, best = kinds[place], bests[place]
        own = {"method": line[0], "line": line[1], "unit": BIT, "covers": drawn.covers,
               "n": len(common)}  # fmt: skip
        yield from _chosen(own, drawn, line, found)
        most = interval(drawn.draws.best_gain(line_key(line)))
        yield {**own, "measure": "best_gain", **_ends(most)}
        if best is None:
            continue
        area = interval(drawn.draws.areas(line_key(line), max(LEVELS) * best))
        yield {**own, "measure": "area", "level": max(LEVELS), **_ends(area)}
        for level, forgot, other in zip(LEVELS, drawn.beside(line, best), besides[place],
                                        strict=True):  # fmt: skip
            at = {**own, "level": level}
            yield {**at, "measure": "at_equal_learning", **_ends(interval(forgot))}
            if line != reference:
                family = "interpolated weights" if line[1] == WEIGHTS else "methods"
                compared = replace(
                    compare(forgot, other, plan.margin),
                    bound=bounds(drawn.draws, line_key(line), line_key(reference), level * best[0]),
                )
                tests.append(({**at, "family": f"{family} at {level:.0%}"}, compared))
    yield from _corrected(tests)


def bounds(draws: Draws, own: str, reference: str, wanted: float) -> tuple[str, ...]:
    """Return the verdicts that points of more learning than ``wanted`` cannot give."""
    sides = {"more": own, "less": reference}
    return tuple(verdict for verdict, side in sides.items() if draws.bound_alone(side, wanted))


def _corrected(tests: list[tuple[dict[str, Any], Comparison]]) -> Iterator[dict[str, Any]]:
    """Yield the tests with p corrected by Holm's method within each family.

    A comparison at a level that one side does not reach is no test.
    """
    families: dict[str, list[int]] = {}
    for index, (row, compared) in enumerate(tests):
        if compared.difference.defined:
            families.setdefault(row["family"], []).append(index)
    corrected = dict.fromkeys(range(len(tests)), math.nan)
    for members in families.values():
        adjusted = holm(pd.Series([tests[index][1].p for index in members]))
        corrected |= dict(zip(members, map(float, adjusted), strict=True))
    for index, (row, compared) in enumerate(tests):
        p = corrected[index]
        known = not math.isnan(p)
        yield {
            **row, "measure": "difference", **_ends(compared.difference),
            "p": compared.p if known else math.nan, "p_holm": p,
            "verdict": replace(compared, p=p).verdict() if known else NOT_REACHED,
        }  # fmt: skip


def _chosen(
    own: dict[str, Any], drawn: Drawn, line: Line, found: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    """Yield gain and forgetting of the point that the rule chose."""
    points = front_points.of_line(found, *line)
    picked = points[points["selected"] & (points["interpolation"] == 1)]
    if picked.empty or line[1] == WEIGHTS:
        return
    strength, rate = picked["strength"].iloc[0], float(picked["learning_rate"].iloc[0])
    place = drawn.keys[line].index((strength, rate, 1.0))
    for measure, values in (("gain", drawn.draws.gain), ("forgetting", drawn.draws.forgetting)):
        yield {
            **own, "measure": measure, "learning_rate": rate, "strength": strength,
            "interpolation": 1.0, "selected": True,
            **_ends(interval(values[line_key(line)][:, place])),
        }  # fmt: skip


def _ends(found: Interval) -> dict[str, float]:
    if not found.defined:
        return {"value": math.nan, "low": math.nan, "high": math.nan}
    return {"value": found.value, "low": found.low, "high": found.high}
