"""What was measured on one GPU: released whole or not at all, and what the paper says of it."""

import json
import subprocess
from dataclasses import replace

import pytest

import card_example as example
from jadapt.analysis import (
    claims,
    gpu_benchmark,
    gpu_benchmark_findings,
    gpu_benchmark_gains,
    gpu_benchmark_goals,
    gpu_benchmark_tables,
)
from jadapt.analysis.printing import present
from jadapt.config import studies
from jadapt.core.errors import UserError
from jadapt.core.files import load_settings
from jadapt.figures import gpu_memory, style
from jadapt.release import gpu_benchmark as published
from paper_example import measured, text_of

HEADING = "\n= Costs on one GPU"
PARTS = ["checks", "speed", "batches", "gains", "precisions", "methods"]


def table_of(tmp_path, rows=None):
    return gpu_benchmark.read(example.release(tmp_path / "efficiency", rows))


def test_a_benchmark_is_released_with_its_machine_written_once(tmp_path):
    done = example.released(tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "efficiency"
    names = {*(f"{part}.csv" for part in PARTS), "machine.json", "SHA256SUMS"}
    assert {path.name for path in folder.iterdir()} == names
    machine = json.loads((folder / "machine.json").read_text())
    assert (machine["device"], machine["commit"]) == (example.ABOUT["device"], "a" * 40)
    assert machine["versions"]["torch"] == "2.11.0+cu130"
    assert machine["not_measured"] == []
    for part in PARTS:
        text = (folder / f"{part}.csv").read_text()
        assert "a" * 40 not in text and "H100" not in text
    # Columns that nothing here knows are kept, numbers to the last digit.
    table = gpu_benchmark.read(folder / "SHA256SUMS")
    rows = [row for row in example.rows() if row["part"] == "methods"]
    for name in ("reserved_mib", "tokens_per_second"):
        assert list(gpu_benchmark.where(table, "methods")[name]) == [row[name] for row in rows]
    check = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True)
    assert check.returncode == 0


def test_an_earlier_release_is_replaced_as_a_whole(tmp_path):
    example.released(tmp_path)
    speed = [row for row in example.rows() if row["part"] == "speed"]
    done = example.released(tmp_path, speed)
    assert {path.name for path in (tmp_path / "efficiency").iterdir()} == {
        "speed.csv", "machine.json", "SHA256SUMS",
    }  # fmt: skip
    assert "cases were not measured, of checks, batches, gains, precisions, methods" in done.stdout
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_tables_may_be_of_different_commits_and_the_text_names_each(tmp_path):
    rows = [
        {**row, "commit": "b" * 40 if row["part"] == "speed" else row["commit"]}
        for row in example.rows()
    ]
    assert example.released(tmp_path, rows).returncode == 0
    folder = tmp_path / "efficiency"
    assert set(json.loads((folder / "machine.json").read_text())["commit"].split()) == {
        "a" * 40, "b" * 40,
    }  # fmt: skip
    assert "b" * 40 in (folder / "speed.csv").read_text()
    about = gpu_benchmark_findings.context(gpu_benchmark.read(folder / "SHA256SUMS"))
    assert sorted(about["commits"]) == ["a" * 12, "b" * 12] and not about["changed"]
    assert about["gains_commit"] == "a" * 12


MOST = len(example.rows()) - 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            example.edited(example.rows(), device="NVIDIA L4"),
            f"more than one device: NVIDIA H100 80GB HBM3 ({MOST} rows)",
        ),
        (example.edited(example.rows(), commit="b" * 40), "rows of more than one commit in part '"),
        (example.edited(example.rows(), versions="torch=1"), "rows of more than one versions"),
        ([{**row, "shape": "tiny"} for row in example.rows()], "rows of the shape 'tiny'"),
        ([{**row, "commit": "unknown"} for row in example.rows()], "of an unknown commit"),
        ([*example.rows(), example.rows()[7]], "measured twice: speed/"),
        ([], "nothing measured yet"),
        ([{"part": "speed"}], "rows.jsonl:1: key 'case' is missing"),
    ],
    ids=["device", "commit", "versions", "tiny", "unknown", "twice", "empty", "key"],
)
def test_what_is_not_of_one_piece_is_refused_and_nothing_written(tmp_path, rows, message):
    example.check_refused(tmp_path, example.released(tmp_path, rows), message)


def test_a_row_cut_off_at_the_end_is_left_out_and_one_in_the_middle_refused(tmp_path):
    folder = example.write_bench(tmp_path / "bench")
    path = folder / published.ROWS
    whole = path.read_text()
    path.write_text(whole[:-40])
    rows, notes = published.read_rows(folder)
    assert len(rows) == len(example.rows()) - 1
    assert notes == [f"{path}:{len(rows) + 1}: cut off, left out"]
    path.write_text(whole[:50] + "\n" + whole)
    with pytest.raises(UserError, match=r"rows\.jsonl:1: not a row of JSON"):
        published.read_rows(folder)
    with pytest.raises(UserError, match="no such file; measure first"):
        published.read_rows(tmp_path / "elsewhere")


def test_the_table_of_methods_has_the_earlier_batches_and_the_best(tmp_path):
    table = table_of(tmp_path)
    frame = gpu_benchmark_tables.methods_table(table)
    assert list(dict.fromkeys(frame["trained"])) == list(example.METHODS)
    for label, rows in frame.groupby("trained"):
        first, second, last = rows["batch"]
        assert (first, second) == ("2 × 2,048", "4 × 2,048")
        assert last.endswith(", best")
        every = [
            row["tokens_per_second"] for row in example.rows(["speed", "batches", "methods"])
            if row["label"] == label and row["stack"] == "nemo"
        ]  # fmt: skip
        assert rows["tokens_per_second"].max() == pytest.approx(max(every), rel=0.01)
        parts = rows[[f"{part}_mib" for part in gpu_benchmark.PARTS_OF_MEMORY]].sum(axis=1)
        assert list(parts) == pytest.approx(list(rows["peak_mib"]))
    shown = present(frame).rows
    assert shown[0][:4] == ["Full fine-tuning", "494,032,768", "2 × 2,048", "9,858"]
    # Words that the row above has are not repeated.
    assert shown[1][:3] == ["", "", "4 × 2,048"]


def test_what_does_not_fit_says_so(tmp_path):
    rows = example.rows()
    for index, row in enumerate(rows):
        if (row["part"], row["label"], row["rows"]) == ("methods", "gem", 4):
            keys = [key for key in row if key.endswith("_mib") or "second" in key]
            rows[index] = {k: v for k, v in row.items() if k not in keys} | {"full": True}
    table = table_of(tmp_path, rows)
    shown = present(gpu_benchmark_tables.methods_table(table)).rows
    gem = [row for row in shown if row[2].startswith("4 × 2,048")][-1]
    assert (gem[3], gem[8]) == ("out of memory", "–")
    assert "GEM at 4 × 2,048" in gpu_benchmark_findings.context(table)["full"]


def test_the_comparison_divides_medians(tmp_path):
    frame = gpu_benchmark_tables.comparison_table(table_of(tmp_path))
    tuning = frame[frame["trained"] == "sft"].set_index("compared")
    assert tuning["speed_of:ratio"]["the same batch"] == pytest.approx(1 / 0.55)
    # The plain loop has no room for the largest batch.
    assert tuning["batch_of:plain"]["the best of each"] == "32 × 1,024"
    assert tuning["batch_of:here"]["the best of each"] == "128 × 1,024"


def test_gains_and_precisions_are_against_their_first_row(tmp_path):
    table = table_of(tmp_path)
    gains = gpu_benchmark_tables.gains_table(table)
    for trained in ("sft", "lora r16"):
        found = gains[gains["trained"] == trained].set_index("change")["speed_ratio"]
        assert dict(found) == pytest.approx(example.GAIN)
    kinds = gpu_benchmark_tables.precisions_table(table)
    found = kinds[kinds["trained"] == "lora r16"].set_index("precision")
    assert dict(found["speed_ratio"]) == pytest.approx(example.PRECISIONS)
    # Their own losses where they have some, or else those of the checks.
    assert gpu_benchmark_tables.quality(table) == "checks"
    rows = [
        {**row, "last_loss": 2.5} if row["part"] == "precisions" else row
        for row in example.rows()
    ]  # fmt: skip
    table = table_of(tmp_path, rows)
    assert set(gpu_benchmark_tables.precisions_table(table)["training_loss_at_end"]) == {2.5}


def names(ratios):
    return {ratio.label for ratio in ratios}


def test_settings_gain_by_more_than_measurements_of_the_same_differ(tmp_path):
    table = table_of(tmp_path)
    for each in gpu_benchmark_gains.by_method(table):
        assert each["noise"] == pytest.approx(0.004, rel=0.01)
        assert names(each["slower"]) == {"CUDA graphs"} and not each["near"]
    assert "the median of 3 measurements, taken in turn" in text(table)
    # Measured once, as much as the plain loop; here that differs by 5 %.
    once = [row for row in example.rows() if row["part"] != "gains" or not row["repeat"]]
    for row in once:
        if (row["part"], row["stack"], row["repeat"]) == ("speed", "transformers", 2):
            row["tokens_per_second"] *= 1.05 / 1.004
    done = example.released(tmp_path, once, "once")
    assert "not measured" not in done.stdout
    table = gpu_benchmark.read(tmp_path / "once" / "SHA256SUMS")
    for each in gpu_benchmark_gains.by_method(table):
        assert each["noise"] == pytest.approx(0.05)
        assert names(each["near"]) == {"CUDA graphs", "fused projections", "fused optimiser"}
        assert "compiled layers" in names(each["faster"]) and not each["slower"]
    said = text(table)
    assert "a single measurement" in said and "differ by up to 5\u00a0%" in said
    assert "too near to one to tell are fused projections" in said


def slower(rows, factor):
    """Rows in which LoRA's step takes longer."""
    return [
        {**row, "tokens_per_second": row["tokens_per_second"] * factor}
        if row["label"] == "lora r16" and not row["full"] and row["part"] != "checks" else row
        for row in rows
    ]  # fmt: skip


def text(table):
    found = measured(["sft", "lora"], [1, 2], ["everyday"])
    return text_of(replace(found, card=table), ["sft", "lora"])


@pytest.mark.parametrize(
    ("factor", "words", "verdict"),
    [
        (1.0, "trains faster at every batch that was measured with both", "1.27, so it holds"),
        (0.5, "trains faster at no batch that was measured with both", "0.64, so it does not hold"),
    ],
)
def test_the_text_tells_whether_lora_is_faster(tmp_path, factor, words, verdict):
    said = text(table_of(tmp_path, slower(example.rows(), factor)))
    assert words in said
    assert f"at every batch: above 1.0; measured {verdict}" in said


def test_goals_are_judged_by_what_was_measured(tmp_path):
    goals = {
        goal.name: goal for goal in gpu_benchmark_findings.context(table_of(tmp_path))["goals"]
    }
    assert set(goals) == set(gpu_benchmark_goals.GOALS) == set(gpu_benchmark_goals.WORDS)
    assert goals["tuning_same_batch"].holds and goals["low_rank_memory"].holds
    assert not goals["tuning_best_batch"].holds and not goals["utilisation"].holds
    assert goals["loader"].value == pytest.approx(0.0021)


def test_a_study_has_the_section_only_with_measurements(tmp_path):
    assert HEADING in text(table_of(tmp_path))
    assert HEADING not in text(None)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_alone_and_all_but_it_make_a_text(tmp_path, part):
    """What is missing is left out and said; what is there is told."""
    marks = {
        "checks": "comparisons of losses", "speed": "tab-card-comparison",
        "gains": "tab-card-gains", "methods": "tab-card-methods",
        "precisions": "tab-card-precisions",
    }  # fmt: skip
    rows = example.rows()
    alone = text(table_of(tmp_path, [row for row in rows if row["part"] == part]))
    without = text(table_of(tmp_path, [row for row in rows if row["part"] != part]))
    for name, words in marks.items():
        assert (words in alone) == (name == part), name
        assert (words in without) == (name != part), name
    for said in (alone, without):
        assert "*What was not measured.*" in said
    missing = gpu_benchmark_findings.ABSENT_PARTS[part].replace("-", "\\-")
    assert missing in without and missing not in alone
    # Of the section alone: the functions of the layout take no arguments either.
    section = alone.partition(HEADING)[2].partition("\n= ")[0]
    assert section and "()" not in section and " ," not in section


def test_a_part_that_was_cut_short_names_what_is_missing(tmp_path):
    rows = [
        row for row in example.rows()
        if not (row["part"] == "methods" and row["label"] in ("gem", "ewc") and row["rows"] > 2)
    ]  # fmt: skip
    table = table_of(tmp_path, rows)
    assert gpu_benchmark_findings.context(table)["absent"] == [
        "EWC at 4 × 2,048 and 16 × 2,048", "GEM at 4 × 2,048 and 16 × 2,048",
    ]  # fmt: skip
    frame = gpu_benchmark_tables.methods_table(table)
    assert list(frame[frame["trained"] == "gem"]["batch"]) == ["2 × 2,048, best"]
    assert "Missing: EWC at 4 × 2,048" in text(table)
    style.use()
    figure = gpu_memory.memory(table)
    bars = [len(axis.patches) for axis in figure.axes]
    assert bars == [4 * 11, 4 * 9]


def test_the_figure_stacks_the_parts_up_to_the_peak(tmp_path):
    style.use()
    table = table_of(tmp_path)
    axis = gpu_memory.memory(table).axes[0]
    ends = {round(bar.get_y(), 3): bar.get_x() + bar.get_width() for bar in axis.patches}
    rows = gpu_benchmark.where(table, "methods", rows=2)
    assert list(ends.values()) == pytest.approx(list(rows["peak_mib"] / 1024))
    only_speed = table[table["part"] == "speed"]
    with pytest.raises(UserError, match="no method at a batch of the earlier study"):
        gpu_memory.memory(only_speed)


def test_what_the_earlier_study_reports_is_that_of_the_claims():
    earlier = load_settings(str(studies.ROOT / "paper/literature.yaml"))["earlier_study"]
    published = {c.id: c.published for c in claims.read(studies.ROOT / "config/claims.yaml").claims}
    assert earlier["memory_saved"] == published["memory_saved"]["saved"]
    assert earlier["speed_gained"] == published["tokens_per_second"]["more"]


def test_a_changed_file_and_another_format_are_refused(tmp_path):
    record = example.release(tmp_path / "efficiency")
    with open(record.with_name("gains.csv"), "a") as stream:
        stream.write("x")
    with pytest.raises(UserError, match=r"gains\.csv: its sha256 is not the one"):
        gpu_benchmark.read(record)
