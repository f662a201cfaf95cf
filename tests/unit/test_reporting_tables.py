"""Reading the measured tables, and writing the printed ones."""

import pandas as pd
import pytest

import reporting_example as example
from jadapt.errors import UserError
from jadapt.reporting import present, summaries, tables

READERS = {
    "metrics": tables.read_metrics,
    "efficiency": tables.read_efficiency,
    "curves": tables.read_curves,
    "corpora": tables.read_corpora,
}


@pytest.fixture
def study(tmp_path):
    return example.write(tmp_path)


@pytest.mark.parametrize("name", READERS)
def test_reads_what_the_workflow_writes(study, name):
    assert len(READERS[name](study / f"{name}.csv"))


@pytest.mark.parametrize("name", READERS)
def test_a_missing_column_is_named_with_its_file(study, name):
    path = study / f"{name}.csv"
    frame = pd.read_csv(path)
    for column in frame.columns:
        frame.drop(columns=column).to_csv(path, index=False)
        with pytest.raises(UserError, match=rf"{name}\.csv.*'{column}'"):
            READERS[name](path)


def test_a_word_among_numbers_is_named_with_its_line(study):
    path = study / "metrics.csv"
    frame = pd.read_csv(path, dtype=str)
    frame.loc[2, "value"] = "high"
    frame.to_csv(path, index=False)
    with pytest.raises(UserError, match=r"metrics\.csv:4.*'value'.*'high'"):
        tables.read_metrics(path)


@pytest.mark.parametrize("content", [None, "", "study,method\n"])
def test_absent_and_empty_tables(tmp_path, content):
    path = tmp_path / "metrics.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"metrics\.csv"):
        tables.read_metrics(path)


def test_text_such_as_nan_or_none_stays_text(study):
    path = study / "corpora.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.loc[0, "source"] = "None"
    frame.to_csv(path, index=False)
    assert tables.read_corpora(path)["source"].iloc[0] == "None"


def test_results_have_one_row_a_method(study):
    frame = summaries.results_table(
        tables.read_metrics(study / "metrics.csv"), tables.read_efficiency(study / "efficiency.csv")
    )
    assert list(frame["method"]) == ["base", "sft", "lora"]
    assert frame["bits_per_byte:everyday"].iloc[2] == pytest.approx(2.095)
    assert frame["seeds"].tolist() == [1, 2, 2]
    printed = present.present(frame)
    base, sft, _ = printed.rows
    assert "±" not in "".join(base)
    assert sft[printed.labels.index("everyday")].startswith("1.995 ± ")


def test_results_take_methods_and_tasks_from_the_tables(tmp_path):
    methods, tasks = ["sft", "lora", "houlsby", "ewc", "lora_r64"], ["everyday", "cloud", "devdocs"]
    example.write(tmp_path, methods, (1, 2), tasks)
    frame = summaries.results_table(
        tables.read_metrics(tmp_path / "metrics.csv"),
        tables.read_efficiency(tmp_path / "efficiency.csv"),
    )
    assert list(frame["method"]) == ["base", *methods]
    assert {f"bits_per_byte:{task}" for task in tasks} < set(frame.columns)
    assert "next_character_accuracy:mean of tasks" in frame.columns


def test_domains_out_of_reach_say_so(study):
    frame = summaries.corpora_table(tables.read_corpora(study / "corpora.csv"))
    last = present.present(frame).rows[-1]
    assert "react-docs (not reached)" in last
    assert present.MISSING in last and "0" not in last


def test_script_shares_are_of_the_row(study):
    frame = summaries.corpora_table(tables.read_corpora(study / "corpora.csv"))
    shares = frame.filter(like="script_share:").iloc[0]
    assert shares["script_share:hiragana"] == 50
    assert shares.sum() == pytest.approx(100)


def test_saved_tables_are_exact_in_csv_and_escaped_in_latex(tmp_path):
    frame = pd.DataFrame(
        {"method": ["a_b"], "bits_per_byte:x": [1 / 3], "bits_per_byte:x:ci95": [0.0625]}
    )
    written = tables.save_table(frame, tmp_path / "t", caption="50 % & more", label="tab:t")
    assert [path.name for path in written] == ["t.csv", "t.tex"]
    assert tables.load_table(tmp_path / "t.csv")["bits_per_byte:x"].iloc[0] == 1 / 3
    tex = (tmp_path / "t.tex").read_text()
    assert r"\caption{50 \% \& more}" in tex
    assert r"0.333 $\pm$ 0.062" in tex
    for rule in ("toprule", "midrule", "bottomrule"):
        assert rf"\{rule}" in tex
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


def test_every_latex_row_has_every_column(study):
    frame = summaries.corpora_table(tables.read_corpora(study / "corpora.csv"))
    lines = present.latex(present.present(frame), caption="c", label="l").splitlines()
    rows = [line for line in lines if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.replace(r"\&", "").count("&") for line in rows} == {len(frame.columns) - 1}


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1234.5678, 1, "1,234.6"), (-0.0004, 3, "0.000"), (-1.25, 1, "−1.2"), (float("nan"), 2, "–")],
)
def test_fixed(value, digits, text):
    assert present.fixed(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(6.4516, "6.45"), (100, "100"), (0.26512, "0.265"), (0, "0"), (12345, "12,345")],
)
def test_significant(value, text):
    assert present.significant(value) == text


@pytest.mark.parametrize("escape", [present.escape_latex, present.escape_typst])
def test_escaping_leaves_japanese_alone(escape):
    assert escape("日本語、カタカナ。") == "日本語、カタカナ。"
