"""The other studies plan the same work as the default one, from a published model."""

import pytest

from jadapt.config import layers


@pytest.mark.parametrize("study", ["smollm", "qwen"])
def test_a_published_model_takes_the_place_of_pre_training_alone(edited, study):
    planned = {}
    for name in ("config", study):
        edited.studies = [f"config/{name}.yaml"]
        planned[name] = edited.planned("all", options=["--profile", "profiles/gpu"])
    assert planned["config"].pop("pretrain") == 1
    assert planned[study].pop("adopt") == 1
    default, own = (
        layers.read([edited.path / f"config/{name}.yaml"]).content for name in ("config", study)
    )
    # `seeds_per_job: 1` makes three rules of one.
    names = {name.rpartition("_")[0] if name[-1].isdigit() else name for name in planned[study]}
    # How words are segmented and text is tokenized is studied in the default study alone.
    alone = ("segment", "study_", "raw_corpus")
    fronts = {"front", "fronts", "front_measures"}
    assert names - fronts == {name for name in planned["config"] if not name.startswith(alone)}
    assert planned[study]["corpus"] == len(own["corpora"]["domains"])
    assert planned[study]["initial_model"] == planned["config"]["initial_model"]
    assert planned[study]["front"] == planned[study]["search"] == len(own["methods"])
    # A GPU has more precisions to compare.
    assert planned[study]["ablation"] == len(own["ablations"])
    assert set(own["ablations"]) - set(default["ablations"]) == (
        {"sft_precision", "lora_precision"} if study == "smollm" else set()
    )


def test_a_job_on_a_gpu_asks_for_one_and_others_for_none(edited):
    edited.studies = ["config/smollm.yaml"]
    output = edited.run("all", options=["-n", "--profile", "profiles/gpu"]).stdout
    for block in output.split("\n\n"):
        rule = next(
            (x.split()[1].rstrip(":") for x in block.splitlines() if x.startswith("rule ")), ""
        )
        if rule.startswith(("adapt", "search", "ablation", "evaluate")):
            assert "gpu=1" in block, block
        elif rule in ("corpus", "tokens", "adopt"):
            assert "gpu=1" not in block, block
