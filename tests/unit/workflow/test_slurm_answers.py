"""What the user is told when SLURM does not take a job: the remedy follows its actual reason."""

import pytest

from jadapt.workflow import slurm_answers

BOILERPLATE = (
    "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's "
    "size and/or time limits)"
)
REFUSED = """\
Error in rule {rule}:
    message: SLURM sbatch failed. The error message was 'sbatch: error: {answer}'.
        sbatch call:
            sbatch --parsable ...
"""
NO_ANSWER = [
    "Batch job submission failed: Unable to contact slurm controller (connect failure)",
    "Batch job submission failed: Socket timed out on send/recv operation",
    "Batch job submission failed: Zero Bytes were transmitted or received",
    "slurm_receive_msg: Zero Bytes were transmitted or received",
    "Batch job submission failed: Resource temporarily unavailable",
    "Slurm temporarily unable to accept job, sleeping and retrying",
    "Batch job submission failed: Protocol authentication error",
]
ANSWERS = [
    ("QOSMaxSubmitJobPerUserLimit", "config.yaml: jobs"),
    ("AssocMaxSubmitJobLimit", "config.yaml: jobs"),
    ("AssocGrpSubmitJobsLimit", "config.yaml: jobs"),
    ("QOSMaxJobsPerUserLimit", "config.yaml: jobs"),
    ("AssocGrpJobsLimit", "config.yaml: jobs"),
    ("QOSMaxWallDurationPerJobLimit", "local.yaml: runtime"),
    ("AssocMaxWallDurationPerJobLimit", "local.yaml: runtime"),
    ("PartitionTimeLimit", "local.yaml: runtime"),
    ("QOSMaxCpuPerUserLimit", "local.yaml: qos"),
    ("AssocMaxCpuPerJobLimit", "local.yaml: qos"),
    ("QOSMaxGRESPerUser", "local.yaml: qos"),
    ("AssocMaxGRESPerJob", "local.yaml: qos"),
    ("QOSMaxMemoryPerJob", "local.yaml: mem_mb"),
    ("AssocMaxMemPerJob", "local.yaml: mem_mb"),
    ("QOSMaxNodePerUserLimit", "local.yaml: qos"),
    ("AssocGrpCPUMinutesLimit", "local.yaml: slurm_account"),
    ("QOSGrpCPUMinutesLimit", "local.yaml: slurm_account"),
    ("AssocGrpBillingMinutes", "local.yaml: slurm_account"),
]
OTHERS = [
    (BOILERPLATE, "local.yaml: qos"),
    ("Invalid account or account/partition combination specified", "local.yaml: slurm_account"),
    ("Job's account not permitted to use this partition (gpu allows a not b)",
     "local.yaml: slurm_account"),
    ("Job's QOS not permitted to use this partition (gpu allows a not b)", "local.yaml: qos"),
    ("User's group not permitted to use this partition", "local.yaml: slurm_partition"),
    ("invalid partition specified: nosuch", "local.yaml: slurm_partition"),
    ("Requested partition configuration not available now", "local.yaml: slurm_partition"),
    ("Required partition not available (inactive or drain)", "local.yaml: slurm_partition"),
    ("Invalid generic resource (gres) specification", "local.yaml: slurm_partition"),
    ("Invalid Trackable RESource (TRES) specification", "local.yaml: slurm_partition"),
    ("Requested node configuration is not available", "local.yaml: slurm_partition"),
    ("CPU count per node can not be satisfied", "local.yaml: slurm_partition"),
    ("unrecognized option '--gpus=1'", "local.yaml: gres"),
    ("Please use --gres=gpu:N here", "local.yaml: gres"),
    ("Do not specify --mem on this cluster", "local.yaml: mem_mb: this cluster wants no --mem"),
    ("Requested time limit is invalid (missing or exceeds some limit)", "local.yaml: runtime"),
    ("Memory required by task is not available", "local.yaml: mem_mb: ask for less"),
    ("Memory specification can not be satisfied", "local.yaml: mem_mb: ask for less"),
    ("Invalid qos specification", "local.yaml: qos"),
    ("Invalid feature specification", "local.yaml: constraint"),
    ("Requested reservation is invalid", "local.yaml: slurm_extra"),
    ("something entirely new", "local.yaml: slurm_partition: see `man sbatch`"),
]  # fmt: skip


@pytest.fixture
def explained(tmp_path):
    def explain(answer):
        log = tmp_path / "snakemake.log"
        log.write_text(REFUSED.format(rule="adapt", answer=answer) * 3, encoding="utf-8")
        (line,) = slurm_answers.explain([log])
        assert "rule adapt" in line
        assert " ".join(answer.split()) in line
        return line

    return explain


@pytest.mark.parametrize(("reason", "place"), ANSWERS)
def test_the_limit_that_slurm_names_goes_before_its_boilerplate(explained, reason, place):
    assert f"; profiles/slurm/{place}: " in explained(f"{reason}\nsbatch: error: {BOILERPLATE}")


@pytest.mark.parametrize(("answer", "place"), OTHERS)
def test_a_refusal_names_the_key_to_change(explained, answer, place):
    assert f"; profiles/slurm/{place}" in explained(answer)


@pytest.mark.parametrize("answer", NO_ANSWER)
def test_a_controller_that_does_not_answer_is_asked_again(explained, answer):
    line = explained(answer)
    assert "SLURM does not answer; run the same command again" in line
    assert ".yaml" not in line


def test_an_account_that_the_plugin_does_not_find_is_explained_too(tmp_path):
    log = tmp_path / "snakemake.log"
    log.write_text(
        "Error in rule adapt:\n    message: Job submission failed with exception: The given "
        "account nosuch appears to be invalid. Available accounts:\nroot, accFor further error "
        "details see the cluster/cloud log\n    jobid: 0\n",
        encoding="utf-8",
    )
    (line,) = slurm_answers.explain([log])
    assert "nosuch appears to be invalid. Available accounts: root, acc; " in line
    assert "profiles/slurm/local.yaml: slurm_account: " in line


def test_a_log_without_refusals_needs_no_explanation(tmp_path):
    log = tmp_path / "snakemake.log"
    log.write_text("Error in rule adapt:\n    message: SLURM-job '7' failed\n", encoding="utf-8")
    assert slurm_answers.explain([log]) == []
