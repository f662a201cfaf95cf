"""The statements on data, code and cost follow the manifest, for every kind of study."""

import copy
from pathlib import Path

import pytest

import released_example
from jadapt.analysis.findings import Findings
from jadapt.analysis.labels import join_words
from jadapt.analysis.numbers import Numbers
from jadapt.analysis.statements import statements
from jadapt.paper import values
from jadapt.paper.template import render, speaking

SECTION = Path(__file__).resolve().parents[3] / "paper/sections/statements.typ.j2"


@pytest.fixture
def manifest(tmp_path):
    return released_example.write(tmp_path / "example")


def text(manifest):
    said = statements(manifest)
    numbers = Numbers()
    values.add_statements(numbers, said)
    context = {"statement": said, "join": join_words, **speaking(numbers.by_name(), Findings())}
    return " ".join(render(SECTION, context).replace("\u00a0", " ").replace("\\", "").split())


def test_packages_and_downloads_are_counted_once(manifest):
    found = text(manifest)
    assert (
        "2 packages of the Python Package Index (english-text 1.0 and everyday-text 1.0)" in found
    )
    # Both read one file of five megabytes.
    assert "5 MB of downloads" in found
    assert "Out of reach" not in found and "files of public repositories" not in found


def test_other_kinds_of_sources_are_named(manifest):
    every = manifest["corpora"]["everyday"]
    english = manifest["corpora"]["english"]
    english["sources"]["mine"] = {"kind": "local", "licence": "CC0", "bytes": 0, "files": []}
    english["sources"]["aozora"] = {"kind": "url", "licence": "CC0", "bytes": 10**7, "pins": "a"}
    every["available"] = False
    found = text(manifest)
    assert "1 packages" not in found or "(english-text 1.0)" in found
    assert "files of public repositories, each pinned by commit and checksum (aozora)" in found
    assert "files of the authors' own (mine)" in found
    assert "15 MB" in found
    assert "Out of reach when it was made, and therefore left out: everyday" in found


def test_code_is_named_by_commit_where_there_is_one(manifest):
    runs = len(manifest["runs"])
    assert f'All {runs} runs were trained by commit #raw("{"c" * 12}")' in text(manifest)
    other = copy.deepcopy(manifest)
    other["commits"].append("e" * 40 + "+changes")
    assert f'commits #raw("{"c" * 12}"), #raw("{"e" * 12}+changes")' in text(other)
    other["commits"] = [None]
    assert "outside of a git repository" in text(other)


def test_packages_are_named_where_they_are_not_those_of_the_lock_file(manifest):
    assert "with the packages of the lock file" in text(manifest)
    assert "torch" not in text(manifest)
    manifest["locks"] = [None]
    manifest["versions"] = [{"python": "3.12.3", "torch": "2.11.0"}]
    assert ", with python 3.12.3 and torch 2.11.0. The code" in text(manifest)
    assert "lock file" not in text(manifest)


def test_cost_is_that_of_the_jobs(manifest):
    found = text(manifest)
    assert "12 jobs, which together ran for 0.200 hours" in found
    assert "and no GPU: 97 % of the time of the jobs for training the runs, the rest" in found
    manifest["compute"] |= {"gpu_hours": 3.5, "seconds": 7200.0}
    manifest["compute"]["stages"]["search"] = {"seconds": 720.0}
    found = text(manifest)
    assert "and 3.50 GPU hours" in found
    assert "10 % for choosing learning rates" in found
