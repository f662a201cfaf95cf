"""Measurements on two GPUs: released beside those on one, and told by the paper."""

import json
from dataclasses import replace

import pytest

import card_example as example
from jadapt.analysis import gpu_benchmark, gpu_benchmark_findings, gpu_benchmark_tables
from jadapt.analysis.printing import present
from paper_example import measured, text_of


def table_of(tmp_path):
    return gpu_benchmark.read(example.release(tmp_path / "efficiency"))


def test_two_gpus_are_one_more_part_and_of_a_commit_of_their_own(tmp_path):
    rows = [row | {"commit": "b" * 40} for row in example.rows_of_two()]
    done = example.released(tmp_path, of_two=rows)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "efficiency"
    assert json.loads((folder / "machine.json").read_text())["commit"].split() == [
        "a" * 40, "b" * 40,
    ]  # fmt: skip
    # Every table says its own, and what all rows of one card share stays written once.
    assert ("a" * 40) in (folder / "speed.csv").read_text()
    assert "H100" not in (folder / "two_gpus.csv").read_text()
    table = gpu_benchmark.read(folder / "SHA256SUMS")
    assert gpu_benchmark_findings.context(table)["two"]["commit"] == "b" * 12
    assert set(table["device"]) == {example.ABOUT["device"]}
    # Nothing of it counts among what one card does.
    without = table[table["part"] != "two_gpus"]
    assert gpu_benchmark.best_batch(table, "sft") == gpu_benchmark.best_batch(without, "sft")


def test_a_release_without_them_says_that_they_are_gone(tmp_path):
    example.released(tmp_path, of_two=example.rows_of_two())
    done = example.released(tmp_path)
    assert "note: two_gpus.csv of the earlier release is gone; --two-gpus FOLDER" in done.stdout
    table = gpu_benchmark.read(tmp_path / "efficiency" / "SHA256SUMS")
    assert gpu_benchmark_findings.context(table)["two"] is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            example.edited(example.rows_of_two(), device="2 x NVIDIA L4"),
            "rows of 2 x NVIDIA L4, beside those of one NVIDIA H100",
        ),
        (example.edited(example.rows_of_two(), commit="b" * 40), "rows of more than one commit: "),
        (
            example.edited(example.rows_of_two(), versions="torch=1"),
            "versions that one card was not measured with: torch=1",
        ),
        ([row | {"shape": "tiny"} for row in example.rows_of_two()], "rows of the shape 'tiny'"),
        ([row | {"commit": "unknown"} for row in example.rows_of_two()], "of an unknown commit"),
        (
            [row for row in example.rows_of_two() if row["case"] != "one/sft"],
            "nothing of one GPU to compare with: ddp/sft at 64 x 1024",
        ),
        ([*example.rows_of_two(), example.rows_of_two()[2]], "measured twice: ddp/sft at 64 x"),
        ([], "nothing measured yet; make bench-two-gpus TWO_GPUS="),
        ([{"case": "one/sft"}], "rows.jsonl:1: key 'layout' is missing"),
    ],
    ids=["device", "commit", "versions", "tiny", "unknown", "one", "twice", "empty", "key"],
)
def test_what_does_not_belong_beside_one_card_is_refused(tmp_path, rows, message):
    example.check_refused(tmp_path, example.released(tmp_path, of_two=rows), message)


def test_the_table_sets_two_beside_one_of_the_same_batch(tmp_path):
    frame = gpu_benchmark_tables.two_gpus_table(table_of(tmp_path))
    assert list(frame["layout"]) == ["one GPU", "data parallel", "FSDP2"] * 4
    for _, rows in frame.groupby(["trained", "batch"]):
        assert list(rows["speed_ratio"]) == pytest.approx(list(example.SPEEDUPS.values()))
        assert list(rows["slowest_speed"] / rows["varied_speed"]) == pytest.approx([0.8] * 3)
        assert list(rows["loss_within"])[1:] == pytest.approx([1e-4, 0])
    shown = present(frame).rows
    assert shown[0] == [
        "Full fine-tuning", "64 × 1,024", "one GPU", "300,000", "240,000", "1.00", "38,400", "–",
    ]  # fmt: skip
    assert shown[1][-3:] == ["1.95", "38,400", "1 × 10⁻⁴"]


def test_the_text_tells_the_least_gain_and_the_slowest_window(tmp_path):
    table = table_of(tmp_path)
    found = measured(["sft", "lora"], [1, 2], ["everyday"])
    said = text_of(replace(found, card=table), ["sft", "lora"])
    said = said.replace("\\-", "-")
    assert "sets 2 GPUs of one machine beside one" in said
    assert "go from 1.85 (full fine-tuning, FSDP2, 64 × 1,024) to 1.95" in said
    assert "of single windows the slowest gives 1.48 (full fine-tuning, FSDP2" in said
    assert "SmolLM2-135M" in said and "by at most 1 × 10⁻⁴ of their value" in said
    assert "in every case: at least 1.8; measured 1.85, so it holds" in said
    without = text_of(replace(found, card=table[table["part"] != "two_gpus"]), ["sft", "lora"])
    assert "Several GPUs" not in without and "in every case" not in without
