"""Entries of ``methods``: the keys that a method declares, those of `training`, and its strategies.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model

from jadapt.config import composition
from jadapt.config.checking import check
from jadapt.config.fields import UNIQUE, Name, Section, Text
from jadapt.config.origins import Origin
from jadapt.config.training import Rate, Training, changes
from jadapt.core.declarations import METHODS, STRATEGIES
from jadapt.core.errors import UserError, nearest


def check_entry(name: str, entry: dict[str, Any], config: dict[str, Any], origin: Origin) -> None:
    """Check one entry of ``methods``.

    Args:
        name: the run that it describes.
        entry: a method with its hyperparameters, strategies, and keys of `training`.
        config: the study.
        origin: where it was written.

    Raises:
        UserError: the first fault; one line.
    """
    at = f"methods.{name}"
    if "method" not in entry:
        raise UserError(f"{origin.of(at)}: missing key '{at}.method'{nearest('', METHODS)}")
    key = entry["method"]
    if key not in METHODS:
        raise origin.refusal(f"{at}.method", f"unknown '{key}'{nearest(key, METHODS)}")
    check(entry, entry_model(key), origin, f"{at}.")
    _check_whole(METHODS[key].Hyperparameters, entry, origin, f"{at}.")
    strategies = entry.get("continual", {})
    for strategy in strategies:
        if strategy not in STRATEGIES:
            raise origin.refusal(
                f"{at}.continual", f"unknown '{strategy}'{nearest(strategy, STRATEGIES)}"
            )
    try:
        composition.check(key, strategies)
    except UserError as error:
        raise UserError(f"{origin.of(f'{at}.continual')}: {at}.{error}") from None
    for strategy, settings in strategies.items():
        below = f"{at}.continual.{strategy}."
        check(settings, strategy_model(strategy), origin, below)
        _check_whole(STRATEGIES[strategy].Hyperparameters, settings, origin, below)
    if METHODS[key].needs_task_id and not config["evaluation"]["task_ids"]:
        raise origin.refusal(
            at,
            f"'{key}' computes by task and cannot be evaluated without evaluation.task_ids: true",
        )


def _check_whole(model: type[BaseModel], settings: dict[str, Any], origin: Origin, at: str) -> None:
    """Check what a class says of its hyperparameters as a whole."""
    check({key: settings[key] for key in model.model_fields if key in settings}, model, origin, at)


class Strengths(Section):
    """A setting of a run with the values that make up its front, beside the rates."""

    key: Text
    """The setting; dots lead into sections, as in `continual.replay.ratio`."""
    values: Annotated[list[Any], Field(min_length=2, max_length=100), *UNIQUE]
    """The values that are tried, each at every rate."""


@cache
def entry_model(method: str) -> type[Section]:
    """Return the model of the entries of a method."""
    own = METHODS[method]
    return changes(
        Training,
        f"{own.__name__}Entry",
        own.summary,
        method=(str, Field(description="The method.")),
        learning_rate=(
            Rate,
            Field(description="Peak learning rate, or several to choose from on the first task."),
        ),
        strengths=(
            Strengths,
            Field(
                default=None,
                description="A setting of this run with several values, for its "
                "front: each is tried at every rate.",
            ),
        ),
        remembers=(
            Name,
            Field(
                default=None,
                description="Domain of the known language that the strategies of this run "
                "remember, in place of `pretraining.domain`.",
            ),
        ),
        continual=(
            dict[str, dict[str, Any]],
            Field(default={}, description="Strategies against forgetting, with their settings."),
        ),
        **_fields(own),
    )


@cache
def strategy_model(strategy: str) -> type[Section]:
    """Return the model of the settings of a strategy."""
    own = STRATEGIES[strategy]
    return create_model(
        f"{own.__name__}Settings", __base__=Section, __doc__=own.summary, **_fields(own)
    )


def _fields(declared: Any) -> dict[str, Any]:
    fields = declared.Hyperparameters.model_fields
    return {key: (info.annotation, info) for key, info in fields.items()}
