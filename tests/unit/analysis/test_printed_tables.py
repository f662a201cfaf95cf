"""Printed tables: what names their numbers makes the same tables as their notebooks."""

import json

import pytest

import card_example
from jadapt.analysis import printed_tables, rate_tables, tables
from jadapt.analysis.adapted_models import read_tables
from jadapt.analysis.printing import present
from jadapt.config import studies
from jadapt.core import released
from jadapt.core.files import read_json

RELEASED = studies.ROOT / "paper/released/mini"


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """The released tables, and made-up measurements on a GPU."""
    record = card_example.release(tmp_path_factory.mktemp("card") / "efficiency")
    # A release has the tables of its day; a study without downstream tasks has none of them.
    there = read_json(RELEASED / released.MANIFEST)["tables"]
    return {name: RELEASED / f"{name}.csv" for name in tables.READERS if name in there} | {
        "card": record
    }


@pytest.fixture(scope="module")
def measured(paths):
    return read_tables(paths)


@pytest.mark.parametrize("name", [*printed_tables.MADE])
def test_notebooks_make_the_tables_that_are_named(paths, measured, name, tmp_path):
    notebook = json.loads((studies.ROOT / f"notebooks/{name}.ipynb").read_text(encoding="utf-8"))
    needed = notebook["metadata"]["jadapt"]["tables"]
    assert set(needed) == set(printed_tables.needed(name))
    code = [c["source"] for c in notebook["cells"] if c["cell_type"] == "code"]
    given = {table: str(paths[table]) for table in needed}
    # The first cell holds the parameters.
    exec("\n".join("".join(part) for part in code[1:]), given | {"output": str(tmp_path / name)})
    frame = tables.load_table(tmp_path / f"{name}.csv")
    assert present(frame).rows == present(printed_tables.make(name, measured)).rows


def test_a_study_that_varies_nothing_has_a_table_of_variants(measured, tmp_path):
    """A file of one byte stopped the page of such a study."""
    grid = measured.grid[measured.grid["ablation"] == ""]
    tables.save_table(rate_tables.variants_table(grid), tmp_path / "variants", caption="None.")
    found = tables.load_table(tmp_path / "variants.csv")
    assert found.empty and list(found.columns) == ["method", "setting", "variant"]
    assert present(found).rows == []
