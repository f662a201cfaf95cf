"""A study small enough to train in seconds: three invented languages, a tiny model, no download.

Who reads the settings imports no torch; who builds the study or trains in it does.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

import token_files

if TYPE_CHECKING:
    from jadapt.training.run import Run

SEQUENCE = ["first", "second"]
DOMAINS = ["known", *SEQUENCE]


def _sample(texts, *, alpha, nbest_size, seed):
    """Segmentations of a vocabulary whose every token may also be spelt as two."""
    generator = np.random.default_rng(seed)
    ids = ([ord(letter) for letter in text] for text in texts)
    return [
        [
            part
            for token in word
            for part in ([token, token] if generator.random() < alpha else [token])
        ]
        for word in ids
    ]


TOKENIZER = SimpleNamespace(
    start_id=1,
    end_id=2,
    pad_id=0,
    sha256="0" * 64,
    decode=lambda ids: "".join(map(chr, ids)),
    sample_batch=_sample,
)
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SETTINGS = {
    "run": "tiny",
    "method": "sft",
    "role": "task",
    "reserved": {},
    "seed": 3,
    "learning_rate": 1e-2,
    "source_domain": "known",
    "sequence": SEQUENCE,
    "accelerator": "cpu",
    "devices": 1,
    "threads": 1,
    "precision": "32-true",
    "sequence_length": 16,
    "global_batch_size": 4,
    "micro_batch_size": 4,
    "steps": 12,
    "warmup_steps": 2,
    "minimum_learning_rate_ratio": 0.1,
    "weight_decay": 0.01,
    "beta1": 0.9,
    "beta2": 0.95,
    "gradient_clip": 1.0,
    "log_interval": 3,
    "validation_interval": 6,
    "validation_tokens": 200,
    "checkpoint_interval": 4,
}
LORA = {"rank": 4, "alpha": 8, "dropout": 0.1, "target_modules": LINEAR, "a_init": "kaiming"}
DEN = {
    "target_modules": LINEAR, "units": 2, "maximum_units": 4,
    "expansion_threshold": 0.5, "selection_share": 0.25, "sparsity": 0.01, "group_sparsity": 0.001,
    "drift_penalty": 1.0, "drift_threshold": 0.05, "expansion_interval": 3,
}  # fmt: skip
FISHER = {"strength": 10.0, "fisher": "sampled", "rows": 16, "draws": 4}
# Every method and strategy, and every kind of composition, by the name of its test.
RUNS = {
    "sft": {},
    "lora": {"method": "lora", **LORA},
    "dora": {"method": "dora", **{k: v for k, v in LORA.items() if k != "a_init"}},
    "houlsby": {
        "method": "houlsby", "bottleneck": 8, "activation": "gelu", "init_std": 0.01,
        "train_norms": True,
    },
    "prefix": {"method": "prefix", "length": 4, "reparameterisation": None, "init_std": 0.02},
    "prefix_mlp": {"method": "prefix", "length": 4, "reparameterisation": 16, "init_std": 0.02},
    "den": {"method": "den", **DEN},
    "replay": {"continual": {"replay": {"ratio": 0.25, "memory_rows": 8}}},
    "joint": {"continual": {"joint": {}}},
    "l2": {"continual": {"l2": {"strength": 0.1}}},
    "ewc": {"continual": {"ewc": FISHER}},
    "online_ewc": {"continual": {"online_ewc": {**FISHER, "decay": 0.9}}},
    "gem": {"continual": {"gem": {"memory_rows": 8, "batch_rows": 4, "margin": 0.0}}},
    "agem": {"continual": {"agem": {"memory_rows": 8, "batch_rows": 4}}},
    "lwf": {"continual": {"lwf": {"strength": 1.0, "temperature": 2.0}}},
    "wise": {"continual": {"wise": {"share": 0.7}}},
    "pissa": {"method": "lora", **LORA, "dropout": 0.0, "a_init": "pissa"},
    "lora_settings": {
        "method": "lora", **LORA, "use_rslora": True, "lora_plus_ratio": 4.0,
        "train_embeddings": True,
    },
    "lora_lwf": {
        "method": "lora", **LORA, "continual": {"lwf": {"strength": 1.0, "temperature": 1.0}},
    },
    "lora_wise": {"method": "lora", **LORA, "continual": {"wise": {"share": 0.7}}},
    "sampled": {
        "subword_regularisation": {"alpha": 0.1, "nbest_size": -1},
        "continual": {"replay": {"ratio": 0.25, "memory_rows": 8}},
    },
    "lora_ewc": {"method": "lora", **LORA, "continual": {"ewc": FISHER}},
    "lora_replay": {
        "method": "lora", **LORA, "continual": {"replay": {"ratio": 0.25, "memory_rows": 8}},
    },
    "houlsby_gem": {
        "method": "houlsby", "bottleneck": 8, "activation": "gelu", "init_std": 0.01,
        "train_norms": False,
        "continual": {"gem": {"memory_rows": 8, "batch_rows": 4, "margin": 0.0}},
    },
    "replay_ewc": {
        "continual": {"replay": {"ratio": 0.25, "memory_rows": 8}, "ewc": FISHER},
    },
}  # fmt: skip


def write_tokens(directory: Path, documents: list[list[int]]) -> None:
    """Write a token file of these documents."""
    directory.mkdir(parents=True)
    token_files.write(directory, documents, tokenizer=TOKENIZER.sha256)


def build(folder: Path) -> Path:
    """Write a model and the tokens of three languages, each a walk of its own over the tokens."""
    import tiny_model

    tiny_model.save(folder / "model")
    for number, domain in enumerate(DOMAINS):
        generator = np.random.default_rng(number)
        for split, count in (("train", 80), ("validation", 12), ("test", 12)):
            documents = []
            for length in generator.integers(5, 14, count):
                start = generator.integers(0, 55)
                steps = np.arange(length) * (2 * number + 3)
                documents.append((5 + (start + steps) % 55).tolist())
            write_tokens(folder / "tokens" / domain / split, documents)
    return folder


def run(study: Path, work: Path, module, **settings) -> Run:
    """Return a run of the study that keeps its state and its output under ``work``."""
    from jadapt.training.run import Places, Run

    tokens = {domain: study / "tokens" / domain for domain in DOMAINS}
    places = Places(study / "model", tokens, work / "checkpoints", work / "output")
    return Run({**SETTINGS, **settings}, places, TOKENIZER, module)


def losses(study: Path, work: Path, module, **settings) -> list[float]:
    """Train and return the loss of every step."""
    training = run(study, work, module, log_interval=1, **settings)
    training.train()
    training.publish()
    lines = [json.loads(line) for line in (work / "output/train.jsonl").read_text().splitlines()]
    return [line["training_loss"] for line in lines if "training_loss" in line]
