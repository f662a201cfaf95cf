"""A study of a published model on a CPU: from Qwen2-shaped weights in the mirror to tables."""

import csv
import json
import random
import shutil

import pytest
import yaml

import tiny_gguf
import tiny_model
from jadapt.config import layers
from jadapt.models.gguf import GgufFile

pytestmark = pytest.mark.chain

DOMAINS = ["home", "kept", "abroad"]
STUDY = {
    "study": "published",
    "model": "qwen25",
    "seeds": [1],
    "mirror": "mirror",
    "corpora": {"domains": DOMAINS, "maximum_documents": {}},
    "training": {
        "accelerator": "cpu", "threads": 1, "precision": "32-true", "sequence_length": 32,
        "global_batch_size": 2, "micro_batch_size": 2, "steps": 4, "warmup_steps": 1,
        "log_interval": 2, "validation_interval": 4, "validation_tokens": 200,
        "checkpoint_interval": 10, "fast": {}, "tokens": {},
    },
    "pretraining": {"domain": "home"},
    "sequence": ["abroad"],
    "fronts": {"seeds": [1], "extend": 1, "interpolations": [0.5], "retention": ["kept"]},
    "evaluation": {"domains": DOMAINS, "maximum_tokens": 400, "batch_size": 4},
}  # fmt: skip


PRECISIONS = {
    "run": "sft", "key": "precision", "values": ["32-true", "bf16-mixed"],
    "learning_rate": 2e-3, "seeds": [1],
}  # fmt: skip


@pytest.fixture
def published(edited):
    """The clone with three domains of its own and a mirror that holds the repository."""
    catalogue = yaml.safe_load((edited.path / "config/corpora.yaml").read_text())
    generator = random.Random(1)
    for domain, language, words in (
        ("home", "en", "the cat sat"),
        ("kept", "en", "sat a dog"),
        ("abroad", "ja", "猫が 東京で"),
    ):
        name = f"config/{domain}.jsonl"
        with open(edited.path / name, "w", encoding="utf-8") as stream:
            for number in range(300):
                text = " ".join(generator.choices(words.split(), k=12)) + f" {number}."
                stream.write(json.dumps({language: text}, ensure_ascii=False) + "\n")
        catalogue["sources"][domain] = {
            "kind": "local", "path": name, "licence": "CC0-1.0", "attribution": "me",
        }  # fmt: skip
        catalogue["domains"][domain] = {"language": language, "sources": [domain]}
    (edited.path / "config/corpora.yaml").write_text(yaml.safe_dump(catalogue, allow_unicode=True))
    study = layers.read([edited.path / "config/qwen.yaml"]).content
    for key, value in STUDY.items():
        study[key] = study[key] | value if isinstance(study[key], dict) and value else value
    study["ablations"] = {"sft_precision": PRECISIONS}
    study["methods"] = {"sft": study["methods"]["sft"] | {"learning_rate": [1e-3, 2e-3]}}
    (edited.path / "config/published.yaml").write_text(yaml.safe_dump(study, allow_unicode=True))
    edited.studies = ["config/published.yaml"]
    edited.environment.pop("JADAPT_MIRROR")
    folder = edited.path / "mirror" / "Qwen" / "Qwen2.5-0.5B"
    model = tiny_model.build(seed=2)
    model.resize_token_embeddings(len(tiny_gguf.TOKENS))
    model.save_pretrained(folder)
    tokenizer = GgufFile(tiny_gguf.write(edited.path / "t.gguf", tiny_gguf.model())).tokenizer()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return edited


def test_a_repository_of_the_hub_is_adapted_and_measured(published):
    results = published.path / "results" / "published"
    names = ["metrics.csv", "efficiency.csv", "curves.csv", "grid.csv", "manifest.json"]
    fronts = ["fronts.csv", "front_measures.csv"]
    published.run(*(f"results/published/{name}" for name in [*names, *fronts]))
    tables = {}
    for name in [*names[:-1], *fronts]:
        with open(results / name, encoding="utf-8", newline="") as stream:
            tables[name] = list(csv.DictReader(stream))
    bits = {
        (row["method"], row["evaluated_on"]): float(row["value"])
        for row in tables["metrics.csv"]
        if row["metric"] == "bits_per_byte"
    }
    assert set(bits) == {(m, d) for m in ("base", "sft") for d in DOMAINS}
    # Random weights need about log2(263) bits for a byte; training lowers that on its task.
    assert bits["sft", "abroad"] < bits["base", "abroad"]
    # What the published model cost is not known, so that it has no row.
    assert {row["method"] for row in tables["efficiency.csv"]} == {"sft"}
    assert {row["method"] for row in tables["curves.csv"]} == {"sft"}
    # Each precision at the one rate, with what it took.
    varied = [row for row in tables["grid.csv"] if row["ablation"] == "sft_precision"]
    assert {(row["variant"], row["learning_rate"], row["selected"]) for row in varied} == {
        (variant, "0.002", "True") for variant in ("32-true", "bf16-mixed")
    }
    for metric in ("bits_per_byte", "peak_memory_mib", "median_tokens_per_second"):
        values = [float(row["value"]) for row in varied if row["metric"] == metric]
        assert len(set(values)) >= 2 and min(values) > 0
    runs = json.loads((results / "manifest.json").read_text())["runs"]
    assert [(run["run"], run["diverged"]) for run in runs] == [("base", False), ("sft", False)]
    every_rate_has_a_point(*(tables[name] for name in fronts))
    results_are_used_elsewhere(published, results, names)


def every_rate_has_a_point(fronts, measures):
    """A front is trained at each rate, goes on while the best is at an end, and is compared."""
    bits = {
        (row["method"], float(row["learning_rate"]), row["interpolation"], row["evaluated_on"]): (
            float(row["value"])
        )
        for row in fronts
        if (row["split"], row["metric"]) == ("test", "bits_per_byte")
    }
    # What four steps learn grows with the rate, so that one more is tried, and is the best.
    rates = [0.001, 0.002, 0.004]
    adapted = {
        ("sft", rate, share, d) for rate in rates for share in ("0.5", "1.0") for d in DOMAINS
    }
    assert set(bits) == {*(("base", 0.0, "0.0", domain) for domain in DOMAINS), *adapted}
    assert {row["learning_rate"] for row in fronts if row["selected"] == "True"} == {"0.004"}
    for measure, domain, sign in (("point_gain", "abroad", 1), ("point_forgetting", "kept", -1)):
        found = {
            (float(row["learning_rate"]), row["interpolation"]): float(row["value"])
            for row in measures
            if row["measure"] == measure
        }
        base = bits["base", 0.0, "0.0", domain]
        assert found == pytest.approx({
            (rate, share): sign * (base - bits["sft", rate, share, domain])
            for rate in rates for share in ("0.5", "1.0")
        })  # fmt: skip


def results_are_used_elsewhere(published, results, names):
    """Tables are made without what only training needs: models stay on the machine with the GPU."""
    for path in (*results.glob("runs/*/*/models"), results / "models", results / "tokens"):
        assert path.is_dir()
    for path in (*results.glob("runs/*/*/models"), results / "models"):
        shutil.rmtree(path)
    for path in results.glob("tokens/*/*/*.bin"):
        path.unlink()
    (results / "metrics.csv").unlink()
    published.run(*(f"results/published/{name}" for name in names))
    assert (results / "metrics.csv").is_file()
    assert not list(results.glob("runs/*/*/models")) and not (results / "models").exists()
