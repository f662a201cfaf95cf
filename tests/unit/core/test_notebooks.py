"""Notebooks: one that declares nothing is left out with a line, and stops nothing else."""

import json

import pytest

from jadapt.core import notebooks

GOOD = {"kind": "figure", "tables": ["metrics"], "caption": "One."}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a notebook"),
        ("<<<<<<< HEAD\n{}\n", "not a notebook"),
        ('{"metadata": {}}', "no 'jadapt'"),
        ("[]", "no 'jadapt'"),
        (json.dumps({"metadata": {"jadapt": {**GOOD, "kind": "figur"}}}), "kind is 'figur'"),
        (json.dumps({"metadata": {"jadapt": {"kind": "table"}}}), "lacks 'tables'"),
        (json.dumps({"metadata": {"jadapt": {**GOOD, "tables": ["metric"]}}}), "reads 'metric'"),
    ],
)
def test_one_notebook_does_not_stop_the_others(tmp_path, capsys, text, words):
    (tmp_path / "good.ipynb").write_text(json.dumps({"metadata": {"jadapt": GOOD}}))
    (tmp_path / "Untitled.ipynb").write_text(text)
    assert notebooks.declared(tmp_path, ["metrics"]) == {"good": GOOD}
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "Untitled.ipynb: " in told and words in told
