"""The adapted models of a study: how each was made, what it reached and what it cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from jadapt.analysis import summaries
from jadapt.analysis.labels import BASE, declared, is_bound_strategy, method_label
from jadapt.analysis.statistics import Estimate, estimate
from jadapt.analysis.tables import READERS
from jadapt.core.declarations import GRADIENT, LOSS, METHODS, ROWS, STRATEGIES, WEIGHTS
from jadapt.core.errors import UserError

# Bits per byte without the task's identity, where a method is normally given it.
WITH_TASK = "bits_per_byte_with_task"
# What `metrics.csv` holds about the whole sequence, and the name it has there.
TRANSFER = {
    "average": "average_bits_per_byte",
    "backward": "backward_transfer",
    "forward": "forward_transfer",
}


@dataclass(frozen=True)
class Tables:
    """The tables of a study, as `jadapt.analysis.tables` reads them; not all have every one."""

    metrics: pd.DataFrame
    efficiency: pd.DataFrame
    curves: pd.DataFrame
    corpora: pd.DataFrame
    grid: pd.DataFrame | None = None
    segmentation: pd.DataFrame | None = None
    tokenizers: pd.DataFrame | None = None
    tasks: pd.DataFrame | None = None
    task_data: pd.DataFrame | None = None
    card: pd.DataFrame | None = None
    baselines: pd.DataFrame | None = None
    fronts: pd.DataFrame | None = None
    front_measures: pd.DataFrame | None = None


NEEDED = tuple(field.name for field in fields(Tables) if field.default is MISSING)
"""The tables that every study has."""


def fronts_only(paths: Mapping[str, str | Path | None]) -> bool:
    """Tell whether a study has its fronts and not its final runs.

    Raises:
        UserError: it has neither.
    """
    missing = [name for name in NEEDED if not paths.get(name)]
    if missing and ("metrics" not in missing or not paths.get("front_measures")):
        raise UserError(f"--{missing[0]}: missing, which a study without fronts needs")
    return "metrics" in missing


def read_tables(paths: Mapping[str, str | Path | None]) -> Tables:
    """Read tables of a study, given by name; a study need not have (a path of) those after the
    first four.

    Raises:
        UserError: a file is missing or no such table; it is named.
    """
    return Tables(**{name: READERS[name](path) for name, path in paths.items() if path})


@dataclass(frozen=True)
class Lowest:
    """Where the mean validation loss of the last task was lowest, and how far it rose after."""

    loss: float
    tokens: int
    last: bool
    rise: float


@dataclass(frozen=True)
class Run:
    """A run as it is configured.

    ``kind`` says which parameters train, ``strategies`` what is done against forgetting.
    """

    name: str
    label: str
    kind: str
    strategies: tuple[str, ...]
    settings: dict[str, Any]

    @classmethod
    def of(cls, name: str, settings: dict) -> Run:
        """Read it from the configuration of a study."""
        return cls(**_configured(name, settings))

    @property
    def joint(self) -> bool:
        """Whether it sees all data at once: a bound on the others, not one of them."""
        return any(is_bound_strategy(key) for key in self.strategies)

    @property
    def penalised(self) -> bool:
        """Whether a penalty ties it to earlier weights."""
        return self._changes(LOSS)

    @property
    def rehearses(self) -> bool:
        """Whether it trains on old text beside the task's, but is no bound."""
        return self._changes(ROWS) and not self.joint

    @property
    def projects(self) -> bool:
        """Whether it changes gradients so that they do not conflict with those of old text."""
        return self._changes(GRADIENT)

    def _changes(self, what: str) -> bool:
        """Tell whether a strategy of the run changes the rows, the loss or the gradient."""
        return any(key in STRATEGIES and what in STRATEGIES[key].changes for key in self.strategies)


@dataclass(frozen=True)
class Method(Run):
    """One adapted model: a run with what it reached.

    ``gain`` and ``loss`` are in bits per byte against the base model, ``retention`` a ratio,
    ``accuracy`` a share, ``memory`` in MiB, ``speed`` in tokens per second. ``average``,
    ``backward`` and ``forward`` are in bits per byte over the sequence. A mean is NaN where nothing
    was measured or a run diverged. ``with_task`` holds (gain, loss) given the task's identity, if
    measured; all else is without it.
    """

    gains: pd.Series
    losses: pd.Series
    retention: Estimate
    accuracy: Estimate
    trainable: int
    percent: float
    speed: Estimate
    memory: Estimate
    validation: Lowest | None
    average: Estimate
    backward: Estimate
    forward: Estimate
    with_task: tuple[Estimate, Estimate] | None

    @property
    def gain(self) -> Estimate:
        """What was learned: the fall of bits per byte on the tasks."""
        return estimate(self.gains)

    @property
    def loss(self) -> Estimate:
        """What was forgotten: the rise of bits per byte on the base model's own domain."""
        return estimate(self.losses)

    @property
    def diverged(self) -> bool:
        """Whether a seed has no finite result."""
        return not (math.isfinite(self.gain.mean) and math.isfinite(self.loss.mean))


def setter(settings: dict) -> Callable[..., Any]:
    """Return a function that looks a dotted key up in the configuration, with a default."""

    def setting(key: str, default: Any = None) -> Any:
        value: Any = settings
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                return default
            value = value[part]
        return default if value is None else value

    return setting


def methods(tables: Tables, settings: dict) -> list[Method]:
    """Return every adapted method of the metrics table, in the house order."""
    changes = summaries.learning_and_forgetting(tables.metrics)
    names = summaries.adapted(tables.metrics)
    found = [_method(name, tables, settings, changes) for name in names]
    if not found:
        raise UserError(f"metrics.csv: no method besides '{BASE}'; there is nothing to compare")
    return found


def _method(name: str, tables: Tables, settings: dict, changes: pd.DataFrame) -> Method:
    metrics = tables.metrics
    own = changes[changes["method"] == name].set_index("seed")
    home = summaries.home_domain(metrics)
    cost = tables.efficiency[tables.efficiency["method"] == name]
    if cost.empty:
        raise UserError(f"efficiency.csv: no row of method '{name}', which metrics.csv has")
    return Method(
        **_configured(name, settings),
        gains=own["gain"],
        losses=own["loss"],
        retention=estimate(summaries.by_seed(metrics, name, f"{home}_retention", home)),
        accuracy=estimate(summaries.task_mean(metrics, name, summaries.ACCURACY)),
        trainable=whole(cost, "trainable_parameters"),
        percent=float(cost["trainable_percent"].mean()),
        speed=estimate(cost["tokens_per_second"]),
        memory=estimate(cost["peak_memory_mib"]),
        validation=lowest_validation(tables.curves, name),
        average=_over_sequence(metrics, name, TRANSFER["average"]),
        backward=_over_sequence(metrics, name, TRANSFER["backward"]),
        forward=_over_sequence(metrics, name, TRANSFER["forward"]),
        with_task=_with_task(metrics, name),
    )


def _configured(name: str, settings: dict) -> dict[str, Any]:
    """Return the fields of `Run` of a run."""
    setting = setter(settings)
    return {
        "name": name,
        "label": method_label(name),
        "kind": setting(f"methods.{name}.method", name),
        "strategies": tuple(setting(f"methods.{name}.continual", {})),
        "settings": setting(f"methods.{name}", {}),
    }


def whole(frame: pd.DataFrame, column: str) -> int:
    """Return the mean of a column, rounded; an empty cell is a fault of the table."""
    value = frame[column].mean()
    if not math.isfinite(value):
        raise UserError(f"efficiency.csv: column '{column}' has an empty cell")
    return round(value)


def _over_sequence(metrics: pd.DataFrame, name: str, metric: str) -> Estimate:
    return estimate(summaries.by_seed(metrics, name, metric, "sequence"))


def _with_task(metrics: pd.DataFrame, name: str) -> tuple[Estimate, Estimate] | None:
    """Return gain and loss of a method as it is when it is told the task of each text."""
    other = metrics[(metrics["method"] == name) & (metrics["metric"] == WITH_TASK)]
    if other.empty:
        return None
    base = metrics[metrics["method"] == BASE]
    own = pd.concat([base, other.assign(metric=summaries.BITS)])
    runs = summaries.learning_and_forgetting(own)
    return estimate(runs["gain"]), estimate(runs["loss"])


def paragraphs(found: Sequence[Run]) -> dict[str, list[str]]:
    """Return the keys of the classes that a study uses and the paper has a paragraph of, in order.

    ``methods``, and the strategies by what they change first: loss, gradient, rows, weights.
    """
    keys = {method.kind for method in found} & set(METHODS)
    kinds = (LOSS, GRADIENT, ROWS, WEIGHTS)
    told = {"methods": [key for key in declared() if key in keys], **{kind: [] for kind in kinds}}
    keys = {name for method in found for name in method.strategies} & set(STRATEGIES)
    keys |= {STRATEGIES[key].paragraph_after for key in keys}
    for key in declared():
        if key in keys:
            changes = STRATEGIES[key].changes
            told[next(what for what in kinds if what in changes)].append(key)
    return told


def lowest_validation(curves: pd.DataFrame, method: str) -> Lowest | None:
    """Find the lowest point of the mean validation loss on the last task; None without a curve."""
    rows = curves[(curves["method"] == method) & (curves["metric"] == "validation_loss")]
    if rows.empty:
        return None
    rows = rows[rows["task"] == rows["task"].iloc[-1]]
    line = rows.groupby("tokens")["value"].mean().dropna()
    if line.empty:
        return None
    best = line.idxmin()
    return Lowest(
        float(line[best]), int(best), best == line.index[-1], float(line.iloc[-1] - line[best])
    )
