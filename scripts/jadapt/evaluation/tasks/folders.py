"""The folder of a prepared task: ``items.jsonl``, ``examples.jsonl`` and ``task.json``."""

from __future__ import annotations

from pathlib import Path

from jadapt.core.errors import UserError
from jadapt.core.files import replaced_folder, write_json, write_jsonl
from jadapt.corpora.verification import read_fetched
from jadapt.evaluation.tasks import preparation
from jadapt.evaluation.tasks.definition import parse

ITEMS, EXAMPLES, RECORD = "items.jsonl", "examples.jsonl", "task.json"


def write(name: str, settings: dict, fetched: Path, output: Path) -> dict:
    """Prepare a task and write its folder, whole or not at all.

    Args:
        name: that of its file.
        settings: ``definition``, ``seed`` and ``limit``.
        fetched: the record of its source; one that is not available makes an empty task.
        output: the folder.

    Returns:
        What ``task.json`` holds: the definition, counts, and what chance and majority reach.
    """
    task = parse(settings["definition"], f"config/tasks/{name}.yaml")
    source = read_fetched(fetched)
    record = {
        "task": name,
        "label": task.label,
        "language": task.language,
        "available": source["available"],
        "reason": source["reason"],
        "seed": settings["seed"],
        "counts": {},
        "baselines": {},
        "definition": task.model_dump(exclude_defaults=True),
    }
    items, examples = [], []
    if source["available"]:
        files = {file["file"]: file["path"] for file in source["files"]}

        def find(path: str) -> Path:
            for known, place in files.items():
                if known.endswith(f"/{path}"):
                    return place
            raise UserError(
                f"config/tasks/{name}.yaml: data: source '{task.data.source}' has no file {path}; "
                "correct the path, or pin the file in config/corpora.yaml"
            )

        prepared = preparation.prepare(
            name, task, find, seed=settings["seed"], limit=settings["limit"]
        )
        items, examples = prepared.items, prepared.examples
        record["counts"] = prepared.counts
        record["baselines"] = preparation.baselines(task, items)
    with replaced_folder(output) as folder:
        write_jsonl(folder / ITEMS, preparation.records(items))
        write_jsonl(folder / EXAMPLES, preparation.records(examples))
        write_json(folder / RECORD, record)
    return record
