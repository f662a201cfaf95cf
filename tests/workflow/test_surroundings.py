"""A figure is the same, byte by byte, whatever surrounds the command that draws it."""

import json
import os

import pytest

from jadapt.core.files import sha256_file

FIGURE = "results/mini/figures/retention"
OPTIONS = ["--config", "results=released"]
RC = "savefig.dpi: 30\nfont.size: 31\naxes.facecolor: red\nsvg.hashsalt: other\nbackend: TkAgg\n"


def draw(clone):
    clone.studies = ["config/config.yaml"]
    clone.run("fig_retention", options=["--forcerun", "figure", *OPTIONS])
    return {kind: sha256_file(clone.path / f"{FIGURE}.{kind}") for kind in ("pdf", "svg", "png")}


def bad_kernel(folder):
    """A kernel of the usual name that ends at once."""
    (folder / "kernels/python3").mkdir(parents=True)
    facts = {"argv": ["false", "{connection_file}"], "display_name": "x", "language": "python"}
    (folder / "kernels/python3/kernel.json").write_text(json.dumps(facts))


@pytest.fixture
def hostile(tmp_path):
    """A home and variables in which everything that can be set is set to something else."""
    home, other = tmp_path / "home", tmp_path / "other"
    bad_kernel(home / ".local/share/jupyter")
    bad_kernel(other / "jupyter")
    startup = home / ".ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "first.py").write_text("raise SystemExit(3)\n")
    (startup.parent / "ipython_kernel_config.py").write_text("raise SystemExit(3)\n")
    for path in (home / ".config/matplotlib", other):
        path.mkdir(parents=True, exist_ok=True)
        (path / "matplotlibrc").write_text(RC)
    (home / ".jupyter").mkdir()
    (home / ".jupyter/jupyter_config.py").write_text("raise SystemExit(3)\n")
    for name in ("jadapt", "pandas", "datasets", "matplotlib"):
        (other / f"{name}.py").write_text("raise SystemExit(3)\n")
    (other / "env.sh").write_text("papermill() { exit 3; }\npython() { exit 3; }\n")
    return {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(other / "cache"),
        "JUPYTER_PATH": str(other / "jupyter"),
        "JUPYTER_DATA_DIR": str(other / "jupyter"),
        "JUPYTER_CONFIG_DIR": str(home / ".jupyter"),
        "IPYTHONDIR": str(home / ".ipython"),
        "MPLCONFIGDIR": str(other),
        "MATPLOTLIBRC": str(other / "matplotlibrc"),
        "MPLBACKEND": "module://nosuch",
        "BASH_ENV": str(other / "env.sh"),
        "PYTHONOPTIMIZE": "2",
        "PYTHONHASHSEED": "7",
        "PYTHONSTARTUP": str(startup / "first.py"),
        "PYTHONIOENCODING": "latin-1",
        "OMP_NUM_THREADS": "7",
        "NPY_DISABLE_CPU_FEATURES": "AVX2",
        "GIT_DIR": str(other),
        "SOURCE_DATE_EPOCH": "1",
        "LC_ALL": "tr_TR.UTF-8",
        "LANGUAGE": "ja",
        "TZ": "Asia/Tokyo",
        "JADAPT_ORIGIN": "{}",
        "JADAPT_TENSORBOARD": str(other / "tensorboard"),
    }


def test_variables_home_and_settings_change_no_byte_of_a_figure(edited, hostile, tmp_path):
    clean = draw(edited)
    edited.environment |= hostile
    (edited.path / "matplotlibrc").write_text(RC)
    assert draw(edited) == clean
    assert not (tmp_path / "other/tensorboard").exists()


def test_a_home_that_cannot_be_written_to_fails_nothing(edited):
    clean = draw(edited)
    # Also where the tests run as root, who may write anywhere.
    # What Snakemake itself keeps, before it reads a Snakefile, lies where `make` says.
    edited.environment |= {"HOME": os.devnull, "XDG_CACHE_HOME": str(edited.path / ".cache")}
    assert draw(edited) == clean


def test_another_python_on_the_path_runs_no_job(edited, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python", "papermill"):
        (programs / name).write_text("#!/bin/sh\nexit 3\n")
        (programs / name).chmod(0o755)
    clean = draw(edited)
    # Snakemake is called by its path, as from an environment that was not activated.
    path = edited.environment["PATH"]
    edited.environment["PATH"] = f"{programs}{os.pathsep}{path}"
    assert draw(edited) == clean


def test_broken_and_foreign_notebooks_name_themselves_and_stop_nothing(edited):
    edited.studies = ["config/config.yaml"]
    folder = edited.path / "notebooks"
    (folder / "Untitled.ipynb").write_text("")
    (folder / "mine.ipynb").write_text('{"cells": [], "metadata": {}}')
    before = (folder / "retention.ipynb").read_text(encoding="utf-8")
    (folder / "retention.ipynb").write_text("<<<<<<< HEAD\n" + before, encoding="utf-8")
    options = ["-n", "--config", "results=released"]
    done = edited.run("fig_convergence", options=options)
    for name in ("Untitled", "mine", "retention"):
        assert f"note: notebooks/{name}.ipynb: " in done.stdout
    done = edited.run("fig_retention", options=options, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("error: notebooks/retention.ipynb: not a whole")
    assert "Traceback" not in done.stdout


def test_an_older_snakemake_is_refused_in_one_line(edited):
    (edited.path / "old.py").write_text("import snakemake\nsnakemake.__version__ = '7.32.4'\n")
    command = "import old, sys; from snakemake.cli import main; main(sys.argv[1:])"
    edited.environment["PYTHONPATH"] = str(edited.path)
    done = edited.shell("python", "-c", command, "-n", check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("error: this is Snakemake 7.32.4, of another")
    assert "Traceback" not in done.stdout
