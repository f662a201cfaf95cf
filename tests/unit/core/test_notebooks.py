"""A broken or foreign notebook names itself, and stops no other."""

import json
import shutil

import pytest

from jadapt.config import studies
from jadapt.core import notebooks
from jadapt.core.errors import UserError

FACTS = {"kind": "figure", "caption": "x", "tables": ["metrics"]}


def notebook(code="x = 1", **changes):
    cells = [{"cell_type": "code", "source": [code]}]
    return {"cells": cells, "metadata": {"jadapt": FACTS | changes}}


BROKEN = {
    "empty": "",
    "cut": json.dumps(notebook())[:-9],
    "merge marks": "<<<<<<< HEAD\n" + json.dumps(notebook()),
    "a list": "[]",
    "a number": "1",
    "nothing": "null",
    "a table that is none": json.dumps(notebook(tables=["metric"])),
    "no words": json.dumps(notebook(alt=" ")),
    "no cells": '{"metadata": {}}',
    "no metadata": '{"cells": []}',
    "foreign": '{"cells": [], "metadata": {"kernelspec": {}}}',
    "metadata of a wrong kind": '{"cells": [], "metadata": {"jadapt": "x"}}',
    "metadata is a list": '{"cells": [], "metadata": []}',
    "cells of a wrong kind": '{"cells": [1], "metadata": {"jadapt": {}}}',
    "no kind": json.dumps(notebook(kind=None)),
    "another kind": json.dumps(notebook(kind="picture")),
    "no caption": json.dumps(notebook(caption=None)),
    "tables of a wrong kind": json.dumps(notebook(tables="metrics")),
    "tables with a number": json.dumps(notebook(tables=[1])),
    "tables with a list": json.dumps(notebook(tables=[[]])),
    "parts of a wrong kind": json.dumps(notebook(parts={})),
    "magics": json.dumps(notebook("%matplotlib inline")),
    "a shell command": json.dumps(notebook("!ls")),
    "half a line": json.dumps(notebook("x = (")),
    "nested": "[" * 100_000,
    "cp932": "図".encode("cp932"),
    "UTF-16": json.dumps(notebook()).encode("utf-16"),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "good.ipynb").write_text(json.dumps(notebook()))
    return tmp_path


def left_out(folder, capsys):
    """Read the folder; the good one is found. Return the line on the other."""
    assert notebooks.declared(folder, ["metrics"]) == {"good": FACTS}
    told = capsys.readouterr().err.removesuffix("; left out\n")
    assert notebooks.declared(folder, ["metrics"], notes=False) == {"good": FACTS}
    assert capsys.readouterr().err == ""
    return told


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_with_one_is_said_and_the_others_are_read(folder, capsys, content):
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / "bad.ipynb").write_bytes(raw)
    line = left_out(folder, capsys)
    assert line.startswith(f"note: {folder}/bad.ipynb: ")
    assert len(line) < len(str(folder)) + 250
    assert "\n" not in line


@pytest.mark.parametrize(
    "name", ["Untitled", "Untitled 1", "{x}", "図", "a.b", "a|b", "it's", "-a", ".hidden"]
)
def test_a_name_that_no_rule_can_have_is_refused(folder, capsys, name):
    (folder / f"{name}.ipynb").write_text(json.dumps(notebook()))
    assert "rename it" in left_out(folder, capsys)


def test_a_folder_and_a_dead_link_are_none(folder, capsys):
    (folder / "a.ipynb").mkdir()
    assert "Is a directory" in left_out(folder, capsys)
    shutil.rmtree(folder / "a.ipynb")
    (folder / "b.ipynb").symlink_to("nowhere")
    assert "No such file" in left_out(folder, capsys)


def test_those_of_the_project_are_whole():
    for path in (studies.ROOT / "notebooks").glob("*.ipynb"):
        assert notebooks.facts(path)["caption"]
    with pytest.raises(UserError, match=r"nosuch\.ipynb: No such file"):
        notebooks.facts(studies.ROOT / "notebooks" / "nosuch.ipynb")


def test_every_figure_of_the_project_says_in_words_what_it_shows():
    figures = {
        name: facts
        for name, facts in notebooks.declared(studies.ROOT / "notebooks").items()
        if facts["kind"] == "figure"
    }
    assert figures
    for name, facts in figures.items():
        assert len(facts["alt"]) > 40 and facts["alt"] != facts["caption"], name
