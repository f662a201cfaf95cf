"""The points of the fronts of a study: what each trained or interpolated model learned and forgot.

Gain is the mean over the tasks of the base model's bits per byte minus the model's after the last
task, forgetting the mean over the text to be kept of the model's minus the base model's; both on
test text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from jadapt.analysis.labels import BASE, in_order
from jadapt.config import runs
from jadapt.core.errors import UserError

BITS, WITH_TASK = "bits_per_byte", "bits_per_byte_with_task"
# A line of a front: through rates, through interpolated weights, or told the task of each text.
RATES, WEIGHTS, TOLD = "rates", "weights", "told"
LINES = (RATES, WEIGHTS, TOLD)
# Bits per byte within which two methods count as equal, where a study states no margin.
MARGIN = 0.02
POINT = ["method", "line", "strength", "learning_rate", "interpolation"]


@dataclass(frozen=True)
class Plan:
    """What the fronts of a study are of, from its configuration.

    Attributes:
        tasks: domains that every run is trained on, in order.
        retention: domains that nothing is trained on, on which forgetting is measured.
        replayed: the domain that the strategies of each run remember.
        runs: those that have a front.
        reference: the run that the others are compared with: full fine-tuning without a strategy.
        margin: bits per byte within which two methods count as equal.
    """

    tasks: tuple[str, ...]
    retention: tuple[str, ...]
    replayed: dict[str, str]
    runs: tuple[str, ...]
    reference: str
    margin: float

    @classmethod
    def of(cls, settings: dict) -> Plan:
        """Read it from the configuration of a study with the section ``fronts``."""
        methods, fronts = settings["methods"], settings["fronts"]
        own = [run for run in methods if runs.has_front(settings, run)]
        plain = [
            run for run in own
            if methods[run]["method"] == "sft" and not methods[run].get("continual")
        ]  # fmt: skip
        return cls(
            tuple(settings["sequence"]),
            tuple(fronts["retention"]),
            {
                run: methods[run].get("remembers") or settings["pretraining"]["domain"]
                for run in own
            },
            tuple(own),
            (plain or own)[0],
            fronts.get("margin", MARGIN),
        )


def final(fronts: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return bits per byte on test text of the base model and after the last task.

    Columns `POINT`, ``seed``, ``domain``, ``value`` and ``selected``. The line of a model that is
    as it was trained is `RATES`, also among those of `WEIGHTS` with an interpolation below one.
    """
    last = (fronts["method"] == BASE) | (fronts["trained_through"] == plan.tasks[-1])
    metric = fronts["metric"].isin([BITS, WITH_TASK])
    found = fronts[last & metric & (fronts["split"] == "test") & (fronts["ablation"] == "")]
    line = pd.Series(RATES, found.index)
    line[found["interpolation"] < 1] = WEIGHTS
    line[found["metric"] == WITH_TASK] = TOLD
    # An interpolated model is asked without the task.
    there = (line != TOLD) | (found["interpolation"] == 1)
    found = found.assign(line=line, domain=found["evaluated_on"])[there]
    return found[[*POINT, "seed", "domain", "value", "selected"]].reset_index(drop=True)


def base_bits(values: pd.DataFrame) -> pd.Series:
    """Return the base model's bits per byte by domain, from what `final` returns."""
    base = values[values["method"] == BASE].set_index("domain")["value"]
    if base.empty:
        raise UserError("fronts.csv: no rows of the base model; make the fronts again")
    return base


def points(values: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return one row a model: `POINT`, ``seed``, ``selected``, ``gain`` and ``forgetting``.

    A model whose training diverged, or that was not measured on a task, has NaN.
    """
    base = base_bits(values)
    kept = [name for name in plan.retention if name in base.index]
    if not kept:
        raise UserError(
            f"fronts.csv: none of fronts.retention ({', '.join(plan.retention)}) was measured"
        )
    if missing := [name for name in plan.tasks if name not in base.index]:
        raise UserError(f"fronts.csv: the base model was not measured on '{missing[0]}'")
    adapted = values[values["method"] != BASE]
    adapted = adapted.assign(change=adapted["value"] - adapted["domain"].map(base))
    wide = adapted.set_index([*POINT, "seed", "selected", "domain"])["change"].unstack()
    there = adapted.drop_duplicates([*POINT, "seed", "selected"])
    wide = wide.reindex(pd.MultiIndex.from_frame(there[[*POINT, "seed", "selected"]]))
    gain = -_mean(wide, plan.tasks)
    return pd.DataFrame({"gain": gain, "forgetting": _mean(wide, kept)}).reset_index()


def _mean(wide: pd.DataFrame, domains: Sequence[str]) -> pd.Series:
    return wide.reindex(columns=list(domains)).mean(axis=1, skipna=False)


def complete(found: pd.DataFrame, plan: Plan) -> tuple[set[str], set[int]]:
    """Return the runs that can be compared and the seeds that they are compared on.

    The seeds are those that every point of the reference has (of all runs, where it was not run);
    a run that lacks one of them at some point is not compared yet. Equal seeds read the same rows
    in the same order, so methods are compared seed by seed.
    """
    of_point = found.groupby(POINT)["seed"].agg(set).reset_index()
    own = of_point[of_point["method"] == plan.reference]
    if own.empty:
        own = of_point
    seeds: set[int] = set.intersection(*own["seed"])
    whole = of_point.groupby("method")["seed"].agg(lambda sets: all(s >= seeds for s in sets))
    return (set(whole.index[whole]), seeds) if seeds else (set(), set())


def means(found: pd.DataFrame) -> pd.DataFrame:
    """Return one row a point: means over seeds and, as ``…_low`` and ``…_high``, their extremes.

    A point with a diverged seed is missing, since a seed must not vanish from an average.
    """
    rows = []
    for key, seeds in found.groupby(POINT, sort=False):
        row = dict(zip(POINT, key, strict=True))
        row |= {"selected": bool(seeds["selected"].any()), "n": len(seeds)}
        for measure in ("gain", "forgetting"):
            own = seeds[measure]
            row[measure] = own.mean(skipna=False)
            known = own.notna().all()
            row[f"{measure}_low"] = own.min() if known else math.nan
            row[f"{measure}_high"] = own.max() if known else math.nan
        rows.append(row)
    return pd.DataFrame(rows)


def lines(found: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (method, line) of what was measured, methods in the house order."""
    there = set(zip(found["method"], found["line"], strict=True))
    return [(name, line) for name in in_order(found["method"]) for line in LINES
            if (name, line) in there]  # fmt: skip


def of_line(found: pd.DataFrame, method: str, line: str) -> pd.DataFrame:
    """Return the points of a line; the trained models are the ends of interpolated weights."""
    kinds = [RATES, WEIGHTS] if line == WEIGHTS else [line]
    return found[(found["method"] == method) & found["line"].isin(kinds)]
