"""The verdicts of the ledger: what a study says about every published claim."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import pandas as pd

from jadapt.analysis import expressions
from jadapt.analysis.adapted_models import Tables
from jadapt.analysis.claim_functions import Measures, Untestable
from jadapt.analysis.claims import ABOVE, AT_LEAST, AT_MOST, BELOW, EQUAL, Claim, Ledger
from jadapt.analysis.printing import MISSING, fixed
from jadapt.analysis.statistics import Estimate, estimate
from jadapt.core.errors import UserError
from jadapt.core.tables import CLAIMS

REPRODUCED, NOT_REPRODUCED, UNTESTABLE = "reproduced", "not reproduced", "cannot be tested here"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, UNTESTABLE)
MEASUREMENT, ARITHMETIC = "measurement", "arithmetic"


def judge(ledger: Ledger, tables: Tables, unmet: Collection[str] = ()) -> pd.DataFrame:
    """Return ``claims.csv``: one row a claim with value, interval, verdict and reason.

    ``unmet`` names the conditions of the ledger that do not hold in the study.

    A value is the mean over seeds with the half-width of its 95 % interval, or an exact number
    without one. A claim is reproduced where the whole interval lies in the range that agrees with
    it, and not reproduced where the interval lies wholly outside; where it reaches over the limit,
    the study cannot tell. ``runs`` names the runs that were read, as ``run/seed`` with spaces.
    """
    measures = Measures(tables, ledger.shapes)
    study = tables.metrics["study"].iloc[0]
    rows = [{"study": study, **_row(claim, ledger, measures, unmet)} for claim in ledger.claims]
    return pd.DataFrame(rows, columns=list(CLAIMS.header))


def _row(
    claim: Claim, ledger: Ledger, measures: Measures, unmet: Collection[str]
) -> dict[str, Any]:
    low, high = claim.allowed() if claim.expression else (math.nan, math.nan)
    row: dict[str, Any] = {
        "id": claim.id,
        "source": claim.source,
        "label": ledger.sources[claim.source]["label"],
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
        found, missing = _measure(claim, claim.expression, measures)
    reason = _out_of_scope(claim, ledger, unmet) or missing
    verdict, doubt = (UNTESTABLE, reason) if reason else decide(claim, found)
    runs = " ".join(f"{run}/{seed}" for run, seed in sorted(measures.used))
    numbers = {"value": found.mean, "half_width": found.half_width, "n": found.n}
    return row | numbers | {"verdict": verdict, "reason": doubt, "runs": runs}


def _measure(claim: Claim, expression: str, measures: Measures) -> tuple[Estimate, str]:
    """Return the value of a claim, and why there is none where that is so."""
    nothing = Estimate(math.nan, math.nan, 0)
    try:
        value = expressions.evaluate(expression, claim.published, measures.functions())
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


def _out_of_scope(claim: Claim, ledger: Ledger, unmet: Collection[str]) -> str:
    """Return why a study does not bear on a claim, or nothing."""
    if claim.obstacle is not None:
        return ledger.obstacles[claim.obstacle]
    for name in claim.scope:
        if name in unmet:
            return ledger.conditions[name]["otherwise"]
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


SIGNS = {EQUAL: "", AT_LEAST: "≥ ", AT_MOST: "≤ ", ABOVE: "> ", BELOW: "< "}


def printed_rows(claims: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return the claims of a kind that could be tested, which are those that are printed."""
    return claims[(claims["kind"] == kind) & (claims["verdict"] != UNTESTABLE)]


def printed_table(claims: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return the claims of a kind that could be tested, as the table that is printed."""
    made = [
        {
            "claim_source": row.label,
            "statement": row.statement,
            "claimed": claimed(row),
            "here": value(row),
            "verdict": row.verdict,
        }
        for row in printed_rows(claims, kind).itertuples()
    ]
    return pd.DataFrame(made, columns=["claim_source", "statement", "claimed", "here", "verdict"])


def claimed(row: Any) -> str:
    """Return what a value is compared with, such as ``≥ 94.4 %``; nothing without a relation."""
    if not row.relation:
        return ""
    # The limit of a claim about a direction is zero itself, not a rounded number.
    limit = _rounded(row.expected, row) if row.expected else _united("0", row)
    return SIGNS[row.relation] + limit


def value(row: Any) -> str:
    """Return the value of a claim with the half-width of its interval, or a dash."""
    if not math.isfinite(row.value):
        return MISSING
    if row.half_width > 0:
        digits = int(row.digits)
        return _united(f"{fixed(row.value, digits)} ± {fixed(row.half_width, digits)}", row)
    return _rounded(row.value, row)


def _rounded(number: float, row: Any) -> str:
    return _united(fixed(number, int(row.digits)), row)


def _united(words: str, row: Any) -> str:
    return f"{words} {row.unit}" if row.unit else words


def summary(claims: pd.DataFrame, sources: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return what the text says about the ledger: counts by verdict, and reasons for none.

    ``computed`` and ``measured`` hold the counts of each kind (``all`` that have a verdict,
    ``reproduced``, ``refuted``) with the labels and words of the refuted claims; ``reasons`` pairs
    each reason for no verdict with its count; ``sources`` each source with its count.
    """
    silent = claims[claims["verdict"] == UNTESTABLE]
    return {
        "claims": len(claims),
        "untestable": len(silent),
        "computed": _verdicts(claims[claims["kind"] == ARITHMETIC]),
        "measured": _verdicts(claims[claims["kind"] == MEASUREMENT]),
        "reasons": list(silent["reason"].value_counts(sort=True).items()),
        "sources": [
            {**sources[name], "count": int(count)}
            for name, count in claims["source"].value_counts(sort=False).items()
        ],
    }


def _verdicts(claims: pd.DataFrame) -> dict[str, Any]:
    refuted = claims[claims["verdict"] == NOT_REPRODUCED]
    return {
        "all": int((claims["verdict"] != UNTESTABLE).sum()),
        "reproduced": int((claims["verdict"] == REPRODUCED).sum()),
        "refuted": len(refuted),
    }
