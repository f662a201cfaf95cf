"""What the tiny study of `tests/workflow/tiny.yaml` leaves behind."""

import csv

FIGURES = (
    "ablations", "convergence", "fertility", "forgetting", "pareto", "retention", "script_bits",
    "scripts",
)  # fmt: skip
TABLES = (
    "claims", "claims_arithmetic", "convergence_statistics", "corpora", "effects", "efficiency",
    "learning_rates", "methods", "results", "segmentation", "tokenizers",
    "transfer", "variants",
)  # fmt: skip
DOMAINS = ("english", "everyday", "cloud", "devdocs")
TASKS = ("everyday", "cloud")
METHODS = (
    "sft", "lora", "dora", "houlsby", "prefix", "den", "replay", "l2", "ewc", "online_ewc", "gem",
    "agem", "lora_replay", "lora_ewc", "joint",
)  # fmt: skip


def results(study):
    return study.path / "results" / "tiny"


def read_table(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
