"""A made-up study for the tests of the reporting room: four tables, as the workflow writes them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

SCRIPTS = {"hiragana": 0.5, "katakana": 0.4, "kanji": 0.2, "other": 0.6}
SETTINGS = {
    "study": "example",
    "model": {"kind": "scratch", "hidden_size": 64, "num_hidden_layers": 2},
    "tokenizer": {"kind": "sentencepiece", "model_type": "unigram", "domains": ["english"]},
    "training": {
        "steps": 20,
        "global_batch_size": 4,
        "sequence_length": 16,
        "precision": "32-true",
    },
    "pretraining": {"domain": "english", "learning_rate": 0.003},
    "methods": {
        "sft": {"method": "sft", "learning_rate": 0.001},
        "lora": {
            "method": "lora",
            "learning_rate": 0.0002,
            "rank": 8,
            "alpha": 16,
            "target_modules": ["q_proj"],
            "a_init": "kaiming",
        },
    },
}


def metrics(methods: list[str], seeds: list[int], tasks: list[str]) -> pd.DataFrame:
    """Method k gains 1 - k / 10 bits per byte, 0.01 more a seed, and loses 0.4 / (k + 1)."""
    rows = []

    def add(method, seed, through, shift, english):
        def put(domain, metric, value, unit):
            rows.append(("example", method, seed, through, domain, metric, value, unit, 1000))

        put("english", "bits_per_byte", english, "bit/byte")
        for task in tasks:
            put(task, "bits_per_byte", 3.0 - shift, "bit/byte")
            put(task, "next_character_accuracy", 0.1 + shift / 4, "share")
            for script, value in SCRIPTS.items():
                put(task, f"next_character_accuracy_{script}", value * (0.2 + shift / 2), "share")
        if method != "base":
            put("english", "english_retention", 2.0 / english, "ratio")

    add("base", 1, "english", 0.0, 2.0)
    for k, method in enumerate(methods):
        for index, seed in enumerate(seeds):
            for task in tasks:
                add(method, seed, task, 1 - k / 10 + 0.01 * index, 2 + 0.4 / (k + 1) + 0.01 * index)
    names = "study method seed trained_through evaluated_on metric value unit n"
    return pd.DataFrame(rows, columns=names.split())


def efficiency(methods: list[str], seeds: list[int], tasks: list[str]) -> pd.DataFrame:
    """The base model and the first method train everything, the others less and less."""
    steps = 20 * len(tasks)
    rows = [("example", "base", 1, 5000, 5000, 100.0, 90.0, 9, 8, 300, 40, 2560, "cpu", 4.0)]
    for k, method in enumerate(methods):
        for seed in seeds:
            trainable = 5000 // (k + 1)
            sizes = (5000, trainable, trainable / 50)
            costs = (100.0 - k + seed / 10, 20 + seed / 10, 10 + seed / 10, 400 - k)
            rows.append(("example", method, seed, *sizes, *costs, steps, 64 * steps, "cpu", 3.0))
    names = (
        "study method seed parameters trainable_parameters trainable_percent tokens_per_second "
        "seconds training_seconds peak_memory_mib steps tokens device final_training_loss"
    )
    return pd.DataFrame(rows, columns=names.split())


def curves(methods: list[str], seeds: list[int], tasks: list[str]) -> pd.DataFrame:
    """Losses that fall on the task and rise on English; steps count anew for each task."""
    rows = []
    for k, method in enumerate(methods):
        for seed in seeds:
            for task in tasks:
                for step in range(0, 21, 5):
                    at = ("example", method, seed, task, step, step * 64)
                    noise = 0.01 * seed
                    rows.append((*at, "training_loss", 5 - step / 10 + k / 10 + noise))
                    rows.append((*at, "validation_loss", 5 - step / 12 + k / 10 + noise))
                    rows.append((*at, "english_validation_loss", 3 + step / 30 - k / 10 + noise))
                    rows.append((*at, "learning_rate", 0.001))
    names = "study method seed task step tokens metric value"
    return pd.DataFrame(rows, columns=names.split())


def corpora(tasks: list[str]) -> pd.DataFrame:
    """English, the tasks, and an optional domain that was out of reach."""

    def row(domain, language, source, licence, available):
        sizes = (100, 90, 5, 5, 1000, 2000, 500, 100, 200, 80, 20, 100)
        return ("example", domain, language, source, licence, available) + (
            (*sizes, f"{source} contributors") if available else (*[""] * 12, "")
        )

    rows = [row("english", "en", "stories & tales_1", "public domain", True)]
    rows += [row(task, "ja", f"{task}-text", "CC-BY-4.0", True) for task in tasks]
    rows.append(row("react", "ja", "react-docs", "CC-BY-4.0", False))
    names = (
        "study domain language source licence available documents train_documents "
        "validation_documents test_documents characters bytes hiragana katakana kanji latin digit "
        "other attribution"
    )
    return pd.DataFrame(rows, columns=names.split())


def write(folder: Path, methods=("sft", "lora"), seeds=(1, 2), tasks=("everyday",)) -> Path:
    """Write the four tables of such a study into ``folder``."""
    study = list(methods), list(seeds), list(tasks)
    metrics(*study).to_csv(folder / "metrics.csv", index=False)
    efficiency(*study).to_csv(folder / "efficiency.csv", index=False)
    curves(*study).to_csv(folder / "curves.csv", index=False)
    corpora(study[2]).to_csv(folder / "corpora.csv", index=False)
    return folder
