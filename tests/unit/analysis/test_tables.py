"""Reading the measured tables, and writing the printed ones."""

import pandas as pd
import pytest

import plausible_example
import reporting_example as example
from jadapt.analysis import markup, printing, rate_tables, summaries, tables, transfer_tables
from jadapt.core.errors import UserError
from jadapt.core.tables import GRID

READERS = {
    "metrics": tables.read_metrics,
    "efficiency": tables.read_efficiency,
    "curves": tables.read_curves,
    "corpora": tables.read_corpora,
    "grid": tables.read_grid,
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
    printed = printing.present(frame)
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
    last = printing.present(frame).rows[-1]
    assert "react-docs (not reached)" in last
    assert printing.MISSING in last and "0" not in last


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
    lines = markup.latex(printing.present(frame), caption="c", label="l").splitlines()
    rows = [line for line in lines if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.replace(r"\&", "").count("&") for line in rows} == {len(frame.columns) - 1}


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1234.5678, 1, "1,234.6"), (-0.0004, 3, "0.000"), (-1.25, 1, "−1.2"), (float("nan"), 2, "–")],
)
def test_fixed(value, digits, text):
    assert printing.fixed(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(6.4516, "6.45"), (100, "100"), (0.26512, "0.265"), (0, "0"), (12345, "12,345")],
)
def test_significant(value, text):
    assert printing.significant(value) == text


@pytest.mark.parametrize("escape", [markup.escape_latex, markup.escape_typst])
def test_escaping_leaves_japanese_alone(escape):
    assert escape("日本語、カタカナ。") == "日本語、カタカナ。"


def test_a_grid_may_be_empty_and_keeps_variants_as_text(study):
    path = study / "grid.csv"
    found = tables.read_grid(path)
    assert set(found["variant"]) == {"", "2", "8", "32"}
    assert found["selected"].dtype == bool
    path.write_text(",".join(GRID.header) + "\n", encoding="utf-8")
    assert tables.read_grid(path).empty
    assert rate_tables.learning_rates_table(tables.read_grid(path)).empty
    assert rate_tables.variants_table(tables.read_grid(path)).empty


def test_rates_are_laid_out_with_what_was_chosen_and_what_diverged(study):
    frame = rate_tables.learning_rates_table(tables.read_grid(study / "grid.csv"))
    printed = printing.present(frame)
    assert printed.labels == ["Method", "Domain", "5 × 10⁻⁴", "0.001", "0.002"]
    assert printed.rows == [
        ["Full fine-tuning", "everyday", "2.500", "2.250*", "2.500"],
        ["", "english", "2.100", "2.225*", "2.350"],
        ["LoRA", "everyday", "2.490", "2.240*", "div."],
        ["", "english", "2.100", "2.225*", "2.350"],
    ]


def test_ablations_are_a_row_a_value_with_what_they_took(study):
    grid = tables.read_grid(study / "grid.csv")
    printed = printing.present(rate_tables.variants_table(grid))
    assert "per second ↑" not in printed.labels
    assert [row[:3] for row in printed.rows] == [
        ["LoRA", "rank", "2"], ["", "rank", "8"], ["", "rank", "32"],
    ]  # fmt: skip
    chosen = grid[(grid["variant"] != "") & (grid["metric"] == "trainable_parameters")]
    more = [
        chosen.assign(metric="median_tokens_per_second", value=2000.0),
        chosen.assign(metric="peak_memory_mib", value=512.0),
    ]
    # Only one value scales its loss.
    more.append(chosen[chosen["variant"] == "8"].assign(metric="skipped_steps", value=3.0))
    printed = printing.present(rate_tables.variants_table(pd.concat([grid, *more])))
    assert printed.labels[-3:] == ["per second ↑", "peak, MiB ↓", "steps skipped"]
    assert [row[-3:] for row in printed.rows] == [
        ["2,000", "512", "–"], ["2,000", "512", "3"], ["2,000", "512", "–"],
    ]  # fmt: skip


def test_a_rate_that_was_not_tried_is_blank(study):
    grid = tables.read_grid(study / "grid.csv")
    grid = grid[(grid["method"] != "lora") | (grid["learning_rate"] != 0.0005)]
    assert printing.present(rate_tables.learning_rates_table(grid)).rows[2][2] == ""


def test_points_of_the_grid_are_against_the_base_model(study):
    found = rate_tables.grid_points(tables.read_grid(study / "grid.csv"))
    sft = found[found["method"] == "sft"].set_index("learning_rate")
    assert sft["gain"].tolist() == pytest.approx([0.5, 0.75, 0.5])
    assert sft["loss"].tolist() == pytest.approx([0.1, 0.225, 0.35])
    assert sft["selected"].tolist() == [False, True, False]
    assert list(found[found["method"] == "lora"]["learning_rate"]) == [0.0005, 0.001]
    assert rate_tables.diverged_points(tables.read_grid(study / "grid.csv")) == {"lora": [0.002]}


def test_ablations_are_at_the_rate_chosen_for_each_variant(study):
    found = rate_tables.ablation_points(tables.read_grid(study / "grid.csv"))
    assert set(found["learning_rate"]) == {0.001}
    assert found.groupby("variant", sort=False)["gain"].mean().to_dict() == pytest.approx(
        {"2": 0.515, "8": 0.64, "32": 0.765}
    )
    assert found.groupby("variant")["trainable_parameters"].first()["32"] == 3200
    assert sorted(found["seed"].unique()) == [1, 2]


def test_a_grid_without_its_base_model_is_refused(study):
    grid = tables.read_grid(study / "grid.csv")
    with pytest.raises(UserError, match=r"grid\.csv.*base model"):
        rate_tables.grid_points(grid[grid["method"] != "base"])


def test_transfer_is_tested_against_full_fine_tuning(tmp_path):
    plausible_example.write(tmp_path)
    metrics = tables.read_metrics(tmp_path / "metrics.csv")
    frame = transfer_tables.transfer_table(metrics).set_index("method")
    runs = summaries.learning_and_forgetting(metrics)
    gains = runs.pivot(index="seed", columns="method", values="gain")
    assert frame["gain"]["gem"] == pytest.approx(gains["gem"].mean())
    derived = metrics.query("metric == 'backward_transfer' and method == 'gem'")["value"]
    assert frame["backward_transfer"]["gem"] == pytest.approx(derived.mean())
    average = metrics.query("metric == 'average_bits_per_byte' and method == 'gem'")["value"]
    assert frame["average_bits_per_byte"]["gem"] == pytest.approx(average.mean())
    # The reference has no test against itself, and neither has the base model.
    assert frame["gain_p"].isna().sum() == 2 and frame["gain_p"].isna()["sft"]
    # What a method answers that is told the task is shown apart, in the text.
    assert "bits_per_byte_with_task" in set(metrics["metric"])
    assert not [name for name in frame.columns if "task" in name or "identity" in name]


def test_what_is_learned_at_once_is_not_what_is_left_in_the_end(tmp_path):
    plausible_example.write(tmp_path)
    metrics = tables.read_metrics(tmp_path / "metrics.csv")
    frame = transfer_tables.transfer_table(metrics).set_index("method")
    bits = metrics.query("metric == 'bits_per_byte' and evaluated_on == trained_through")
    base = metrics.query("metric == 'bits_per_byte' and method == 'base'")
    before = base.groupby("evaluated_on")["value"].mean()
    own = bits.query("method == 'sft'").groupby("evaluated_on")["value"].mean()
    expected = (before - own).loc[summaries.tasks(metrics)].mean()
    assert frame["learned"]["sft"] == pytest.approx(expected)
    assert frame["learned"]["sft"] > frame["gain"]["sft"]
    assert frame["learned"].isna()["base"]


def test_one_task_has_no_columns_of_transfer(study):
    frame = transfer_tables.transfer_table(tables.read_metrics(study / "metrics.csv"))
    assert not [name for name in frame.columns if "transfer" in name or "identity" in name]
    assert frame["gain"].tolist()[1:] == pytest.approx([1.005, 0.905])


def test_methods_have_their_rates_and_costs(study):
    grid = tables.read_grid(study / "grid.csv")
    efficiency = tables.read_efficiency(study / "efficiency.csv")
    frame = transfer_tables.methods_table(efficiency, grid)
    assert frame["method"].tolist() == ["sft", "lora"]
    assert frame["learning_rate"].tolist() == [0.001, 0.001]
    assert frame["rates_tried"].tolist() == [3, 3]
    assert frame["trainable_parameters"].tolist() == [5000, 2500]
    given = transfer_tables.methods_table(efficiency, grid.head(0))
    printed = printing.present(given)
    assert printed.rows[0][printed.labels.index("chosen")] == printing.MISSING


def test_devices_are_listed_where_they_differ(study):
    efficiency = tables.read_efficiency(study / "efficiency.csv")
    assert "device" not in summaries.efficiency_table(efficiency)
    efficiency.loc[0, "device"] = "gpu"
    assert list(summaries.efficiency_table(efficiency)["device"]) == ["gpu", "cpu", "cpu"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.001, "0.001"),
        (0.0005, "5 × 10⁻⁴"),
        (3e-5, "3 × 10⁻⁵"),
        (9.999e-5, "1 × 10⁻⁴"),
        (float("nan"), "–"),
    ],
)
def test_plain(value, text):
    assert printing.plain(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0312, "0.031"), (1e-5, "<0.001"), (1, "1.000"), (float("nan"), "–")]
)
def test_probability(value, text):
    assert printing.probability(value) == text


def test_latex_writes_powers_and_less_than():
    assert markup.escape_latex("5 × 10⁻⁴") == r"5 $\times$ 10$^{-}$$^{4}$"
