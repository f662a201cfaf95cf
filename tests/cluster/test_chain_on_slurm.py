"""The reduced study on the cluster, undisturbed."""

RUNS = ("sft", "lora", "replay")
# Whatever else there is runs where the command runs.
SUBMITTED = {
    *(f"corpus_wildcards_{domain}" for domain in ("english", "everyday")),
    "tokenizer",
    *(
        f"tokens_wildcards_{domain}_{split}"
        for domain in ("english", "everyday")
        for split in ("train", "validation", "test")
    ),
    "initial_model",
    "pretrain",
    "search_wildcards_sft",
    *(f"adapt_wildcards_{run}" for run in RUNS),
    *(f"task_wildcards_{task}" for task in ("jblimp", "xwinograd_ja", "blimp", "piqa")),
    "task_data",
    "baselines",
}


def test_the_command_as_typed_ends_with_the_paper(study):
    assert (study.results / "paper/paper.pdf").read_bytes().startswith(b"%PDF")
    assert (study.results / "metrics.csv").exists()
    assert study.slurm.queue() == {}


def test_each_stage_is_a_job_and_the_evaluations_share_one(study):
    names = [name.removeprefix("rule_") for name in study.slurm.submitted()]
    (evaluations,) = set(names) - SUBMITTED
    assert evaluations.startswith("evaluations")
    assert sorted(names) == sorted([*SUBMITTED, evaluations])
    for run in ("base", *RUNS):
        assert (study.results / f"evaluation/{run}/seed1.csv").exists()


def test_a_job_has_the_resources_of_its_rule_and_of_the_users_file(study):
    (training,) = study.slurm.history("rule_adapt_wildcards_lora")
    assert training["State"] == "COMPLETED"
    assert (training["Account"], training["Partition"]) == ("acc", "cpu")
    assert training["ReqMem"] == "4000M"
    assert training["Timelimit"] == "08:00:00"


def test_a_second_command_submits_nothing(study):
    assert "Nothing to be done" in study.run("all").stdout
