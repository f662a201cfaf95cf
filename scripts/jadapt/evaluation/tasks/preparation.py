"""Prepare a task: read its pinned files, take out repetitions and overlaps, draw a subset.

What is taken out is counted. Two texts are the same when they are after normalisation
(`jadapt.evaluation.tasks.overlap.normalised`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import TypeVar

from jadapt.core.errors import UserError
from jadapt.evaluation.metrics.registry import METRICS
from jadapt.evaluation.tasks.definition import Task
from jadapt.evaluation.tasks.overlap import normalised
from jadapt.evaluation.tasks.reading import read
from jadapt.evaluation.tasks.rendering import Item, query, render

Finder = Callable[[str], Path]
Rendered = TypeVar("Rendered")


@dataclass(frozen=True)
class Prepared:
    """The items of a task, the examples for its prompts, and how many were taken out."""

    items: list[Item]
    examples: list[Item]
    counts: dict[str, int]


def prepare(name: str, task: Task, find: Finder, *, seed: int, limit: int | None) -> Prepared:
    """Prepare a task.

    Args:
        name: that of its file, for messages.
        task: its definition.
        find: returns the local file of a path within the source.
        seed: of the subset.
        limit: number of items in the subset; None keeps all.

    Raises:
        UserError: a file cannot be read, or an item has no answer or another number of choices
            than the others; nothing is prepared then.
    """
    data = task.data
    counts: dict[str, int] = {}

    def each(path: str, function: Callable[[Task, dict, str], Rendered]) -> list[Rendered]:
        file = find(path)
        return [
            function(task, record, f"config/tasks/{name}.yaml: {file.name}, item {number}")
            for number, record in enumerate(read(file, data.format, data.language), 1)
        ]

    def rendered(path: str) -> list[Item]:
        return each(path, render)

    def texts(paths: Iterable[str]) -> set[str]:
        return {normalised(text) for path in paths for text in each(path, query)}

    items = _without_repetitions(rendered(data.items), texts(data.overlaps), counts, "items")
    examples = rendered(data.examples) if data.examples else []
    # A question that is asked in the examples too is no new question.
    known = {normalised(example.query) for example in examples}
    fresh = [item for item in items if normalised(item.query) not in known]
    counts["items_in_examples"] = len(items) - len(fresh)
    others = texts(data.example_overlaps)
    examples = _without_repetitions(examples, others, counts, "examples")
    _check(name, task, fresh, examples)
    counts["items"], counts["examples"] = len(fresh), len(examples)
    chosen = subset(fresh, seed, limit)
    counts["items_chosen"] = len(chosen)
    return Prepared(chosen, examples, counts)


def _without_repetitions(
    items: list[Item], others: set[str], counts: dict[str, int], kind: str
) -> list[Item]:
    """Keep the first of items with one text, none that others have, none with two right choices."""
    counts[f"{kind}_read"] = len(items)
    kept: dict[tuple, Item] = {}
    overlapping = ambiguous = 0
    for item in items:
        text = normalised(item.query)
        if text in others:
            overlapping += 1
        elif item.choices.count(item.choices[item.gold]) > 1 if item.choices else False:
            ambiguous += 1
        else:
            kept.setdefault((text, normalised(item.text), *sorted(item.choices)), item)
    counts[f"{kind}_overlapping"], counts[f"{kind}_ambiguous"] = overlapping, ambiguous
    counts[f"{kind}_repeated"] = len(items) - overlapping - ambiguous - len(kept)
    return list(kept.values())


def _check(name: str, task: Task, items: list[Item], examples: list[Item]) -> None:
    origin = f"config/tasks/{name}.yaml"
    if not items:
        raise UserError(f"{origin}: no item is left; correct data.items or data.overlaps")
    numbers = sorted({len(item.choices) for item in (*items, *examples)})
    if len(numbers) > 1:
        raise UserError(
            f"{origin}: items have unequal numbers of choices ({', '.join(map(str, numbers))}); "
            "chance would be no single number, so split the task"
        )
    if len(examples) < task.num_fewshot:
        raise UserError(f"{origin}: num_fewshot: {task.num_fewshot}, but {len(examples)} examples")


def subset(items: list[Item], seed: int, limit: int | None) -> list[Item]:
    """Return the ``limit`` items with the lowest checksums under a seed, in their order.

    A longer subset of the same seed holds a shorter one, and an item that is added to the file
    moves at most one other out.
    """
    if limit is None or limit >= len(items):
        return items

    def rank(place: int) -> bytes:
        item = items[place]
        text = "\0".join([str(seed), item.query, item.text, *sorted(item.choices)])
        return hashlib.sha256(text.encode("utf-8")).digest()

    return [items[place] for place in sorted(sorted(range(len(items)), key=rank)[:limit])]


def baselines(task: Task, items: list[Item]) -> dict[str, dict[str, float]]:
    """Return what guessing and always answering the most frequent label reach, by metric.

    There is a majority where all items have the same choices, and so a most frequent one.
    """
    found: dict[str, dict[str, float]] = {"chance": {}, "majority": {}}
    labels = {tuple(item.choices) for item in items}
    for key in task.metrics:
        metric = METRICS[key]
        if metric.chance is not None:
            found["chance"][key] = metric.chance
        elif items[0].choices:
            found["chance"][key] = mean(1 / len(item.choices) for item in items)
            if len(labels) == 1:
                gold = Counter(item.gold for item in items)
                found["majority"][key] = max(gold.values()) / len(items)
        else:
            found["chance"][key] = 0.0
    return found


def records(items: Iterable[Item]) -> Iterable[dict]:
    """Return items as they are written to files."""
    return map(asdict, items)
