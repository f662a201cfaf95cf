"""Every number of the published paper, and of one with measurements on a GPU, leads to its rows."""

import json
from pathlib import Path

import pytest

import card_example
from jadapt.analysis import printed_tables, tables
from jadapt.analysis.printing import present
from jadapt.config import studies
from jadapt.core.errors import UserError
from jadapt.core.files import read_json
from jadapt.paper.template import Typst, render
from jadapt.release import injections, origins, trace
from trace_example import TEMPLATE, paper_of, same


@pytest.fixture(scope="module")
def published():
    folder = studies.ROOT / "paper/released/mini"
    return paper_of(folder, read_json(folder / "manifest.json")["settings"])


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """Made-up measurements on a GPU, released."""
    return card_example.release(tmp_path_factory.mktemp("card") / "efficiency")


@pytest.fixture(scope="module")
def carded(record):
    folder = studies.ROOT / "paper/released/mini"
    settings = read_json(folder / "manifest.json")["settings"]
    return paper_of(folder, settings, card=record)


def test_following_numbers_changes_no_word_of_the_text(published):
    stubs = {"figure": lambda *_: Typst("[]"), "table": lambda *_: Typst("[]")}
    plain = render(TEMPLATE, published.context | stubs)
    followed = injections.Recorder(TEMPLATE.parent)
    injections.record(TEMPLATE, published.context, lambda _: [], followed)
    assert followed.text == plain


def test_every_number_of_the_published_paper_has_a_chain(published):
    """All numbers of all sections and tables: name, value, file, script, commit and inputs."""
    manifest = published.sources.manifest
    assert len(published.injections) > 1000
    sections = {each.place.rpartition(":")[0] for each in published.injections}
    assert len(sections) > 10
    for each in published.injections:
        assert each.name is not None, each
        number = published.number(each.name)
        assert same(number.value, each.value), each
        # Files: tables of the manifest, by checksum, or what is no table.
        assert number.tables or number.files, each
        for table in number.tables:
            assert len(manifest["tables"][table]["sha256"]) == 64, each
        for file in number.files:
            assert file == "manifest.json" or (studies.ROOT / file).is_file(), each
        # Programs, and the runs with their commits.
        assert all((studies.ROOT / s).is_file() for s in trace.scripts(number, number.tables))
        behind = trace.runs_behind([], number, manifest)
        if set(number.tables) & set(trace.BEHIND):
            lines = trace.chain(manifest, behind, Path("results"))
            # Files of a run, of its checksums and of its commit.
            assert len(lines) == 4 * len(behind) > 0, each
            assert "sha256" in lines[1] and "commit" in lines[3], each
    assert manifest["commits"] and all(manifest["commits"])
    assert len(trace.inputs(manifest)) > 10


def test_numbers_are_computed_again_from_what_they_depend_on(published):
    """One number of every kind: the same value from the tables that the chain holds."""
    kinds = {}
    for each in published.injections:
        parts = each.name.split(".")
        kinds.setdefault((parts[0], parts[1] if parts[0] == "table" else parts[-1]), each.name)
    again = 0
    for name in kinds.values():
        number = published.number(name)
        if number.value_of is not None:
            assert same(number.value_of(number.measured), number.value), name
            again += 1
    assert again > 30


def test_programs_of_tables_are_those_of_the_rules():
    # What is measured by itself is called by hand.
    files = [*(studies.ROOT / "rules").glob("*.smk"), studies.ROOT / "Makefile"]
    rules = "".join(path.read_text() for path in files)
    for table, scripts in trace.SCRIPTS.items():
        for script in scripts:
            assert f"python {script}" in rules, table


@pytest.mark.parametrize("name", [*printed_tables.MADE])
def test_notebooks_make_the_tables_that_are_traced(carded, record, name, tmp_path):
    notebook = json.loads((studies.ROOT / f"notebooks/{name}.ipynb").read_text(encoding="utf-8"))
    needed = notebook["metadata"]["jadapt"]["tables"]
    assert set(needed) == set(origins.OF_TABLE[name])
    code = [c["source"] for c in notebook["cells"] if c["cell_type"] == "code"]
    given = {t: str(studies.ROOT / f"paper/released/mini/{t}.csv") for t in needed}
    given |= {"card": str(record)} if "card" in needed else {}
    # The first cell holds the parameters.
    exec("\n".join("".join(part) for part in code[1:]), given | {"output": str(tmp_path / name)})
    frame = tables.load_table(tmp_path / f"{name}.csv")
    expected = present(carded.table(name)[0])
    assert present(frame).rows == expected.rows


def test_every_number_of_a_card_leads_to_its_rows(carded):
    """Sentences and tables: a name, the same value computed again, and lines of the CSVs."""
    found = [
        each for each in carded.injections
        if "card.typ.j2" in each.place or str(each.name).startswith("table.card_")
    ]  # fmt: skip
    assert len(found) > 400
    measured = 0
    for each in found:
        assert each.name is not None, each
        number = carded.number(each.name)
        assert same(number.value, each.value), each
        assert number.tables or number.files, each
        if each.name.startswith(("card.", "table.card_")) and number.tables:
            assert number.tables == ("card",) and number.runs is None, each
            measured += 1
            # Each takes all rows: numbers beside each other are alike.
            if measured % 10 == 0:
                assert same(number.value_of(number.measured), number.value), each
    assert measured > 400


def test_a_cell_of_a_card_is_a_line_of_its_part(carded, record):
    (part,) = trace.cells(carded.number("table.card_methods.sft.2_2_048.peak_mib"))
    row = part.rows.iloc[0]
    assert (len(part.rows), row["part"], row["label"]) == (1, "methods", "sft")
    line = (record.parent / "methods.csv").read_text().splitlines()[part.lines[0] - 1]
    assert line.startswith("nemo,sft,2,2048,")
    # A ratio has both sides, with their repeats.
    (part,) = trace.cells(carded.number("card.compared.full_fine_tuning.same.speed"))
    assert set(part.rows["part"]) == {"speed"}
    assert set(part.rows["stack"]) == {"nemo", "transformers"}


def test_a_study_without_a_card_says_so(published):
    with pytest.raises(UserError, match="paper/released/efficiency holds nothing yet"):
        published.number("table.card_methods.sft.2_2_048.peak_mib")
