"""Small files in the formats of the real sources, and tasks prepared from them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import zipfile

from jadapt.corpora.urls import read_pins
from jadapt.evaluation.tasks import definition, folders

ITEMS = 48


def lines(records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def choosing(draw, number):
    """A question with choices in the layout of LLM Foundry's files."""
    choices = [f"answer {draw.random()}" for _ in range(number)]
    return {
        "query": f"Question {draw.random()}?\n",
        "choices": choices,
        "gold": draw.randrange(number),
    }


def squad(draw, count):
    found = []
    for number in range(count):
        answer = f"答え{number}"
        question = {"question": f"問い{draw.random()}", "answers": [{"text": answer}] * 2}
        found.append({"context": f"題 [SEP] 文の中に{answer}がある", "qas": [question]})
    return json.dumps({"data": [{"title": "題", "paragraphs": found}]}).encode()


def winograd(draw, count):
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)
    for number in range(count):
        tokens = [f"兵{number}", "は", "敵", "を撃った。", "彼", f"は悪い{number}。"]
        gold = draw.randrange(2)
        names = [[tokens[0], [0, 1], [], gold == 0], ["敵", [2, 3], [], gold == 1]]
        cells = [tokens, ["彼", [4, 5], ["彼"]], names]
        writer.writerow(["jp", "test", "?", "".join(tokens), *map(json.dumps, cells)])
    return stream.getvalue().encode()


def zipped(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("data/one.jsonl", content)
        archive.writestr("__MACOSX/data/._one.jsonl", "no JSON")
    return stream.getvalue()


def content(path, seed=0, count=ITEMS):
    """The content of a file of a source, by its path."""
    draw = random.Random(f"{path} {seed}")
    name = path.rpartition("/")[2]

    def made(function):
        return lines(function(number) for number in range(count))

    def pair(number):
        return {"sentence1": f"文{draw.random()}", "sentence2": f"文{draw.random()}"}

    if "jcommonsenseqa" in path:
        return made(
            lambda _: {"question": f"問い{draw.random()}", "label": draw.randrange(5)}
            | {f"choice{k}": f"語{draw.random()}" for k in range(5)}
        )
    if "jnli" in path:
        labels = ["entailment", "contradiction", "neutral"]
        return made(lambda number: pair(number) | {"label": draw.choice(labels)})
    if "jsts" in path:
        return made(lambda number: pair(number) | {"label": float(draw.randrange(6))})
    if "jsquad" in path:
        return squad(draw, count)
    if name == "dataset.tsv":
        return winograd(draw, count)
    if name == "validated_minimal_pairs.jsonl":
        return made(lambda n: {"good_sentence": f"良い文{n}", "bad_sentence": f"文の悪い{n}"})
    if name == "BLiMP.zip":
        good, bad = "A cat sleeps", "A cat sleep"
        return zipped(
            made(lambda n: {"sentence_good": f"{good} {n}", "sentence_bad": f"{bad} {n}"})
        )
    if name == "winogrande.jsonl":
        return made(
            lambda n: {
                "context_options": [f"Ann saw Bo {n} so Ann", f"Ann saw Bo {n} so Bo"],
                "continuation": "ran.",
                "gold": draw.randrange(2),
            }
        )
    if name == "lambada_openai.jsonl":
        return made(lambda n: {"context": f"It was {draw.random()}", "continuation": f"word{n}"})
    if name == "boolq.jsonl":
        return made(lambda _: choosing(draw, 2) | {"choices": ["no", "yes"]})
    return made(lambda _: choosing(draw, 2 if name == "piqa.jsonl" else 4))


def fetched(folder, paths, make=content):
    """Write files of a source and their record; return the record's path."""
    records = []
    for path in paths:
        data = make(path)
        target = folder / "github/owner/repo/commit" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        file = str(target.relative_to(folder))
        digest = hashlib.sha256(data).hexdigest()
        records.append({"file": file, "bytes": len(data), "sha256": digest, "from": "mirror"})
    record = {"name": "source", "kind": "url", "available": True, "reason": None, "files": records}
    (folder / "fetched.json").write_text(json.dumps(record), encoding="utf-8")
    return folder / "fetched.json"


def paths_of(task):
    data = task.data
    return {data.items, *filter(None, [data.examples]), *data.overlaps, *data.example_overlaps}


def prepare(name, folder, *, make=content, limit=None, seed=0, **changes):
    """Prepare a task of the project from small files; return its folder and record."""
    task = definition.read(name, "test")
    settings = {
        "definition": task.model_dump(exclude_defaults=True) | changes,
        "seed": seed,
        "limit": limit,
    }
    source = fetched(folder, paths_of(task), make)
    record = folders.write(name, settings, source, folder / "task")
    return folder / "task", record


def pinned(task, catalogue):
    """The paths that a task's source pins."""
    entry = catalogue["sources"][task.data.source]
    return [pin["path"] for pin in (*entry.get("files", []), *_listed(entry))]


def _listed(entry):
    return read_pins(entry["pins"]) if "pins" in entry else []
