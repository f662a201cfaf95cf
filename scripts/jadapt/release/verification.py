"""Compare results with the released ones: equal on the same kind of machine, close elsewhere.

On a machine of the same kind (device and package versions) every measured value has to be equal to
the last digit. Elsewhere sums are taken in another order and training diverges slightly: a value
may differ by `FACTOR` standard deviations between seeds, pooled over all rows of the released table
with the same metric; with a single seed, by `ONE_SEED` of the value. Counts have to be equal
everywhere. Times, speeds and memory depend on the machine and are not compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jadapt.core.errors import UserError

FACTOR = 2.0
ONE_SEED = 0.02
VALUE, METRIC, SEED = "value", "metric", "seed"
# Columns and metrics that depend on the machine: times, speeds, memory.
OF_MACHINE = re.compile(r"^device$|(?:^|_)seconds(?:_|$)|per_second|_mib$|speed")
UNIT_OF_MACHINE = re.compile(r"^s$|/s$|^MiB$|^GB$")
# Metrics that rounding does not affect: sizes, numbers of steps, given or chosen learning rates.
COUNTS = (
    "parameters", "trainable_parameters", "trainable_percent", "steps", "tokens", "documents",
    "characters", "bytes", "learning_rate", "selected",
)  # fmt: skip
SAME, NEAR, DIFFERENT, ABSENT, NEW = "same", "near", "DIFFERENT", "MISSING HERE", "NOT RELEASED"
PASSED = (SAME, NEAR)
COLUMNS = ["table", "row", METRIC, SEED, "released", "here", "difference", "allowed", "verdict"]


@dataclass(frozen=True)
class Machine:
    """The kind of a machine: the devices of the runs and the package versions."""

    devices: tuple[str, ...]
    versions: tuple[tuple[tuple[str, str], ...], ...]

    @classmethod
    def of(cls, manifest: dict, runs: Iterable[str] = ()) -> Machine:
        """Read the machine from a manifest; only of ``runs``, if some are named."""
        wanted = set(runs)
        devices = {r["device"] for r in manifest["runs"] if not wanted or r["run"] in wanted}
        versions = {tuple(sorted(found.items())) for found in manifest["versions"]}
        return cls(tuple(sorted(devices)), tuple(sorted(versions)))


def tidy(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with one value per row: its ``row`` (keys in words), metric, seed and value.

    Tables with a column ``metric`` are already tidy. In others, every numeric column that does not
    depend on the machine becomes a metric.
    """
    of_machine = [column for column in table.columns if OF_MACHINE.search(column)]
    table = table.drop(columns=["study", *of_machine], errors="ignore")
    if METRIC in table.columns:
        table = table[~table[METRIC].str.contains(OF_MACHINE)]
        if "unit" in table.columns:
            table = table[~table["unit"].str.contains(UNIT_OF_MACHINE)]
    if METRIC not in table.columns:
        numbers = [c for c in table.columns if c != SEED and _is_number(table[c])]
        keys = [c for c in table.columns if c not in numbers]
        # A column may itself be called "value".
        table = table.melt(keys, numbers, METRIC, "melted").rename(columns={"melted": VALUE})
    keys = [c for c in table.columns if c not in (METRIC, VALUE, SEED, "unit", "n", "selected")]
    row = _words(table[keys])
    seed = table[SEED].astype(str) if SEED in table.columns else ""
    made = pd.DataFrame({"row": row, METRIC: table[METRIC], SEED: seed})
    # Python parses decimals exactly; pandas may be off in the last digit.
    made[VALUE] = [float(value) if value != "" else np.nan for value in table[VALUE]]
    if "selected" in table.columns:
        # The learning rate that a grid chose is compared as well, since results depend on it.
        chosen = made.assign(
            row=_words(table[[key for key in keys if key != "evaluated_on"]]),
            metric="selected",
            value=_flag(table["selected"]),
        )
        made = pd.concat([made, chosen.drop_duplicates(["row", METRIC, SEED])])
    if made.duplicated(["row", METRIC, SEED]).any():
        twice = made[made.duplicated(["row", METRIC, SEED])].iloc[0]
        raise UserError(f"two values of {twice[METRIC]} for {twice['row']}; delete the table")
    return made


def _words(cells: pd.DataFrame) -> pd.Series:
    rows = cells.astype(str).itertuples(index=False)
    return pd.Series([" · ".join(filter(None, row)) for row in rows], cells.index, dtype=object)


def _is_number(column: pd.Series) -> bool:
    return bool(pd.to_numeric(column.replace("", np.nan), errors="coerce").notna().any())


def _flag(column: pd.Series) -> pd.Series:
    return column.astype(str).str.lower().eq("true").astype(float)


def deviations(released: pd.DataFrame) -> pd.Series:
    """Return the standard deviation between seeds of each metric of a tidy table.

    The pooled one: the root of the mean of the variances of all rows with two seeds or more. A
    metric without such rows is left out.
    """
    groups = released[np.isfinite(released[VALUE])].groupby([METRIC, "row"])[VALUE]
    variance = groups.var(ddof=1)[groups.count() > 1]
    return np.sqrt(variance.groupby(METRIC).mean())


def compare(name: str, released: pd.DataFrame, here: pd.DataFrame, *, exact: bool) -> pd.DataFrame:
    """Compare a table with the released one of the same name.

    Args:
        name: the table's name.
        released: the released table, every cell as text.
        here: the table of this machine, likewise.
        exact: whether the machine is of the same kind.

    Returns:
        One row per value, with the columns `COLUMNS`.
    """
    old, new = tidy(released), tidy(here)
    spread = deviations(old)
    both = old.merge(new, on=["row", METRIC, SEED], how="outer", suffixes=("_old", "_new"),
                     indicator=True)  # fmt: skip
    a, b = both[f"{VALUE}_old"], both[f"{VALUE}_new"]
    difference = b - a
    counted = both[METRIC].isin(COUNTS) | exact
    allowed = (FACTOR * both[METRIC].map(spread)).fillna(ONE_SEED * a.abs())
    allowed = allowed.where(~counted, 0.0)
    # Two runs that both diverged have no values, and agree.
    equal = (a == b) | (a.isna() & b.isna())
    verdict = np.select(
        [both["_merge"] == "left_only", both["_merge"] == "right_only", equal,
         difference.abs() <= allowed],
        [ABSENT, NEW, SAME, NEAR],
        DIFFERENT,
    )  # fmt: skip
    return pd.DataFrame(
        {
            "table": name, "row": both["row"], METRIC: both[METRIC], SEED: both[SEED],
            "released": a, "here": b, "difference": difference, "allowed": allowed,
            "verdict": verdict,
        }
    )[COLUMNS]  # fmt: skip


def other_corpora(released: dict, here: dict, catalogue: dict) -> tuple[list[str], list[str]]:
    """Compare the text that two studies were made from.

    Args:
        released: the manifest of the release.
        here: ``tokens`` and ``corpora`` of this machine, as in a manifest.
        catalogue: the domains of ``config/corpora.yaml``.

    Returns:
        Differences in words, which make a comparison meaningless; and the optional domains that
        only one side has, which are left out of the comparison.
    """
    wrong, left_out = [], []
    for domain in dict.fromkeys([*released["corpora"], *here["corpora"]]):
        old, new = released["corpora"].get(domain), here["corpora"].get(domain)
        if old is None or new is None:
            where = "here" if new is None else "in the release"
            wrong.append(f"domain '{domain}' is not {where}")
        elif old["available"] != new["available"] and catalogue[domain].get("optional"):
            left_out.append(domain)
        elif old["splits"] != new["splits"]:
            wrong.append(_other_text(domain, old, new))
    if not wrong:
        for name in released["tokens"].keys() & here["tokens"].keys():
            same = released["tokens"][name] == here["tokens"][name]
            if not same and name.split("/")[0] not in left_out:
                wrong.append(f"the tokens of {name} differ: another tokenizer")
    return wrong, left_out


def _other_text(domain: str, old: dict, new: dict) -> str:
    splits = [name for name, sha256 in old["splits"].items() if new["splits"].get(name) != sha256]
    words = f"the text of '{domain}' differs ({', '.join(splits)}; {new['documents']} documents, "
    words += f"released {old['documents']})"
    sources = [
        name for name, source in old["sources"].items()
        if source.get("files", []) != new["sources"].get(name, {}).get("files", [])
    ]  # fmt: skip
    return words + (f", source {', '.join(sources)} is of other files" if sources else "")


def summary(compared: pd.DataFrame) -> pd.DataFrame:
    """Return one row per table, method and metric: the value with the largest relative difference.

    The column ``values`` is the number of values that the row stands for. Failed rows come last,
    where they are nearest to the prompt of a terminal.
    """
    parts = compared.assign(method=compared["row"].str.split(" · ").str[0])
    failed = ~parts["verdict"].isin(PASSED)
    distance = parts["difference"].abs() / parts["allowed"].replace(0, np.nan)
    distance = distance.fillna(parts["difference"].abs()).fillna(0.0)
    parts = parts.assign(failed=failed, distance=distance)
    by = ["table", "method", METRIC]
    parts["values"] = parts.groupby(by, sort=False)["row"].transform("size")
    order = parts.sort_values(["failed", "distance"], ascending=False, kind="stable")
    worst = order.drop_duplicates(by).sort_index()
    return worst.sort_values("failed", kind="stable")


def printed(lines: pd.DataFrame) -> str:
    """Return the lines of `summary` as a table for a terminal."""
    shown = lines.assign(metric=lines[METRIC], where=lines["row"] + _seeds(lines[SEED]))
    columns = ["table", METRIC, "where", "values", "released", "here", "difference", "allowed",
               "verdict"]  # fmt: skip
    return shown[columns].to_string(index=False, float_format="%.6g", na_rep="–")


def _seeds(column: pd.Series) -> pd.Series:
    return column.map(lambda seed: f" · seed {seed}" if seed else "")
