"""Made-up fronts of a study: a table, the losses of documents and the choices, as runs write them.

A model learns more and forgets more at a higher rate; each method has a share of full fine-tuning's
forgetting at equal learning, and the largest gain that it gets to.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from jadapt.core.files import write_json
from jadapt.core.tables import BASELINES, FRONT_MEASURES, FRONTS

TASKS, KEPT, REPLAYED = ("everyday", "docs"), "wikipedia_en", "english"
BITS = {"everyday": 2.74, "docs": 1.92, KEPT: 1.03, REPLAYED: 1.48, "wikipedia_ja": 2.29}
DOCUMENTS = 40
# Of each method: forgetting as a share of full fine-tuning's, the largest gain, a decade of rates.
METHODS = {
    "sft": (1.0, 1.0, 0),
    "lora": (0.98, 0.93, 1),
    "prefix": (1.6, 0.2, 2),
    "replay": (0.75, 0.97, 0),
    "ewc": (0.4, 0.7, 0),
    "joint": (0.3, 0.9, 0),
}
RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
LOW_RANK = {"rank": 16, "alpha": 32, "dropout": 0.0, "a_init": "kaiming"}
RECORD = {
    "commit": "c" * 40, "lock": "d" * 64, "device": "NVIDIA H200", "seconds": 60.0,
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
}  # fmt: skip


def settings(methods=tuple(METHODS), **fronts) -> dict:
    """Return what the configuration of such a study says of its fronts."""
    strategies = {
        "replay": {"replay": {"ratio": 0.25, "memory_rows": 8}},
        "ewc": {"ewc": {"strength": 100.0, "fisher": "sampled", "rows": 64, "draws": 1}},
        "joint": {"joint": {}},
    }
    entries = {
        name: {
            "method": name if name in ("lora", "prefix") else "sft",
            "learning_rate": rates(name),
            **(LOW_RANK if name == "lora" else {}),
            **({"continual": strategies[name]} if name in strategies else {}),
        }
        for name in methods
    }
    return {
        "study": "example", "sequence": list(TASKS), "methods": entries,
        "pretraining": {"domain": REPLAYED}, "seeds": [1, 2, 3],
        "fronts": {"seeds": [1, 2, 3], "retention": [KEPT], "interpolations": [0.5], **fronts},
        "evaluation": {"domains": list(BITS), "maximum_tokens": 1000, "batch_size": 4},
        "model": {"name": "small", "kind": "gguf"},
    }  # fmt: skip


def rates(name: str) -> list[float]:
    """Return the rates of a method."""
    return [float(f"{rate * 10 ** METHODS.get(name, (1, 1, 0))[2]:.1e}") for rate in RATES]


def changes(name: str, place: int, share: float = 1.0) -> dict[str, float]:
    """Return the changes of bits per byte by domain at the rate of a place."""
    forgets, most, _ = METHODS[name]
    reached = most * (1 - 0.5 ** (place + 1)) * (1 - (1 - share) ** 2)
    forgot = forgets * 0.25 * (reached**3) * share
    return {
        "everyday": -1.1 * reached, "docs": -0.5 * reached, KEPT: forgot,
        REPLAYED: -0.4 if name == "replay" else 1.5 * forgot, "wikipedia_ja": -0.5 * reached,
    }  # fmt: skip


def write(
    folder: Path,
    methods=tuple(METHODS),
    seeds=(1, 2, 3),
    *,
    with_base=True,
    with_weights=True,
    diverged=(),
    scatter=0.004,
    draw_seed=0,
) -> Path:
    """Write ``fronts/{run}.csv``, ``.parquet`` and ``.json``, and ``baselines.csv`` to a folder.

    Args:
        folder: of the study's results.
        methods: of `METHODS`.
        seeds: of every point.
        with_weights: whether those of interpolated weights are kept.
        with_base: whether the losses of the base model's documents are kept.
        diverged: (method, place of the rate, seed) whose training diverged.
        scatter: between seeds, in bits per byte.
        draw_seed: of what is random here.
    """
    draw = np.random.default_rng(draw_seed)
    sizes = {domain: draw.integers(60, 400, DOCUMENTS) for domain in BITS}
    scale = {domain: draw.normal(1, 0.1, DOCUMENTS) for domain in BITS}
    (folder / "fronts").mkdir(parents=True, exist_ok=True)
    base_rows, base = [], {}
    for domain, bits in BITS.items():
        base[domain] = bits * sizes[domain] * scale[domain]
        value = base[domain].sum() / sizes[domain].sum()
        for split in ("validation", "test"):
            base_rows.append(_row("base", 0.0, 0.0, 0, "", domain, split, value))
    for name in methods:
        rows, documents = list(base_rows), []
        if with_base:
            documents += _documents(base, sizes, 0.0, 0, 0.0)
        for place, rate in enumerate(rates(name)):
            for seed in seeds:
                luck, chosen = draw.normal(0, scatter, len(BITS)), place == 2
                lost = (name, place, seed) in diverged
                for share in (1.0, 0.5):
                    if share < 1 and (name == "prefix" or lost):
                        continue
                    moved = dict(zip(BITS, luck * share, strict=True))
                    for domain, change in changes(name, place, share).items():
                        moved[domain] += change
                    own = {
                        domain: base[domain] + moved[domain] * sizes[domain]
                        for domain in BITS
                    }  # fmt: skip
                    for domain in BITS:
                        value = own[domain].sum() / sizes[domain].sum()
                        for split in ("validation", "test"):
                            rows.append(_row(name, rate, share, seed, TASKS[-1], domain, split,
                                             float("nan") if lost else value, chosen))  # fmt: skip
                    if (share == 1.0 or with_weights) and not lost:
                        documents += _documents(own, sizes, rate, seed, share)
        FRONTS.write(folder / f"fronts/{name}.csv", rows)
        pd.concat(documents or [pd.DataFrame()]).to_parquet(folder / f"fronts/{name}.parquet")
        write_json(folder / f"fronts/{name}.json", {
            "strength": None, "strength_key": None, "score": 0.5, "at_end": False,
            "learning_rate": rates(name)[2], "record": RECORD,
        })  # fmt: skip
    _baselines(folder)
    return folder


def collected(folder: Path) -> pd.DataFrame:
    """Return the fronts of a folder together, as the table ``fronts.csv``."""
    from jadapt.evaluation.collection import fronts_table

    table = fronts_table(sorted((folder / "fronts").glob("*.csv")))
    FRONTS.write_frame(folder / "fronts.csv", table)
    return FRONTS.read(folder / "fronts.csv")


def measured(folder: Path, methods=tuple(METHODS), draws=50) -> pd.DataFrame:
    """Write the fronts of a study and what follows from them, ``front_measures.csv``."""
    from jadapt.analysis import front_documents, front_measures
    from jadapt.analysis.front_points import Plan

    table, plan = collected(write(folder, methods)), Plan.of(settings(methods))
    losses = front_documents.read(folder / "fronts", methods, [*plan.tasks, *plan.retention])
    baselines = BASELINES.read(folder / "baselines.csv")
    found = front_measures.measure(table, plan, losses, baselines, draws)
    FRONT_MEASURES.write_frame(folder / "front_measures.csv", found)
    return FRONT_MEASURES.read(folder / "front_measures.csv")


def _row(method, rate, share, seed, through, domain, split, value, chosen=False) -> tuple:
    return (
        "example", method, "", "", repr(rate), "", repr(share), seed, through, domain, split,
        "bits_per_byte", repr(float(value)), "bit/byte", 1000, chosen,
    )  # fmt: skip


def _documents(bits, sizes, rate, seed, share) -> list[pd.DataFrame]:
    return [
        pd.DataFrame({
            "domain": domain, "document": range(DOCUMENTS), "bits": bits[domain].astype("float32"),
            "bytes": sizes[domain].astype("int32"), "strength": "", "learning_rate": rate,
            "seed": seed, "interpolation": share,
        })
        for domain in bits
    ]  # fmt: skip


def _baselines(folder: Path) -> None:
    values = {"unigram": 2.1, "ngram": 1.9}
    BASELINES.write(folder / "baselines.csv", [
        ("example", method, 0, TASKS[-1], domain, "bits_per_byte", value, "bit/byte", 1000)
        for method, value in values.items() for domain in ("everyday", "docs", "wikipedia_ja")
    ])  # fmt: skip
