"""A real SLURM on this machine, and a reduced study that went through it."""

import pytest

from on_slurm import STUDY, ClusterClone, Slurm, reduced_study
from working_copy import ROOT, copy_repository, share_downloads


@pytest.fixture(scope="session")
def slurm():
    cluster = Slurm()
    cluster.down(forget=True)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down(forget=True)


@pytest.fixture(scope="session")
def study(slurm, tmp_path_factory):
    """The reduced study, sent through the cluster from the downloads to the PDF."""
    path = tmp_path_factory.mktemp("cluster")
    copy_repository(path)
    share_downloads(ROOT, path)
    reduced_study(path / STUDY)
    clone = ClusterClone(path, slurm)
    clone.run("all")
    yield clone
    share_downloads(path, ROOT)
