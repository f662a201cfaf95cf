"""Studies too large for a command line: their manifest and their paper are finished."""

import argparse
import sys

import pytest
import yaml

import stand_in_results
from jadapt.config import studies
from working_copy import ROOT

# What Linux takes in one argument.
LIMIT = 131_072
COLLECT = ["metrics", "efficiency", "curves", "corpora_table", "manifest"]
PRESENT = ["claims", "numbers", "figure", "table", "paper"]


def finish(clone, config, rules, *targets):
    """Give a study made-up runs; make files of it by real rules, and by no others."""
    path = clone.path / "large.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    results = clone.path / "results" / config["study"]
    options = argparse.Namespace(configfile=[path], results=results, released=None)
    stand_in_results.write(studies.load(options), studies.read_catalogue())
    clone.shell(
        "snakemake", "--cores", "2", "--configfile", "large.yaml", "--show-failed-logs",
        "--allowed-rules", *rules, "--", *(f"results/{config['study']}/{name}" for name in targets),
    )  # fmt: skip
    assert (results / "settings/study.json").stat().st_size > LIMIT
    return results


def test_the_generated_study_of_three_thousand_runs_finishes_its_manifest(edited):
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import bench_scale

    results = finish(edited, bench_scale.study(3000, 3), COLLECT, "manifest.json")
    manifest = yaml.load((results / "manifest.json").read_text("utf-8"), Loader=yaml.CSafeLoader)
    assert len(manifest["runs"]) == 3001
    assert manifest["tables"]["efficiency"]["rows"] == 3001
    assert len(manifest["settings"]["methods"]) == 1000


@pytest.mark.chain
def test_a_study_with_as_large_a_configuration_finishes_its_paper(edited):
    config = yaml.safe_load((edited.path / "config/config.yaml").read_text(encoding="utf-8"))
    for entry in config["methods"].values():
        if isinstance(entry["learning_rate"], list):
            entry["learning_rate"] = entry["learning_rate"][0]
    entry = {"kind": "sentencepiece", "model_type": "unigram", "maximum_sentences": 2000}
    config["tokenization"]["tokenizers"] |= {
        f"unigram_of_{1000 + n}_pieces": {**entry, "vocabulary_size": 1000 + n} for n in range(990)
    }
    config |= {"study": "large", "ablations": {}}
    config["evaluation"]["tasks"] = []
    results = finish(edited, config, [*COLLECT, *PRESENT], "manifest.json", "paper/paper.pdf")
    assert (results / "paper/paper.pdf").read_bytes().startswith(b"%PDF")
