"""What a study's configuration means for each of its runs."""

import itertools

import pytest

from jadapt.config import runs
from jadapt.core import seeds
from jadapt.core.errors import UserError
from shipped_study import DEFAULT, validated


def test_a_run_takes_its_own_values_over_the_shared_ones():
    config = validated(methods__lora__steps=99)
    run = runs.run_settings(config, "lora", 2)
    assert (run["steps"], run["seed"], run["rank"]) == (99, 2, DEFAULT["methods"]["lora"]["rank"])
    base = runs.run_settings(config, "base", 1)
    assert base["method"] == "sft"
    assert base["sequence"] == ["english"]
    assert base["threads"] == DEFAULT["pretraining"]["threads"]


def test_a_grid_is_searched_on_the_first_task_with_its_own_seeds():
    config = validated(search__seeds=[7], methods__lora__learning_rate=[0.1, 0.2])
    found = runs.search_settings(config, "lora")
    assert (found["rates"], found["seeds"], found["ablation"]) == ([0.1, 0.2], [7], "")
    (variant,) = found["variants"]
    assert variant["name"] == ""
    assert variant["settings"]["sequence"] == DEFAULT["sequence"][:1]
    assert runs.has_grid(config, "lora")
    assert not runs.has_grid(validated(methods__lora__learning_rate=0.1), "lora")
    assert not runs.has_grid(config, "base")


def test_an_ablation_varies_one_key_and_keeps_the_grid():
    config = validated()
    found = runs.ablation_settings(config, "replay_ratio")
    ratios = [v["settings"]["continual"]["replay"]["ratio"] for v in found["variants"]]
    assert ratios == config["ablations"]["replay_ratio"]["values"]
    assert [v["name"] for v in found["variants"]] == [f"{ratio:g}" for ratio in ratios]
    assert found["rates"] == config["methods"]["replay"]["learning_rate"]
    assert config["methods"]["replay"]["continual"]["replay"]["ratio"] == 0.25


def test_an_ablation_may_vary_what_a_run_takes_from_the_shared_settings():
    precisions = {
        "run": "sft",
        "key": "precision",
        "values": ["32-true", "bf16-mixed"],
        "seeds": [1],
    }
    config = validated(ablations__precision=precisions)
    found = runs.ablation_settings(config, "precision")
    assert [v["settings"]["precision"] for v in found["variants"]] == precisions["values"]
    # Everything else is as in the run itself.
    rest = {
        **runs.run_settings(config, "sft"),
        "role": "ablation",
        "sequence": config["sequence"][:1],
    }
    for variant in found["variants"]:
        assert variant["settings"] == {**rest, "precision": variant["name"]}
    assert config["methods"]["sft"] == DEFAULT["methods"]["sft"]
    assert found["rates"] == config["methods"]["sft"]["learning_rate"]
    for own in (0.5, [0.5, 0.25]):
        config = validated(ablations__precision={**precisions, "learning_rate": own})
        found = runs.ablation_settings(config, "precision")
        assert found["rates"] == (own if isinstance(own, list) else [own])


def test_seeds_are_dealt_to_jobs():
    config = validated(seeds=[4, 5, 6], seeds_per_job=2)
    assert runs.seed_batches(config) == [[4, 5], [6]]


REPLAY_OF_OTHER_TEXT = {
    **DEFAULT["methods"]["replay"],
    "remembers": "prose_en",
}
WITH_PROSE = [*DEFAULT["corpora"]["domains"], "prose_en"]


def test_a_run_may_remember_other_text_of_the_known_language():
    config = validated(corpora__domains=WITH_PROSE, methods__other=REPLAY_OF_OTHER_TEXT)
    assert runs.known_domains(config) == ["english", "prose_en"]
    assert runs.run_settings(config, "other")["source_domain"] == "prose_en"
    assert runs.run_settings(config, "replay")["source_domain"] == "english"
    assert "remembers" not in runs.run_settings(config, "other")
    (variant,) = runs.search_settings(config, "other")["variants"]
    assert variant["settings"]["source_domain"] == "prose_en"
    assert "remembers" not in variant["settings"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods__other": {**REPLAY_OF_OTHER_TEXT, "remembers": "prose"}},
         r"methods\.other\.remembers: unknown 'prose'; known: cloud"),
        ({"training__tokens": {"clouds": 5}}, r"training\.tokens: .*'clouds'.*'cloud'"),
        ({"training__tokens": {"cloud": 0}}, r"training\.tokens\.cloud: "),
        ({"corpora__domains": WITH_PROSE, "methods__other": REPLAY_OF_OTHER_TEXT,
          "evaluation__domains": ["english", "prose_en", "everyday"],
          "fronts": {"seeds": [1], "retention": ["prose_en"]}},
         "fronts.retention: 'prose_en' is what strategies remember"),
    ],
)  # fmt: skip
def test_what_is_not_there_cannot_be_remembered_or_trained_on(changes, words):
    with pytest.raises(UserError, match=words):
        validated(**changes)


def test_trainings_of_unlike_purposes_have_unlike_roles():
    fronts = {"seeds": [1], "retention": ["english"]}
    config = {**validated(), "fronts": fronts}
    resolved = {
        "pretraining": [runs.run_settings(config, "base")],
        "task": [runs.run_settings(config, name, 1) for name in config["methods"]],
        "search": variants(runs.search_settings(config, name) for name in config["methods"]),
        "front": variants(runs.front_settings(config, name) for name in config["methods"]),
        "ablation": variants(runs.ablation_settings(config, n) for n in config["ablations"]),
    }
    for role, found in resolved.items():
        assert {settings["role"] for settings in found} == {role}
    settings = [{**found[0], "seed": 1} for found in resolved.values()]
    for one, other in itertools.combinations(settings, 2):
        assert seeds.of_run(one, "rows", "everyday") != seeds.of_run(other, "rows", "everyday")


def variants(points):
    """Return the settings of every variant of searches, fronts or ablations."""
    return [variant["settings"] for point in points for variant in point["variants"]]


def test_every_training_knows_which_documents_are_kept_for_pretraining():
    mixture = {"domain": "cloud", "share": 0.05, "reserved_share": 0.25}
    config = validated(pretraining__mixture=mixture)
    found = [
        runs.run_settings(config, "base"),
        runs.run_settings(config, "replay", 1),
        *variants([runs.search_settings(config, "lora")]),
        *variants([runs.ablation_settings(config, "lora_rank")]),
    ]
    assert [settings["reserved"] for settings in found] == [{"cloud": 0.25}] * len(found)
    assert runs.run_settings(validated(pretraining__mixture=None), "sft", 1)["reserved"] == {}


def test_the_base_models_own_domain_is_no_mixture():
    mixture = {"domain": "english", "share": 0.05, "reserved_share": 0.25}
    with pytest.raises(UserError, match=r"pretraining\.mixture\.domain.*'english'.*name another"):
        validated(pretraining__mixture=mixture)
