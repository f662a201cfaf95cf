"""The studies shipped beside the default one, and mistakes of a study of a published model."""

import re

import pytest

from jadapt.config import validation
from jadapt.core.errors import UserError
from shipped_study import CATALOGUE, DEFAULT, MODELS
from shipped_study import study as shipped


def test_the_pilot_is_the_study_it_precedes_with_fewer_runs():
    pilot, study = (shipped(name) for name in ("smollm-pilot", "smollm"))
    assert list(pilot["methods"]) == ["sft", "lora", "replay"]
    for name, entry in pilot["methods"].items():
        assert entry == study["methods"][name]
    own = ("study", "seeds", "seeds_per_job", "methods", "ablations")
    # The pilot is released as it was run, before there were downstream tasks.
    for key in ("tasks", "task_items"):
        study["evaluation"].pop(key)
    assert {key: pilot[key] for key in pilot if key not in own} == {
        key: study[key] for key in study if key not in own
    }
    validation.validate(pilot, CATALOGUE, MODELS, "config/smollm-pilot.yaml")


def test_the_study_of_precisions_is_that_of_smollm_on_its_first_task_without_grids():
    precisions, study = (shipped(name) for name in ("smollm-precisions", "smollm"))
    validation.validate(precisions, CATALOGUE, MODELS, "config/smollm-precisions.yaml")
    assert precisions["sequence"] == study["sequence"][:1]
    assert precisions["ablations"] == {
        f"{run}_precision": study["ablations"][f"{run}_precision"] for run in ("sft", "lora")
    }
    # The runs have the one rate of their ablation, and differ in nothing else.
    assert precisions["methods"] == {
        run: {
            **study["methods"][run],
            "learning_rate": study["ablations"][f"{run}_precision"]["learning_rate"],
        }
        for run in ("sft", "lora")
    }
    own = ("steps", "warmup_steps", "validation_interval", "checkpoint_interval")
    own += ("micro_batch_size",)
    for one in (precisions, study):
        one["training"] = {k: v for k, v in one["training"].items() if k not in own}
    same = ("model", "tokenizer", "tokenization", "training", "pretraining", "search")
    assert {key: precisions[key] for key in same} == {key: study[key] for key in same}


@pytest.mark.parametrize("name", ["smollm", "qwen"])
def test_the_other_studies_are_valid_and_have_the_same_methods(name):
    study = shipped(name)
    validation.validate(study, CATALOGUE, MODELS, f"config/{name}.yaml")
    # Beside them, the study of the published claims has LoRA of other ranks and precisions.
    shared = [key for key in study["methods"] if key in DEFAULT["methods"]]
    assert shared == list(DEFAULT["methods"])
    for key in shared:
        assert set(study["methods"][key]) == set(DEFAULT["methods"][key])
    more = set(study["methods"]) - set(shared)
    assert all(re.fullmatch(r"lora_(r|fp)\d+", key) for key in more)
    assert bool(more) == (name == "qwen")
    for key in ("sequence", "seeds", "corpora"):
        assert study[key] == DEFAULT[key]


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
