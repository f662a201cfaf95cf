"""The SLURM profile, as far as it shows without a cluster; tests/cluster has the rest."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_a_mistake_in_the_users_file_ends_the_command_with_one_line(clone):
    path = clone.path / "profiles/slurm/local.yaml"
    path.write_text("adapt: {slurm_partitoin: long}\n", encoding="utf-8")
    try:
        done = clone.shell("snakemake", "--profile", "slurm", "-n", "all", check=False)
    finally:
        path.unlink()
    assert done.returncode == 1
    _, line = done.stdout.strip().splitlines()
    assert line.startswith(
        "error: profiles/slurm/local.yaml:1: unknown key 'adapt.slurm_partitoin'"
    )


def test_retries_stand_in_the_profile_and_in_no_rule():
    # A rule's own retries run inside the old allocation, with its old memory and time.
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    assert profile["retries"] >= 1
    for path in (ROOT / "rules").glob("*.smk"):
        assert "retries" not in path.read_text(encoding="utf-8")
