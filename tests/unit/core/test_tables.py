"""Declared tables: written and read by one declaration, faults in one line."""

import pytest

from jadapt.core.errors import UserError
from jadapt.core.tables import GRID, METRICS

ROW = ("study", "lora", 1, "everyday", "english", "bits_per_byte", "nan", "bit/byte", 3)


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "metrics.csv"
    METRICS.write(path, [ROW, dict(zip(METRICS.header, ROW, strict=True))])
    assert path.read_bytes().startswith(",".join(METRICS.header).encode() + b"\nstudy,lora,1,")
    found = METRICS.read(path)
    assert len(found) == 2 and found["seed"].dtype == int and found["value"].isna().all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("metric,", ""), "column 'metric' is missing, which the table"),
        (lambda text: text.replace("unit", "units"), "column 'unit' is missing"),
        (lambda text: text.replace("\n", ",x\n"), "column 'x' is unknown to the table 'metrics'"),
        (lambda text: text.replace("nan", "much"), "'value' holds 'much', not a number"),
    ],
)
def test_a_table_of_other_columns_or_types_is_refused(tmp_path, change, words):
    path = tmp_path / "metrics.csv"
    METRICS.write(path, [ROW])
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError) as error:
        METRICS.read(path)
    assert words in str(error.value) and str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (ROW[:-1], "a row of 8 cells, where the table 'metrics' has 9 columns"),
        ((*ROW[:6], "much", *ROW[7:]), "column 'value' of the table 'metrics' gets 'much'"),
        ((*ROW[:2], None, *ROW[3:]), "column 'seed'"),
        ({**dict(zip(METRICS.header, ROW, strict=True)), "vlaue": 1}, "did you mean 'value'"),
    ],
)
def test_a_writer_of_other_columns_or_types_leaves_no_file(tmp_path, row, words):
    with pytest.raises(UserError, match=words):
        METRICS.write(tmp_path / "metrics.csv", [row])
    assert list(tmp_path.iterdir()) == []


def test_a_grid_may_have_no_rows_and_other_tables_may_not(tmp_path):
    GRID.write(tmp_path / "grid.csv", [])
    assert GRID.read(tmp_path / "grid.csv").empty
    METRICS.write(tmp_path / "metrics.csv", [])
    with pytest.raises(UserError, match="no rows"):
        METRICS.read(tmp_path / "metrics.csv")
