"""Made-up studies for the tests of the reporting room: five tables, as the workflow writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from jadapt.core.tables import METRICS
from jadapt.evaluation.transfer import transfer_rows

SCRIPTS = {"hiragana": 0.5, "katakana": 0.4, "kanji": 0.2, "other": 0.6}
SETTINGS = {
    "study": "example",
    "model": {"kind": "gguf", "hidden_size": 64, "num_hidden_layers": 2, "member": "a.gguf"},
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
        put("english", "perplexity", 2 ** (4 * english), "1")
        for task in tasks:
            put(task, "bits_per_byte", 3.0 - shift, "bit/byte")
            put(task, "perplexity", 2 ** (4 * (3.0 - shift)), "1")
            put(task, "next_character_accuracy", 0.1 + shift / 4, "share")
            for script, value in SCRIPTS.items():
                put(task, f"next_character_accuracy_{script}", value * (0.2 + shift / 2), "share")
                bits = (8 - 6 * value) * (1 - shift / 4)
                put(task, f"bits_per_character_{script}", bits, "bit/character")
        if method != "base":
            put("english", "english_retention", 2.0 / english, "ratio")

    add("base", 1, "english", 0.0, 2.0)
    for k, method in enumerate(methods):
        for index, seed in enumerate(seeds):
            for task in tasks:
                add(method, seed, task, 1 - k / 10 + 0.01 * index, 2 + 0.4 / (k + 1) + 0.01 * index)
    table = pd.DataFrame(rows, columns=list(METRICS.header))
    return pd.concat([table, transfer_rows(table, "english")], ignore_index=True)


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


GRID = [
    "study", "method", "ablation", "variant", "learning_rate", "seed", "evaluated_on", "metric",
    "value", "unit", "n", "selected",
]  # fmt: skip


def grid(methods: list[str], tasks: list[str]) -> pd.DataFrame:
    """Method k at three rates: the middle one learns most, the highest of method 1 diverges."""
    rows = []

    def add(run, rate, seed, task, english, selected):
        at = ("example", *run, rate, seed)
        rows.append((*at, "english", "bits_per_byte", english, "bit/byte", 500, selected))
        rows.append((*at, tasks[0], "bits_per_byte", task, "bit/byte", 500, selected))

    add(("base", "", ""), 0.0, 1, 3.0, 2.0, "false")
    for k, method in enumerate(methods):
        for index, rate in enumerate((0.0005, 0.001, 0.002)):
            lost = k == 1 and index == 2
            task = np.nan if lost else 2.5 - (index == 1) * 0.25 - k / 100
            add((method, "", ""), rate, 0, task, 2.1 + index / 8, str(index == 1).lower())
    for k, variant in enumerate(("2", "8", "32") if "lora" in methods else ()):
        run = ("lora", "lora_rank", variant)
        for seed in (1, 2):
            add(run, 0.001, seed, 2.5 - k / 8 - seed / 100, 2.25 + k / 16, "true")
            add(run, 0.002, seed, 2.75, 2.75, "false")
            size = ("", "trainable_parameters", 100.0 * int(variant), "1", 1, "true")
            rows.append(("example", *run, 0.001, seed, *size))
    return pd.DataFrame(rows, columns=GRID)


def segmentation(*, gold: bool = True) -> pd.DataFrame:
    """Two segmenters; the second, of which there are two seeds, is better."""
    columns = ("study", "segmenter", "seed", "reference", "gold", "group", "metric", "value", "n")
    reference, prefix = ("UD Japanese GSD", "") if gold else ("unidic_lite", "agreement_")
    rows = []
    for name, seed, level in (("ipadic", 0, 0.9), ("bilstm_crf", 1, 0.95), ("bilstm_crf", 2, 0.97)):
        for k, group in enumerate(("all", "hiragana", "kanji", "mixed", "unseen")):
            for metric in ("precision", "recall", "f1"):
                if group != "unseen" or metric == "recall":
                    values = (group, prefix + metric, level - k / 100, 1234 - k)
                    rows.append(("example", name, seed, reference, str(gold).lower(), *values))
    return pd.DataFrame(rows, columns=columns)


def tokenizers(*, gold: bool = True) -> pd.DataFrame:
    """Four tokenizers on two domains, two of them on raw text, the first one regularised."""
    columns = [
        "study",
        "tokenizer",
        "variant",
        "seed",
        "domain",
        "script",
        "metric",
        "value",
        "unit",
        "n",
        "reference",
        "gold",
    ]
    words = ("UD Japanese GSD", "true") if gold else ("unidic_lite", "false")
    rows = []
    for k, name in enumerate(("unigram_4000", "bpe_4000", "raw_none", "raw_nfkc")):

        def put(domain, script, metric, value, seed=0, variant="", name=name):
            row = ("example", name, variant, seed, domain, script, metric, value, "1", 1000)
            rows.append((*row, *(words if metric == "words_kept_whole" else ("", ""))))

        for domain in ("everyday", "cloud"):
            for script, share in SCRIPTS.items():
                put(domain, script, "tokens_per_character", 1.4 - share - k / 20)
            put(domain, "all", "tokens_per_character", 0.8 - k / 20)
            put(domain, "all", "tokens_per_byte", 0.3 - k / 50)
            if not gold:
                put(domain, "all", "words_kept_whole", 0.4 + k / 20)
            put(domain, "all", "byte_fallback_share", 0.05)
        if gold:
            put("treebank", "all", "words_kept_whole", 0.4 + k / 20)
        put("all", "all", "vocabulary_size", 4000 + k)
        put("all", "all", "encoding_speed", 10.0 + k)
        if k:
            put("all", "all", "library_encoding_speed", 5.0)
        for variant in ("", "sampling", "nbest") if k == 0 else ("",):
            for seed in (1, 2):
                put("text", "all", "steps", 60 + k, seed, variant)
                for domain in ("everyday", "cloud"):
                    value = 3.0 - k / 10 + seed / 100 + len(variant) / 50
                    put(domain, "all", "bits_per_byte", value, seed, variant)
    return pd.DataFrame(rows, columns=columns)


def write(folder: Path, methods=("sft", "lora"), seeds=(1, 2), tasks=("everyday",)) -> Path:
    """Write the tables of such a study into ``folder``."""
    study = list(methods), list(seeds), list(tasks)
    metrics(*study).to_csv(folder / "metrics.csv", index=False)
    efficiency(*study).to_csv(folder / "efficiency.csv", index=False)
    curves(*study).to_csv(folder / "curves.csv", index=False)
    corpora(study[2]).to_csv(folder / "corpora.csv", index=False)
    grid(study[0], study[2]).to_csv(folder / "grid.csv", index=False)
    segmentation(gold=len(study[0]) > 2).to_csv(folder / "segmentation.csv", index=False)
    tokenizers(gold=len(study[0]) > 2).to_csv(folder / "tokenizers.csv", index=False)
    return folder
