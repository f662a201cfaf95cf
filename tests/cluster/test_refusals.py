"""What SLURM refuses, or gives less of than asked: said in one line, nothing left running."""

import re

import pytest
import yaml

from on_slurm import SITE, STUDY

PRETRAIN = "results/reduced/runs/base/seed1/run.json"


def with_site(**changes):
    return {"every_stage": {**SITE["every_stage"], **changes}}


def refused(study, site, *options):
    """Ask for the base model again; return the lines that explain why SLURM did not take it."""
    study.site(site)
    try:
        done = study.run(
            PRETRAIN, options=["--retries", "0", "--forcerun", "pretrain", *options], check=False
        )
    finally:
        study.site(SITE)
    assert done.returncode == 1
    assert study.slurm.queue() == {}
    return [line for line in done.stdout.splitlines() if "SLURM refused" in line]


@pytest.mark.parametrize(
    ("site", "options", "answer", "key"),
    [
        (with_site(slurm_partition="nosuch"), [], "invalid partition specified: nosuch",
         "slurm_partition"),
        (with_site(slurm_account="nosuch"), [], "nosuch", "slurm_account"),
        (with_site(), ["--set-resources", "pretrain:gpu=3"],
         "Requested node configuration is not available", "slurm_partition"),
        (with_site(mem_mb=10**6), [], "Memory specification can not be satisfied", "mem_mb"),
    ],
    ids=["partition", "account", "more devices than a node has", "memory"],
)  # fmt: skip
def test_a_refusal_is_given_in_slurms_words_with_rule_and_key(study, site, options, answer, key):
    (line,) = refused(study, site, *options)
    assert "rule pretrain" in line
    assert answer in line
    assert f"profiles/slurm/local.yaml: {key}: " in line


def test_an_account_that_the_cluster_wants_and_the_profile_lacks(study):
    slurm = study.slurm
    slurm.ask("sacctmgr", "-i", "delete", "user", "root", "account=acc")
    try:
        (line,) = refused(study, {"every_stage": {"slurm_partition": "cpu"}})
    finally:
        slurm.ask("sacctmgr", "-i", "add", "user", "root", "account=acc", "defaultaccount=acc")
    assert "Invalid account" in line
    assert "rule pretrain" in line
    assert "profiles/slurm/local.yaml: slurm_account: " in line


@pytest.fixture
def on_gpus(study):
    """The study with a base model that is trained on a GPU."""
    path = study.path / STUDY
    before = path.read_text(encoding="utf-8")
    settings = yaml.safe_load(before)
    settings["pretraining"]["accelerator"] = "gpu"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    yield study
    path.write_text(before, encoding="utf-8")


def test_a_job_that_sees_fewer_devices_than_configured_ends(on_gpus):
    """The stand-in GPUs have no driver: SLURM gives the job one, and training sees none."""
    done = on_gpus.run(PRETRAIN, options=["--retries", "0"], check=False)
    assert done.returncode == 1
    (line,) = {line for line in done.stdout.splitlines() if "this job sees" in line}
    assert re.search(r"devices is 1, but this job sees 0 GPUs \(CUDA_VISIBLE_DEVICES=\d\)", line)
    job = on_gpus.slurm.history("rule_pretrain")[-1]
    assert "gres/gpu=1" in job["AllocTRES"]
    assert job["State"] == "FAILED"
    assert not (on_gpus.path / PRETRAIN).exists()


def test_gpus_asked_of_a_cluster_without(on_gpus):
    on_gpus.slurm.down()
    on_gpus.slurm.up(gpus=0)
    try:
        (line,) = refused(on_gpus, with_site())
    finally:
        on_gpus.slurm.down()
        on_gpus.slurm.up()
    assert "rule pretrain" in line
    assert "profiles/slurm/local.yaml: slurm_partition: " in line
    assert "training.accelerator: cpu" in line
