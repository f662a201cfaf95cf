"""What the runs of a study leave behind, made up: for what is computed from them afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import reporting_example as example
from jadapt.config import runs
from jadapt.config.studies import Study
from jadapt.core.files import write_json
from jadapt.core.tables import BASELINES, METRICS
from jadapt.corpora.scripts import NAMES
from released_example import VERSIONS, checksum

SPLITS = ("train", "validation", "test")


def write(study: Study, catalogue: dict) -> None:
    """Write runs, evaluations, tokens, corpora and the tables that are not made from runs."""
    for number, (run, seed) in enumerate(study.runs):
        _run(study, run, seed, number)
    for domain in study.config["corpora"]["domains"]:
        _corpus(study.corpus(domain), domain, catalogue["domains"][domain])
    for name in study.token_files:
        sums = {"tokens_sha256": checksum(name), "corpus_sha256": checksum(name, "text")}
        write_json(study.tokens(name), {**sums, "tokens": 1000, "bytes": 4000})
    study.tokenizer.parent.mkdir(parents=True)
    study.tokenizer.write_bytes(b"stand-in")
    example.segmentation().to_csv(study.table("segmentation"), index=False)
    example.tokenizers().to_csv(study.table("tokenizers"), index=False)
    BASELINES.write(study.table("baselines"), _baselines(study))


def _run(study: Study, run: str, seed: int, number: int) -> None:
    settings = {**runs.run_settings(study.config, run), "seed": seed}
    steps = settings["steps"] * len(settings["sequence"])
    tokens = steps * settings["global_batch_size"] * settings["sequence_length"]
    path = study.run_file(run, seed)
    _put(
        path,
        json.dumps({
            "settings": settings, "versions": VERSIONS, "device": "AMD EPYC, 1 thread",
            "commit": "c" * 40, "lock": "d" * 64, "steps": steps, "tokens": tokens,
            "seconds": 20.0, "training_seconds": 10.0, "parameters": 5000, "peak_memory_mib": 400.0,
            "trainable_parameters": 5000 if run == "base" else 1000,
            "final_training_loss": 3.0,
        }),
    )  # fmt: skip
    level = number / len(study.runs)
    lines = [
        {
            "task": task,
            "step": step,
            "training_loss": 5 - step / settings["steps"] + level / 10,
            "validation_loss": 5 - step / settings["steps"],
            "english_validation_loss": 3 + level,
        }
        for task in settings["sequence"]
        for step in (settings["steps"] // 2, settings["steps"])
    ]
    _put(path.with_name("train.jsonl"), "".join(f"{json.dumps(line)}\n" for line in lines))
    rows = []
    for through in settings["sequence"]:
        for domain in study.config["evaluation"]["domains"]:
            bits = 2 + level / 3 if domain == "english" else 3 - level
            measured = {"bits_per_byte": (bits, "bit/byte"), "perplexity": (2 ** (4 * bits), "1")}
            measured["next_character_accuracy"] = (level / 4, "share")
            if run.startswith("den"):
                measured["bits_per_byte_with_task"] = (bits - 0.1, "bit/byte")
            for script, share in example.SCRIPTS.items():
                measured[f"next_character_accuracy_{script}"] = (share * level, "share")
                measured[f"bits_per_character_{script}"] = (8 - 6 * share, "bit/character")
            for metric, (value, unit) in measured.items():
                rows.append((study.name, run, seed, through, domain, metric, value, unit, 1000))
    lines = "".join(",".join(map(str, row)) + "\n" for row in [METRICS.header, *rows])
    _put(study.evaluation(run, seed), lines)


def _baselines(study: Study) -> list[tuple]:
    """Return rows of trivial models, to which no run of a task loses."""
    return [
        (study.name, name, 0, task, task, "bits_per_byte", bits, "bit/byte", 1000)
        for task in study.config["sequence"]
        for name, bits in (("unigram", 4.0), ("ngram", 3.5))
    ]


def _put(path: Path, text: str) -> None:
    # Not as the project writes files: three thousand times to the disk and back take minutes.
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _corpus(path: Path, domain: str, entry: dict) -> None:
    source = {
        "kind": "pypi", "licence": "CC-BY-4.0", "attribution": "contributors",
        "homepage": "https://example.org", "package": domain, "version": "1.0",
        "files": [{"file": "text.tar.gz", "bytes": 1000, "sha256": checksum(domain)}],
        "documents": 100, "train_documents": 90, "validation_documents": 5, "test_documents": 5,
        "characters": 1000, "bytes": 3000, "characters_by_script": dict.fromkeys(NAMES, 100),
    }  # fmt: skip
    write_json(
        path,
        {
            "domain": domain, "language": entry["language"], "available": True,
            "total": {"documents": 100}, "sources": {f"{domain}_text": source},
        },
    )  # fmt: skip
    for split in SPLITS:
        path.with_name(f"{split}.jsonl").write_text("{}\n")
