"""What a cluster is asked for, and what the user is told when it refuses."""

import re
from pathlib import Path

import pytest

from jadapt.config import schemas
from jadapt.core.errors import UserError
from jadapt.workflow import slurm

ROOT = Path(__file__).resolve().parents[3]
REFUSED = """\
Error in rule {rule}:
    message: SLURM sbatch failed. The error message was 'sbatch: error: Batch job submission \
failed: {answer}'.
        sbatch call:
            sbatch --parsable ...
"""


@pytest.fixture
def site(tmp_path):
    def read(text):
        (tmp_path / "local.yaml").write_text(text, encoding="utf-8")
        return slurm.read_site(tmp_path / "local.yaml")

    return read


def test_a_stage_goes_before_every_stage_and_both_before_the_rule(site):
    asked = slurm.resources(
        site("every_stage: {slurm_partition: a, runtime: 7}\nadapt: {slurm_partition: b}\n"),
        "adapt", mem_mb=100, runtime=5,
    )  # fmt: skip
    assert asked["slurm_partition"] == "b"
    assert [asked["runtime"](None, attempt) for attempt in (1, 2, 3)] == [7, 14, 21]
    assert [asked["mem_mb"](None, attempt) for attempt in (1, 2, 3)] == [100, 200, 300]


def test_the_users_file_knows_the_stages_of_the_rules():
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk"))
    stages = set(re.findall(r'\*\*on_cluster\("(\w+)"', rules))
    known = set(schemas.read("cluster")["properties"])
    assert stages == known - {slurm.EVERY_STAGE}


def test_a_time_limit_is_minutes_or_a_clock_in_quotes(site):
    asked = slurm.resources(site("adapt: {runtime: '12:00:00'}"), "adapt", mem_mb=1, runtime=2)
    assert asked["runtime"](None, 1) == 720


def test_without_the_file_a_rule_asks_for_what_it_says(tmp_path):
    assert slurm.read_site(tmp_path / "none.yaml") == {}
    assert set(slurm.resources({}, "base", mem_mb=1, runtime=2)) == {"mem_mb", "runtime"}


def test_the_example_is_a_valid_file():
    text = (ROOT / "profiles/slurm/local.example.yaml").read_text(encoding="utf-8")
    assert slurm.read_site(ROOT / "profiles/slurm/local.example.yaml")["base"]["gpu_model"]
    assert "local.yaml" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adpt: {runtime: 5}", "unknown key 'adpt'; did you mean 'adapt'?"),
        (
            "adapt: {partition: gpu}",
            "unknown key 'adapt.partition'; did you mean 'slurm_partition'",
        ),
        (
            "adapt: {runtime: 5 h}",
            "adapt.runtime: '5 h' is no time; write whole minutes, or",
        ),
        ("every_stage: {gpu_model: a100}", "unknown key 'every_stage.gpu_model'"),
        ("adapt: [", "not valid YAML"),
        ("adapt: {runtime: 12:00:00}", "12:00:00 is read as a number in base 60; write minutes"),
        ("adapt: {runtime: '12:60:00'}", "adapt.runtime: '12:60:00' is no time"),
        ("adapt: {runtime: 10000000}", "adapt.runtime: 10000000 is greater than the maximum"),
        ("every_stage: {slurm_account: 0123}", "0123 is read as a number in base 8; write 123, or"),
        ("every_stage: {slurm_account: 123}", "every_stage.slurm_account: 123 is not text; put it"),
        ("adapt: {gpu_model: a100-80}", "adapt.gpu_model: 'a100-80' does not match"),
        ("adapt: {mem_mb: 8000.0}", "adapt.mem_mb: 8000.0 is not a whole number; write 8000"),
    ],
)
def test_a_mistake_names_file_and_key(site, text, message):
    with pytest.raises(UserError) as error:
        site(text)
    assert "local.yaml" in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ("Invalid account or account/partition combination specified", "slurm_account"),
        ("invalid partition specified: nosuch", "slurm_partition"),
        ("Invalid generic resource (gres) specification", "slurm_partition"),
        ("Requested node configuration is not available", "slurm_partition"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "runtime"),
        ("Memory required by task is not available", "mem_mb"),
        ("Invalid qos specification", "qos"),
        ("Invalid feature specification", "constraint"),
    ],
)
def test_a_refused_job_is_explained_with_its_rule_and_the_key_to_change(tmp_path, answer, key):
    log = tmp_path / "snakemake.log"
    log.write_text(REFUSED.format(rule="adapt", answer=answer) * 3, encoding="utf-8")
    (line,) = slurm.explain([log])
    assert "rule adapt" in line
    assert answer in line
    assert f"profiles/slurm/local.yaml: {key}: " in line


def test_an_account_that_the_plugin_does_not_find_is_explained_too(tmp_path):
    log = tmp_path / "snakemake.log"
    log.write_text(
        "Error in rule adapt:\n    message: Job submission failed with exception: The given "
        "account nosuch appears to be invalid. Available accounts:\nroot, accFor further error "
        "details see the cluster/cloud log\n    jobid: 0\n",
        encoding="utf-8",
    )
    (line,) = slurm.explain([log])
    assert "nosuch appears to be invalid. Available accounts: root, acc; " in line
    assert "profiles/slurm/local.yaml: slurm_account: " in line


def test_a_log_without_refusals_needs_no_explanation(tmp_path):
    log = tmp_path / "snakemake.log"
    log.write_text("Error in rule adapt:\n    message: SLURM-job '7' failed\n", encoding="utf-8")
    assert slurm.explain([log]) == []
