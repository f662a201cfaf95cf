"""The way back from a number or a figure of the paper to runs and texts."""

import csv
import os
import subprocess
import sys

import pytest

import released_example
import reporting_example as example
from jadapt.analysis import numbers
from jadapt.analysis.numbers import read_rows
from jadapt.config import studies
from jadapt.core.tables import CLAIMS, GPU_BENCHMARK, MEASURED
from jadapt.paper import values
from jadapt.release import trace

TASKS = ["everyday", "cloud"]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The example, released as the default study so that the scripts find it."""
    folder = tmp_path_factory.mktemp("released")
    settings = {**example.SETTINGS, "sequence": TASKS}
    return folder, released_example.write(folder, settings, tasks=TASKS)


@pytest.fixture(scope="module")
def known(released):
    return values.of_release(*released)


@pytest.fixture(scope="module")
def results(released, known, tmp_path_factory):
    """Results of this machine that have the numbers."""
    folder = tmp_path_factory.mktemp("results")
    path = folder / "numbers.csv"
    collected = numbers.Numbers()
    collected._found = dict(known)
    collected.write(path)
    assert numbers.read(path).keys() == known.keys()
    return folder


def rows_of(number, folder):
    return [found for part in read_rows(number.rows) for found in trace.found_rows(part, folder)]


def test_a_number_of_the_base_model_is_one_row(released, known):
    number = known["base.home_bits"]
    ((_, _, row),) = rows_of(number, released[0])
    assert (row["method"], row["evaluated_on"], row["metric"]) == (
        "base", "english", "bits_per_byte",
    )  # fmt: skip
    assert float(row["value"]) == number.value


def test_what_a_run_learned_is_its_last_stage_against_the_base_model(released, known):
    """By the definition: bits per byte on every task, of the base model and after the last one."""
    found = rows_of(known["lora.gain"], released[0])
    keys = ("method", "seed", "trained_through", "evaluated_on")
    expected = {("base", "1", "english", task) for task in TASKS}
    expected |= {("lora", s, TASKS[-1], task) for s in ("1", "2") for task in TASKS}
    assert {tuple(row[key] for key in keys) for _, _, row in found} == expected
    # The lines are those of the file.
    lines = (released[0] / "metrics.csv").read_text(encoding="utf-8").splitlines()
    for _, line, row in found:
        assert next(csv.reader([lines[line - 1]])) == list(row.values())
    # And the number is what its definition makes of them.
    values_of = {tuple(row[key] for key in keys): float(row["value"]) for _, _, row in found}
    base = sum(v for key, v in values_of.items() if key[0] == "base") / len(TASKS)
    own = [v for key, v in values_of.items() if key[0] == "lora"]
    assert known["lora.gain"].value == pytest.approx(base - sum(own) / len(own))


def test_a_cell_of_a_table_is_its_rows(released, known):
    number = known["table.results.lora.bits_per_byte.everyday"]
    found = [float(row["value"]) for _, _, row in rows_of(number, released[0])]
    assert len(found) == 2 and number.value == pytest.approx(sum(found) / 2)


def test_every_number_leads_to_rows_or_to_a_file(released, known):
    assert len(known) > 300
    tables = {*MEASURED, CLAIMS.name, GPU_BENCHMARK.name}
    empty = []
    for number in known.values():
        assert number.printed and number.table, number
        if read_rows(number.rows):
            assert {part.table for part in read_rows(number.rows)} <= tables, number
            if number.value and "claims" not in number.table:
                empty += [] if rows_of(number, released[0]) else [number.name]
        elif number.table != "manifest.json":
            assert (studies.ROOT / number.table).is_file(), number
        assert all((studies.ROOT / script).is_file() for script in trace.scripts(number))
    assert empty == []


def test_programs_of_tables_are_those_of_the_rules():
    # What is measured by itself is called by hand.
    files = [*(studies.ROOT / "rules").glob("*.smk"), studies.ROOT / "Makefile"]
    rules = "".join(path.read_text() for path in files)
    for table in (*MEASURED.values(), CLAIMS, GPU_BENCHMARK):
        for script in table.programs:
            assert f"python {script}" in rules, table.name


def test_what_is_printed_finds_every_number_that_is_printed_so(released, results):
    text = numbers.read(results / "numbers.csv")["lora.gain"].printed
    done = run_script(released, results, "--number", text.split("\u00a0")[0])
    assert done.returncode == 0, done.stderr
    assert "numbers are printed so" in done.stdout and "\nlora.gain = " in done.stdout


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("base.home_bit", "did you mean 'base.home_bits'?"),
        ("lora.gian", "did you mean 'lora.gain'?"),
        ("0.12345", "no such number"),
    ],
)
def test_an_unknown_number_names_the_nearest(released, results, name, hint):
    done = run_script(released, results, "--number", name)
    assert done.returncode == 1 and hint in done.stderr
    assert done.stderr.startswith(f"error: number '{name}': ") and done.stderr.count("\n") == 1


def test_a_look_up_takes_less_than_two_seconds_of_processor(released, results):
    before = os.times()
    assert run_script(released, results, "--number", "lora.gain").returncode == 0
    after = os.times()
    spent = after.children_user + after.children_system
    assert spent - before.children_user - before.children_system < 2


def run_script(released, tmp_path, *words):
    folder, _ = released
    command = [sys.executable, "scripts/trace.py", "--results", str(tmp_path), *words]
    return subprocess.run(
        [*command, "--released", str(folder)], cwd=studies.ROOT, capture_output=True, text=True
    )


def test_a_figure_leads_to_every_run_of_its_table(released, tmp_path):
    done = run_script(released, tmp_path, "--figure", "retention")
    assert done.returncode == 0, done.stderr
    _, manifest = released
    assert "notebooks/retention.ipynb: sha256" in done.stdout
    assert manifest["tables"]["metrics"]["sha256"] in done.stdout
    for run in manifest["runs"]:
        assert run["evaluation_sha256"] in done.stdout
    assert manifest["tables"]["curves"]["sha256"] not in done.stdout


def test_an_unknown_figure_is_one_line(released, tmp_path):
    done = run_script(released, tmp_path, "--figure", "retenton")
    assert done.returncode == 1
    assert done.stderr == "error: figure 'retenton': unknown; did you mean 'retention'?\n"


def test_a_number_leads_to_programs_runs_and_texts(released, results):
    done = run_script(released, results, "--number", "lora.gain")
    assert done.returncode == 0, done.stderr
    _, manifest = released
    assert done.stdout.startswith("number lora.gain = ")
    assert "scripts/evaluate.py: sha256" in done.stdout and "c" * 40 in done.stdout
    assert manifest["tokenizer"] in done.stdout
    run = next(run for run in manifest["runs"] if run["run"] == "lora")
    assert run["evaluation_sha256"] in done.stdout
