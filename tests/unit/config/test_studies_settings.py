"""The studies shipped beside the default one, and mistakes of a study of a published model."""

import re

import pytest

from jadapt.config import runs, validation
from jadapt.core.errors import UserError
from shipped_study import CATALOGUE, DEFAULT, MODELS
from shipped_study import study as shipped


@pytest.mark.parametrize("name", ["smollm", "qwen"])
def test_the_other_studies_are_valid_and_have_the_methods_of_the_default_one(name):
    study = shipped(name)
    validation.validate(study, CATALOGUE, MODELS, f"config/{name}.yaml")
    for key, entry in DEFAULT["methods"].items():
        own = study["methods"][key]
        assert own["method"] == entry["method"], key
        assert set(own.get("continual", {})) == set(entry.get("continual", {})), key


def test_the_study_on_a_cluster_differs_from_that_on_gpus_in_model_and_claims():
    smollm, qwen = shipped("smollm"), shipped("qwen")
    # What the claims on ranks and precisions are about.
    claimed = re.compile(r"lora_(r|fp)\d+")
    more = set(qwen["methods"]) - set(smollm["methods"])
    assert more and all(claimed.fullmatch(key) for key in more)
    for key in ("sequence", "seeds", "corpora", "fronts"):
        assert qwen[key] == smollm[key]


def test_retention_is_measured_on_text_that_no_run_of_a_study_with_fronts_sees():
    study = shipped("smollm")
    kept = set(study["fronts"]["retention"])
    seen = {*study["sequence"], *runs.known_domains(study), *runs.base_domains(study)}
    assert kept and not kept & seen


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "mini"}, "missing key 'pretraining.learning_rate'"),
        (
            {"tokenizer": DEFAULT["tokenizer"]},
            "tokenizer: 'smollm2' needs its own vocabulary; use {kind: pretrained, model: smollm2}",
        ),
        ({"pretraining__steps": 5}, "pretraining.steps: 'smollm2' is trained already"),
        (
            {"training__fast__compile": True},
            "unknown key 'training.fast.compile'; did you mean 'compile_layers'?",
        ),
        (
            {"training__precision": "16-mixed", "training__fast__fused_optimiser": True},
            "fast.fused_optimiser does not go with precision 16-mixed",
        ),
        (
            {"training__fast__fuse_projections": True},
            "fast.fuse_projections does not go with precision bf16-mixed; set it to false or use",
        ),
        (
            {"training__accelerator": "cpu"},
            "fast.cuda_graphs needs a GPU; set it to false on a CPU",
        ),
        ({"training__fast__activation_budget": 0}, "training.fast.activation_budget"),
        ({"training__sequence_length": 9000}, "above the 8192 positions of model 'smollm2'"),
    ],
)
def test_mistakes_of_a_study_of_a_published_model_are_named(changes, message):
    config = shipped("smollm")
    for key, value in changes.items():
        *sections, last = key.split("__")
        place = config
        for section in sections:
            place = place[section]
        place[last] = value
    with pytest.raises(UserError, match=re.escape(message)):
        validation.validate(config, CATALOGUE, MODELS, "smollm.yaml")
