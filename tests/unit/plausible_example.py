"""A made-up study as large as the default one, with numbers that it could have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import reporting_example as example
from jadapt.core.tables import METRICS
from jadapt.evaluation.transfer import transfer_rows

TASKS = ["everyday", "cloud", "devdocs"]
# A method's numbers: what it learns on a task, what each task costs it on English, how much of a
# task the next one takes away, its trainable parameters, its tokens a second and the best of its
# learning rates.
METHODS = {
    "sft": (0.95, 0.16, 0.12, 1_103_488, 7400, 1e-3),
    "lora": (0.78, 0.09, 0.09, 75_776, 6900, 5e-3),
    "dora": (0.80, 0.10, 0.09, 79_360, 5200, 5e-3),
    "houlsby": (0.66, 0.06, 0.06, 34_304, 7900, 5e-3),
    "prefix": (0.12, 0.02, 0.01, 8_192, 8300, 2e-2),
    "den": (0.85, 0.0, 0.0, 498_000, 4100, 1e-3),
    "replay": (0.86, 0.04, 0.04, 1_103_488, 7300, 1e-3),
    "l2": (0.70, 0.08, 0.07, 1_103_488, 7000, 1e-3),
    "ewc": (0.76, 0.07, 0.06, 1_103_488, 6900, 1e-3),
    "online_ewc": (0.77, 0.08, 0.06, 1_103_488, 6900, 1e-3),
    "gem": (0.81, 0.05, 0.05, 1_103_488, 2100, 1e-3),
    "agem": (0.83, 0.07, 0.07, 1_103_488, 3600, 1e-3),
    "lora_replay": (0.72, 0.03, 0.03, 75_776, 6800, 5e-3),
    "lora_ewc": (0.67, 0.06, 0.05, 75_776, 6500, 5e-3),
    "joint": (0.82, 0.02, -0.01, 1_103_488, 7300, 1e-3),
}
BEFORE = {"english": 2.04, "everyday": 1.98, "cloud": 2.36, "devdocs": 2.31, "literature": 2.45}
SHARES = {"hiragana": 0.62, "katakana": 0.5, "kanji": 0.22, "other": 0.74}


def write(folder: Path, seeds=(1, 2, 3)) -> Path:
    """Write the tables of a study of 15 methods and three tasks into ``folder``."""
    draw = np.random.default_rng(0)
    parts = {"metrics": [], "efficiency": [], "curves": []}
    _measure(parts["metrics"], "base", 1, "english", BEFORE)
    costs = (1_103_488, 1_103_488, 100.0, 11_000.0, 127, 110, 1048, 600, 1_228_800)
    parts["efficiency"].append(("plausible", "base", 1, *costs, "AMD EPYC, 2 threads", 3.6))
    for method, (gain, loss, drift, trainable, speed, _) in METHODS.items():
        for seed in seeds:
            level, luck = dict(BEFORE), draw.normal(0, 0.012)
            for task in TASKS:
                before = dict(level)
                for domain in level:
                    if domain == "english":
                        level[domain] += loss
                    elif level[domain] < BEFORE[domain] - 0.3 * gain:
                        level[domain] += drift
                    else:
                        # Domains yet to come gain a part of what the task gains.
                        level[domain] = BEFORE[domain] - 0.25 * gain
                    level[domain] += draw.normal(0, 0.008)
                level[task] = BEFORE[task] - gain * (1 + luck) + draw.normal(0, 0.01)
                _measure(parts["metrics"], method, seed, task, level)
                _learn(parts["curves"], method, seed, task, before, level, draw)
            share = 100 * trainable / 1_103_488
            seconds = 1_536_000 / speed
            costs = (1_103_488, trainable, share, speed + draw.normal(0, 90), seconds + 20, seconds)
            memory = 800 + 200 * share / 100 + draw.normal(0, 8)
            costs = (*costs, memory, 750, 1_536_000, "AMD EPYC, 1 thread", 2.5 * level["devdocs"])
            parts["efficiency"].append(("plausible", method, seed, *costs))
    names = {
        "metrics": list(METRICS.header),
        "efficiency": list(example.efficiency([], [], []).columns),
        "curves": list(example.curves([], [], []).columns),
    }
    made = {name: pd.DataFrame(rows, columns=names[name]) for name, rows in parts.items()}
    made["metrics"] = pd.concat([made["metrics"], transfer_rows(made["metrics"], "english")])
    made |= {
        "grid": _search(draw),
        "corpora": example.corpora(TASKS),
        "segmentation": example.segmentation(),
        "tokenizers": example.tokenizers(),
    }
    for name, table in made.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def _measure(rows, method, seed, through, level):
    def put(domain, metric, value, unit):
        rows.append(("plausible", method, seed, through, domain, metric, value, unit, 1000))

    for domain, bits in level.items():
        put(domain, "bits_per_byte", bits, "bit/byte")
        put(domain, "perplexity", 2 ** (4 * bits), "1")
        if method == "den":
            put(domain, "bits_per_byte_with_task", bits - 0.2, "bit/byte")
        known = BEFORE[domain] - bits
        put(domain, "next_character_accuracy", 0.12 + known / 4, "share")
        if domain != "english":
            for script, share in SHARES.items():
                value = share * (0.12 + 0.62 * max(known, 0) ** 0.8)
                put(domain, f"next_character_accuracy_{script}", value, "share")
                put(domain, f"bits_per_character_{script}", 9 * (1 - value), "bit/character")
    if method != "base":
        put("english", "english_retention", BEFORE["english"] / level["english"], "ratio")


def _learn(rows, method, seed, task, before, after, draw):
    """Losses fall from what they were to what they become, most of the way at once."""
    for step in range(0, 251, 10):
        done = 1 - np.exp(-step / 60)
        at = ("plausible", method, seed, task, step, step * 2048)
        now = {name: before[name] + done * (after[name] - before[name]) for name in before}
        if step:
            noise = draw.normal(0, 0.05)
            rows.append((*at, "training_loss", 2.5 * now[task] + noise))
        if step % 50 == 0:
            rows.append((*at, "validation_loss", 2.5 * now[task]))
            rows.append((*at, "english_validation_loss", 2 * now["english"]))


def _search(draw):
    rows = []

    def add(run, rate, seed, gain, loss, selected):
        at = ("plausible", *run, rate, seed)
        for domain, change in (("english", loss), ("everyday", -gain)):
            value = BEFORE[domain] + change + draw.normal(0, 0.005)
            rows.append((*at, domain, "bits_per_byte", value, "bit/byte", 900, selected))

    add(("base", "", ""), 0.0, 1, 0.0, 0.0, "false")
    for method, (gain, loss, *_, best) in METHODS.items():
        for index, scale in enumerate((0.25, 0.5, 1.0, 2.0, 4.0)):
            lost = index == 4 and method in ("houlsby", "den", "sft")
            reached = np.nan if lost else gain * (0.55, 0.85, 1.0, 0.9, 0.4)[index]
            forgot = np.nan if lost else loss * (0.3, 0.6, 1.0, 2.2, 4.5)[index]
            add((method, "", ""), best * scale, 0, reached, forgot, str(index == 2).lower())
    varied = {
        ("lora", "lora_rank"): {"2": (0.70, 0.07), "8": (0.78, 0.09), "32": (0.81, 0.12)},
        ("lora", "lora_a_init"): {"kaiming": (0.78, 0.09), "nemo": (0.79, 0.09)},
        ("replay", "replay_ratio"): {
            "0.01": (0.93, 0.14), "0.05": (0.91, 0.10), "0.25": (0.86, 0.04),
        },
    }  # fmt: skip
    for (method, ablation), variants in varied.items():
        for variant, (gain, loss) in variants.items():
            run = (method, ablation, variant)
            size = 9472 * int(variant) if ablation == "lora_rank" else METHODS[method][3]
            for seed in (1, 2):
                jitter = draw.normal(0, 0.01)
                add(run, METHODS[method][-1], seed, gain + jitter, loss + jitter / 3, "true")
                put = ("", "trainable_parameters", size, "1", 1, "true")
                rows.append(("plausible", *run, METHODS[method][-1], seed, *put))
    return pd.DataFrame(rows, columns=example.GRID)
