"""The tables of downstream tasks: scores of every model beside chance, and counts of items."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from jadapt.core.files import read_json, read_jsonl
from jadapt.core.tables import TASK_DATA, TASKS
from jadapt.evaluation.metrics.registry import METRICS
from jadapt.evaluation.tasks.folders import ITEMS, RECORD
from jadapt.evaluation.tasks.overlap import Index


def scores_table(study: str, evaluations: Sequence[Path], folders: Sequence[Path]) -> pd.DataFrame:
    """Concatenate the scores of all runs after the rows of ``chance`` and ``majority``.

    These two are methods with seed 0, no stage of training and no standard error. A task without a
    most frequent label has no majority.

    Args:
        study: name for the rows.
        evaluations: the part of each run and seed.
        folders: that of each prepared task.
    """
    rows = []
    for folder in folders:
        record = read_json(folder / RECORD)
        for name, values in record["baselines"].items():
            for metric, value in values.items():
                n = record["counts"]["items_chosen"]
                unit = METRICS[metric].unit
                rows.append((study, name, 0, "", record["task"], metric, repr(value), unit, n, ""))
    parts = [
        pd.DataFrame(rows, columns=TASKS.header),
        *(TASKS.read_text(path) for path in evaluations),
    ]
    return pd.concat(parts, ignore_index=True)


def data_table(study: str, folders: Sequence[Path], corpora: Mapping[str, Path]) -> pd.DataFrame:
    """Return counts of every task: items read and taken out, and those in training text.

    Args:
        study: name for the rows.
        folders: that of each prepared task.
        corpora: the training split of each domain that models are trained on. What a published
            model was trained on before is not known here.

    Returns:
        One row a task and measure; ``contaminated`` has one for each domain.
    """
    records = {folder: read_json(folder / RECORD) for folder in folders}
    indices = {
        folder: Index([item["query"] for item in read_jsonl(folder / ITEMS)], record["language"])
        for folder, record in records.items()
    }
    counts: dict[Path, list[tuple[str, int]]] = {folder: [] for folder in folders}
    for domain, path in corpora.items():
        for folder, index in indices.items():
            index.found.clear()
            index.look_through(_texts(path))
            counts[folder].append((domain, len(index.found)))
    rows = []
    for folder, record in records.items():
        at = (study, record["task"])
        rows += [(*at, "", measure, count) for measure, count in record["counts"].items()]
        rows.append((*at, "", "prompt_version", record["definition"]["metadata"]["version"]))
        rows.append((*at, "", "too_short_to_look_for", indices[folder].too_short))
        rows += [(*at, domain, "contaminated", count) for domain, count in counts[folder]]
    return pd.DataFrame(rows, columns=TASK_DATA.header)


def _texts(path: Path) -> Iterator[str]:
    """Yield the texts of a corpus file, in whichever language they are."""
    with open(path, encoding="utf-8") as stream:
        for document in map(json.loads, stream):
            yield from _languages(document)


def _languages(document: dict) -> Iterable[str]:
    return (document[key] for key in ("en", "ja") if isinstance(document.get(key), str))
