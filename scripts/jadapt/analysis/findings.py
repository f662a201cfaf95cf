"""Findings: statements of the paper that hold in some studies and not in others.

A finding is a registered function over the tables of a study. It decides, and says what it rests
on; the text prints the sentence of the side that holds and decides nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import pandas as pd

from jadapt.analysis import rate_tables, segmentation_tables, summaries
from jadapt.analysis.adapted_models import Tables
from jadapt.analysis.labels import BASE, is_bound
from jadapt.analysis.numbers import Numbers, Rows, rows
from jadapt.analysis.printing import count, fixed
from jadapt.analysis.transfer_tables import SEQUENCE
from jadapt.core.errors import UserError, nearest


@dataclass(frozen=True)
class Finding:
    """What a study says on one question.

    ``value`` is the answer, ``sentence`` says it in words, with ``{key}`` where it prints one of
    ``numbers``; ``rows`` are the measurements that they follow from.
    """

    name: str
    value: bool | str
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    rows: Rows | None = None

    def add_to(self, collected: Numbers) -> None:
        """Add the numbers as ``finding.NAME.KEY``."""
        for key, value in self.numbers.items():
            form = count if isinstance(value, int) else fixed
            collected.add(f"finding.{self.name}.{key}", value, form, self.rows or ())

    def said(self, printed: Callable[[str], str]) -> str:
        """Return the sentence with its numbers, each printed by its name."""
        return self.sentence.format_map(
            {key: printed(f"finding.{self.name}.{key}") for key in self.numbers}
        )


Function = Callable[[Tables], Finding | None]
REGISTERED: dict[str, Function] = {}


def finding(function: Function) -> Function:
    """Register a function as the finding of its name; None means that the study says nothing."""
    if not function.__doc__:
        raise UserError(f"finding '{function.__name__}': no docstring, which says what it decides")
    if function.__name__ in REGISTERED:
        raise UserError(f"finding '{function.__name__}': registered twice")
    REGISTERED[function.__name__] = function
    return function


def find(tables: Tables) -> Findings:
    """Return the findings of a study."""
    found = (function(tables) for function in REGISTERED.values())
    return Findings({each.name: each for each in found if each is not None})


class Findings(dict[str, Finding]):
    """Findings by name; asking for one that is not registered is a mistake, named in one line."""

    def known(self, name: str) -> Finding | None:
        """Return a finding; None where the study says nothing on its question."""
        if name not in REGISTERED:
            raise UserError(f"finding '{name}': not registered{nearest(name, REGISTERED)}")
        return self.get(name)


def before_training(metrics: pd.DataFrame) -> pd.Series:
    """Return how far bits per byte on each task fell from the base model's before it was trained.

    Indexed by ``method`` and ``task``: means over seeds after the task before, the first task left
    out. Joint training, which has no order, is left out as well.
    """
    bits = metrics[metrics["metric"] == summaries.BITS]
    base = bits[bits["method"] == BASE].groupby("evaluated_on")["value"].mean()
    tasks = summaries.tasks(metrics)
    found = {}
    for method in summaries.adapted(metrics):
        own = bits[(bits["method"] == method)]
        for earlier, task in pairwise(tasks):
            cell = own[(own["trained_through"] == earlier) & (own["evaluated_on"] == task)]
            if len(cell) and task in base.index and not is_bound(method):
                found[method, task] = base[task] - cell["value"].mean(skipna=False)
    index = pd.MultiIndex.from_tuples(list(found), names=["method", "task"])
    return pd.Series(list(found.values()), index=index if found else None, dtype=float)


@finding
def earlier_domains_help(tables: Tables) -> Finding | None:
    """Whether every run predicts every domain better once the domains before it are learned.

    An average over domains can be positive where one of them got worse, so each is looked at.
    """
    falls = before_training(tables.metrics)
    if falls.empty or not (tables.metrics["evaluated_on"] == SEQUENCE).any():
        return None
    worse = int((~(falls > 0)).sum())
    numbers: dict[str, float] = {"cases": len(falls), "worse": worse}
    sentence = (
        "In all {cases} cases, a Japanese domain is easier to predict once another has been "
        "learned."
    )
    if worse:
        sentence = (
            "A Japanese domain is not always easier to predict once another has been learned: in "
            "{worse} of {cases} cases it is no easier, at worst {rise} bits per byte harder."
        )
        numbers["rise"] = float(-falls.min())
    of = rows("metrics", metric=summaries.BITS, evaluated_on=summaries.tasks(tables.metrics)[1:])
    return Finding("earlier_domains_help", not worse, sentence, numbers, of)


@finding
def models_beat_ngram(tables: Tables) -> Finding | None:
    """Whether the best adapted model predicts the tasks better than a character n-gram does.

    On average over the tasks, after the last of them; the n-gram is counted on as much text of them
    as a run sees. Joint training, which sees more, takes no part.
    """
    if tables.baselines is None:
        return None
    tasks = summaries.tasks(tables.metrics)
    of = {"method": "ngram", "trained_through": tasks[-1], "metric": summaries.BITS}
    ngram = tables.baselines
    for column, value in of.items():
        ngram = ngram[ngram[column] == value]
    ngram = ngram.set_index("evaluated_on")["value"].reindex(tasks).mean(skipna=False)
    runs = [run for run in summaries.adapted(tables.metrics) if not is_bound(run)]
    bits = pd.Series(
        [summaries.task_mean(tables.metrics, run, summaries.BITS).mean() for run in runs]
    )
    if not len(bits.dropna()) or pd.isna(ngram):
        return None
    lost = int((bits >= ngram).sum())
    numbers: dict[str, float] = {"best": float(bits.min()), "ngram": float(ngram)}
    if bits.min() >= ngram:
        sentence = (
            "No model of this study predicts the Japanese text as well as a character "
            "n\u2011gram counted on as much of it, which takes {ngram} bits per byte where the "
            "best model takes {best}; so this study ranks no methods."
        )
    elif lost:
        numbers |= {"lost": lost, "runs": len(bits)}
        sentence = (
            "A character n\u2011gram counted on as much of the Japanese text takes {ngram} bits "
            "per byte; {lost} of {runs} runs do no better, the best takes {best}."
        )
    else:
        sentence = (
            "Every run predicts the Japanese text better than a character n\u2011gram counted on "
            "as much of it, which takes {ngram} bits per byte; the best run takes {best}."
        )
    beaten = bool(bits.min() < ngram)
    return Finding("models_beat_ngram", beaten, sentence, numbers, rows("baselines", **of))


@finding
def no_task_got_worse(tables: Tables) -> Finding | None:
    """Whether every run ends better than the base model on every task, not only on average."""

    def bits(run: str, task: str) -> float:
        return summaries.by_seed(tables.metrics, run, summaries.BITS, task).mean(skipna=False)

    falls = {
        (run, task): bits(BASE, task) - bits(run, task)
        for run in summaries.adapted(tables.metrics)
        for task in summaries.tasks(tables.metrics)
    }
    change = pd.Series(falls).dropna()
    if change.empty:
        return None
    worse = int((change < 0).sum())
    numbers: dict[str, float] = {"cases": len(change), "worse": worse}
    sentence = "Every run ends better than the base model on every Japanese domain."
    if worse:
        numbers["rise"] = float(-change.min())
        sentence = (
            "What got worse comes first: in {worse} of {cases} cases, a run ends worse than the "
            "base model on a Japanese domain, at worst by {rise} bits per byte."
        )
    of = rows("metrics", metric=summaries.BITS, evaluated_on=summaries.tasks(tables.metrics))
    return Finding("no_task_got_worse", not worse, sentence, numbers, of)


@finding
def every_run_searched(tables: Tables) -> Finding | None:
    """Whether every run of the study has a grid of learning rates, rather than some of them."""
    if tables.grid is None or tables.grid.empty:
        return None
    runs = summaries.adapted(tables.metrics)
    tried = rate_tables.rates_tried(tables.grid)
    searched = [run for run in runs if len(tried.get(run, [])) > 1]
    if not searched:
        return None
    every = len(searched) == len(runs)
    sentence = (
        "Each run has a grid of rates"
        if every
        else "Of {runs} runs, {searched} {verb} a grid of rates"
    ).replace("{verb}", "has" if len(searched) == 1 else "have")
    numbers = {"runs": len(runs), "searched": len(searched)}
    return Finding("every_run_searched", every, sentence, numbers, rows("grid", ablation=""))


@finding
def segmenter_is_best_with(tables: Tables) -> Finding | None:
    """The class of words that the learned segmenter does best with, of all that were measured."""
    return _extreme("segmenter_is_best_with", tables, "best")


@finding
def segmenter_is_worst_with(tables: Tables) -> Finding | None:
    """The class of words that the learned segmenter does worst with, of all that were measured."""
    return _extreme("segmenter_is_worst_with", tables, "worst")


def _extreme(name: str, tables: Tables, which: str) -> Finding | None:
    table = tables.segmentation
    learned = segmentation_tables.LEARNED
    if table is None or learned not in set(table["segmenter"]):
        return None
    by_class = segmentation_tables.by_class(table, learned)
    chosen = (max if which == "best" else min)(by_class, key=by_class.__getitem__)
    of = rows("segmentation", segmenter=learned)
    return Finding(name, chosen, chosen, {"f1": float(by_class[chosen])}, of)
