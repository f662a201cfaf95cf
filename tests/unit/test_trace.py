"""The way back from a number or a figure of the paper to runs and texts."""

import subprocess
import sys

import pytest

import released_example
import reporting_example as example
from jadapt import studies
from jadapt.errors import UserError
from jadapt.publishing import trace
from jadapt.reporting import tables
from jadapt.reporting.runs import Tables

TASKS = ["everyday", "cloud"]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The example, released as the default study so that the scripts find it."""
    folder = tmp_path_factory.mktemp("released")
    settings = {**example.SETTINGS, "sequence": TASKS}
    return folder, released_example.write(folder, settings, tasks=TASKS)


@pytest.fixture(scope="module")
def found(released):
    folder, _ = released
    return Tables(
        tables.read_metrics(folder / "metrics.csv"),
        tables.read_efficiency(folder / "efficiency.csv"),
        tables.read_curves(folder / "curves.csv"),
        tables.read_corpora(folder / "corpora.csv"),
        tables.read_grid(folder / "grid.csv"),
    )


def test_a_number_of_the_base_model_is_one_row(found):
    number = trace.number("base_home_bits", found, example.SETTINGS)
    (part,) = trace.cells(number)
    row = part.rows.iloc[0]
    assert (part.table, len(part.rows)) == ("metrics", 1)
    assert (row["method"], row["evaluated_on"], row["metric"]) == (
        "base", "english", "bits_per_byte",
    )  # fmt: skip
    assert row["value"] == number.value.mean


def test_what_a_run_learned_is_its_last_stage_against_the_base_model(released, found):
    """By the definition: bits per byte on every task, of the base model and after the last one."""
    folder, _ = released
    (part,) = trace.cells(trace.number("lora.gain", found, example.SETTINGS))
    assert part.table == "metrics"
    keys = part.rows[["method", "seed", "trained_through", "evaluated_on", "metric"]]
    expected = {("base", 1, "english", task, "bits_per_byte") for task in TASKS}
    expected |= {("lora", s, TASKS[-1], task, "bits_per_byte") for s in (1, 2) for task in TASKS}
    assert set(keys.itertuples(index=False, name=None)) == expected
    # The lines are those of the file.
    lines = (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
    for line, method in zip(part.lines, part.rows["method"], strict=True):
        assert lines[line - 1].startswith(f"example,{method},")


def test_speed_and_size_come_from_efficiency_alone(found):
    for name in ("lora.speed", "lora.trainable"):
        (part,) = trace.cells(trace.number(name, found, example.SETTINGS))
        assert part.table == "efficiency"
        assert set(part.rows["method"]) == {"lora"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("base_home_bit", "did you mean 'base_home_bits'?"),
        ("lora.gian", "did you mean 'lora.gain'?"),
        ("xyz", "for example"),
        # Words and choices are no numbers.
        ("lora.label", "not in the paper"),
        ("leaders", "not in the paper"),
    ],
)
def test_an_unknown_number_names_the_nearest(found, name, hint):
    with pytest.raises(UserError, match=f"number '{name}': not in the paper") as error:
        trace.number(name, found, example.SETTINGS)
    assert hint in str(error.value)


def test_places_are_those_of_injected_values(tmp_path):
    path = tmp_path / "a.typ.j2"
    path.write_text("gain\n<< method.gain | fixed >>\n<% if\n x.gain > 0 %>\n<< again >>\n")
    assert trace.places(".gain", [path]) == [f"{path}:2", f"{path}:3"]


def test_the_chain_ends_at_commit_and_checksums(released, tmp_path):
    _, manifest = released
    run = manifest["runs"][1]
    lines = trace.chain(manifest, [(run["run"], run["seed"], "metrics")], tmp_path)
    text = "\n".join(lines)
    assert f"evaluation/{run['run']}/seed{run['seed']}.csv (not on this machine)" in text
    assert run["evaluation_sha256"] in text and run["commit"] in text and run["run_sha256"] in text
    text = "\n".join(trace.inputs(manifest))
    for sha256 in (
        manifest["tokenizer"],
        manifest["tokens"]["english/train"]["tokens_sha256"],
        manifest["corpora"]["everyday"]["splits"]["test"],
        manifest["corpora"]["everyday"]["sources"]["everyday-text"]["files"][0]["sha256"],
    ):
        assert sha256 in text


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
