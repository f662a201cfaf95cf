"""The environment of a job: what of the user's is dropped, what is set, what stays."""

import os
import sys
from pathlib import Path

import pytest

from jadapt.workflow import surroundings


def settled(tmp_path, **given):
    environment = {"PATH": "/usr/bin", "HOME": str(tmp_path), **given}
    surroundings.settle(environment, tmp_path / ".cache", tmp_path / "scripts")
    return environment


@pytest.mark.parametrize(
    "name",
    [
        "BASH_ENV", "BASH_FUNC_python%%", "CDPATH", "PYTHONWARNINGS", "PYTHONOPTIMIZE",
        "PYTHONSTARTUP", "PYTHONHOME", "JUPYTER_PATH", "MATPLOTLIBRC", "OMP_PROC_BIND",
        "OMP_THREAD_LIMIT", "KMP_AFFINITY", "MKL_CBWR", "NPY_DISABLE_CPU_FEATURES",
        "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "NVIDIA_TF32_OVERRIDE", "TORCH_LOGS",
        "CUBLAS_WORKSPACE_CONFIG", "SOURCE_DATE_EPOCH", "LANGUAGE", "LC_NUMERIC", "MECABRC",
        "LOCAL_RANK", "MASTER_ADDR", "JADAPT_TENSORBOARD", "JADAPT_ORIGIN", "TYPST_FONT_PATHS",
    ],
)  # fmt: skip
def test_what_changes_a_result_is_dropped(tmp_path, name):
    assert name not in settled(tmp_path, **{name: "x"})


@pytest.mark.parametrize(
    "name",
    ["PYTHONPATH", "PYTHONHASHSEED", "MPLBACKEND", "MPLCONFIGDIR", "IPYTHONDIR", "TZ", "LC_ALL",
     "XDG_CACHE_HOME", "JUPYTER_DATA_DIR", "JUPYTER_PREFER_ENV_PATH", "TRITON_CACHE_DIR"],
)  # fmt: skip
def test_what_the_jobs_need_is_set_whatever_it_was(tmp_path, name):
    assert settled(tmp_path)[name] == settled(tmp_path, **{name: "x"})[name] != "x"


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "HF_ENDPOINT", "HF_HOME", "PIP_INDEX_URL", "https_proxy", "CUDA_VISIBLE_DEVICES",
     "NCCL_SOCKET_IFNAME", "TORCH_NCCL_BLOCKING_WAIT", "PYTORCH_CUDA_ALLOC_CONF", "LD_LIBRARY_PATH",
     "TMPDIR", "SLURM_JOB_ID", "JADAPT_MIRROR", "CONDA_PREFIX"],
)  # fmt: skip
def test_what_a_site_needs_stays(tmp_path, name):
    assert settled(tmp_path, **{name: "x"})[name] == "x"


def test_programs_are_those_of_the_environment(tmp_path):
    programs = str(Path(sys.executable).parent)
    assert settled(tmp_path)["PATH"].split(os.pathsep) == [programs, "/usr/bin"]
    again = settled(tmp_path, PATH=settled(tmp_path)["PATH"])
    assert again["PATH"].split(os.pathsep) == [programs, "/usr/bin"]


def test_files_of_the_hub_are_looked_for_where_the_user_keeps_them(tmp_path, monkeypatch):
    """In the home, where it is or can be; in the project's own cache where it cannot."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settled(tmp_path)["HF_HOME"] == str(tmp_path / ".cache/huggingface")
    mine = tmp_path / "mine"
    assert settled(tmp_path, XDG_CACHE_HOME=str(mine))["HF_HOME"] == str(mine / "huggingface")
    # As `make` passes it on.
    by_make = settled(tmp_path, XDG_CACHE_HOME="/x", JADAPT_USER_CACHE=str(mine))
    assert by_make["HF_HOME"] == str(mine / "huggingface")
    assert "JADAPT_USER_CACHE" not in by_make
    monkeypatch.setenv("HOME", os.devnull)
    assert settled(tmp_path / "x")["HF_HOME"] == str(tmp_path / "x/.cache/huggingface")
