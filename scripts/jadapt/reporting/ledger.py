"""The verdicts of the ledger: what a study says about every published claim."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from jadapt.errors import UserError
from jadapt.reporting import expressions
from jadapt.reporting.claims import ABOVE, BELOW, Claim, Ledger
from jadapt.reporting.measures import Measures, Untestable
from jadapt.reporting.runs import Tables, setter
from jadapt.reporting.statistics import Estimate, estimate

REPRODUCED, NOT_REPRODUCED, UNTESTABLE = "reproduced", "not reproduced", "cannot be tested here"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, UNTESTABLE)
MEASUREMENT, ARITHMETIC = "measurement", "arithmetic"
COLUMNS = [
    "study", "id", "source", "kind", "statement", "relation", "expected", "allowed_low",
    "allowed_high", "value", "half_width", "n", "verdict", "reason", "unit", "digits",
    "expression", "runs",
]  # fmt: skip


def judge(ledger: Ledger, tables: Tables, settings: dict) -> pd.DataFrame:
    """Return ``claims.csv``: one row a claim with value, interval, verdict and reason.

    A value is the mean over seeds with the half-width of its 95 % interval, or an exact number
    without one. A claim is reproduced where the whole interval lies in the range that agrees with
    it, and not reproduced where the interval lies wholly outside; where it reaches over the limit,
    the study cannot tell. ``runs`` names the runs that were read, as ``run/seed`` with spaces.
    """
    measures = Measures(tables, ledger.shapes)
    study = str(settings.get("study", ""))
    rows = [{"study": study, **_row(claim, ledger, measures, settings)} for claim in ledger.claims]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(claim: Claim, ledger: Ledger, measures: Measures, settings: dict) -> dict[str, Any]:
    low, high = claim.allowed() if claim.expression else (math.nan, math.nan)
    row: dict[str, Any] = {
        "id": claim.id,
        "source": claim.source,
        "kind": ARITHMETIC if claim.arithmetic else MEASUREMENT,
        "statement": claim.words,
        "relation": claim.relation or "",
        "expected": claim.target if claim.expression else math.nan,
        "allowed_low": low,
        "allowed_high": high,
        "unit": claim.unit,
        "digits": claim.digits,
        "expression": claim.expression or "",
    }
    measures.used = set()
    found, missing = Estimate(math.nan, math.nan, 0), ""
    if claim.expression is not None:
        found, missing = _measure(claim, measures)
    reason = missing or _out_of_scope(claim, ledger, settings)
    verdict, doubt = (UNTESTABLE, reason) if reason else decide(claim, found)
    runs = " ".join(f"{run}/{seed}" for run, seed in sorted(measures.used))
    numbers = {"value": found.mean, "half_width": found.half_width, "n": found.n}
    return row | numbers | {"verdict": verdict, "reason": doubt, "runs": runs}


def _measure(claim: Claim, measures: Measures) -> tuple[Estimate, str]:
    """Return the value of a claim, and why there is none where that is so."""
    nothing = Estimate(math.nan, math.nan, 0)
    try:
        value = expressions.evaluate(claim.expression, claim.published, measures.functions())
    except Untestable as error:
        return nothing, str(error)
    except UserError as error:
        raise UserError(f"config/claims.yaml: claims.{claim.id}.expression: {error}") from None
    if not isinstance(value, pd.Series):
        return Estimate(float(value), 0.0, 0), ""
    # Where two runs have no seed in common, nothing can be paired.
    if value.empty:
        return nothing, "its runs have no seed in common"
    found = estimate(value)
    if not math.isfinite(found.mean):
        return nothing, "a run that it needs has no finite result"
    return found, ""


def _out_of_scope(claim: Claim, ledger: Ledger, settings: dict) -> str:
    """Return why a study does not bear on a claim, or nothing."""
    if claim.obstacle is not None:
        return ledger.obstacles[claim.obstacle]
    setting = setter(settings)
    for name in claim.scope:
        condition = ledger.conditions[name]
        if setting(condition["key"]) not in condition["values"]:
            return condition["otherwise"]
    return ""


def decide(claim: Claim, found: Estimate) -> tuple[str, str]:
    """Return the verdict on a measured value, with the reason where there is none."""
    if not found.has_interval:
        return UNTESTABLE, "a single seed has no interval"
    low, high = claim.allowed()
    # A strict relation leaves out its limit, up to rounding errors of exact values.
    strict = claim.relation in (ABOVE, BELOW)
    slack = 1e-9 * max(1.0, abs(claim.target))
    margin = -slack if strict else slack
    inside = low - margin <= found.low and found.high <= high + margin
    outside = found.high < low - margin or found.low > high + margin
    if strict and not inside and found.low == found.high:
        outside = True
    if inside:
        return REPRODUCED, ""
    if outside:
        return NOT_REPRODUCED, ""
    return UNTESTABLE, "the interval reaches over the limit of agreement, so more seeds would tell"
