"""What a cluster is asked for."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from jadapt.config import schemas
from jadapt.core.errors import UserError
from jadapt.workflow import slurm

ROOT = Path(__file__).resolve().parents[3]


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
    stages = set(re.findall(r'\*\*on_cluster\(\s*"(\w+)"', rules))
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


class Asked(dict):
    """Resources of a job as the executor reads them: by name, and as attributes."""

    __getattr__ = dict.__getitem__


def submitted(site, stage, wildcards=None, **portable):
    """Return the sbatch call of a job, as the executor writes it."""
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    asked = slurm.resources(site, stage, **portable)
    found = Asked()
    for key, value in asked.items():
        if callable(value):
            value = value(wildcards, 1) if key in slurm.GROWING else value(wildcards)
        found[key] = value
    job = SimpleNamespace(resources=found, threads=2)
    texts = ("run_uuid", "slurm_logfile", "comment_str", "account", "partition", "workdir")
    return get_submit_command(job, dict.fromkeys(texts, "x")) + set_gres_string(job)


def test_gpus_are_asked_for_by_number_or_as_the_cluster_names_them(site):
    plain = submitted({}, "adapt", mem_mb=5, runtime=7, gpu=2)
    assert " --gpus=2" in plain
    assert "--gres" not in plain
    assert " --mem 5 " in plain
    text = "adapt: {gres: 'gpu:a100'}\nevery_stage: {mem_mb: 0}\n"
    for gpu in (2, lambda wildcards: 2):
        call = submitted(site(text), "adapt", mem_mb=5, runtime=7, gpu=gpu)
        assert " --gres=gpu:a100:2" in call
        assert "--gpus" not in call
        assert "--mem" not in call
    # A run that needs none, and a stage that knows none.
    none = submitted(site(text), "adapt", mem_mb=5, runtime=7, gpu=lambda wildcards: 0)
    assert "gpu" not in none
    everywhere = site("every_stage: {gres: gpu}")
    assert "gpu" not in submitted(everywhere, "corpus", mem_mb=5, runtime=7)
    assert " --gres=gpu:1" in submitted(everywhere, "base", mem_mb=5, runtime=7, gpu=1)


@pytest.mark.parametrize(
    "text",
    [
        "adapt: {gres: 'gpu:1:2'}", "adapt: {gres: \"gpu:a100\\n\"}", "adapt: {gres: 'gpu a100'}",
        "adapt: {gres: ''}", "adapt: {gres: 2}", "adapt: {gres: 'gpu:a-100'}",
        "adapt: {mem_mb: -1}", "adapt: {mem_mb: 1.5}", "adapt: {mem_mb: all}",
    ],
)  # fmt: skip
def test_what_the_executor_would_refuse_is_refused_before(site, text):
    with pytest.raises(UserError, match=r"local\.yaml.*adapt\.(gres|mem_mb)"):
        site(text)
