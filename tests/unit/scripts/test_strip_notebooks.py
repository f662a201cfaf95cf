"""Notebooks are kept without outputs."""

import subprocess
import sys

import nbformat
import pytest

from jadapt.core.paths import ROOT

SCRIPT = ROOT / "scripts/strip_notebooks.py"


def strip(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def executed(tmp_path):
    cell = nbformat.v4.new_code_cell("1 + 1", execution_count=3)
    cell.outputs = [nbformat.v4.new_output("stream", text="2")]
    path = tmp_path / "executed.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path


def test_outputs_are_taken_out_once(executed):
    before = executed.read_bytes()
    assert strip("--check", executed).returncode == 1
    assert executed.read_bytes() == before
    assert strip(executed).returncode == 1
    (cell,) = nbformat.read(executed, as_version=4).cells
    assert cell.source == "1 + 1" and cell.outputs == [] and cell.execution_count is None
    assert strip(executed).returncode == 0


def test_the_notebooks_of_the_project_have_none():
    done = strip("--check", *sorted((ROOT / "notebooks").glob("*.ipynb")))
    assert done.returncode == 0, done.stdout


def test_a_file_that_is_no_notebook_ends_in_one_line(tmp_path):
    path = tmp_path / "broken.ipynb"
    path.write_text("<<<<<<< HEAD\n")
    done = strip(path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "broken.ipynb: not a notebook" in done.stderr
