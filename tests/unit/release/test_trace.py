"""The way back from a number or a figure of the paper to runs and texts."""

import subprocess
import sys

import pytest

import released_example
import reporting_example as example
from jadapt.config import studies
from jadapt.core.errors import UserError
from jadapt.release import trace
from trace_example import paper_of, same

TASKS = ["everyday", "cloud"]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The example, released as the default study so that the scripts find it."""
    folder = tmp_path_factory.mktemp("released")
    settings = {**example.SETTINGS, "sequence": TASKS}
    return folder, released_example.write(folder, settings, tasks=TASKS)


@pytest.fixture(scope="module")
def paper(released):
    return paper_of(released[0], {**example.SETTINGS, "sequence": TASKS})


def test_a_number_of_the_base_model_is_one_row(paper):
    number = paper.number("base_home_bits")
    (part,) = trace.cells(number)
    row = part.rows.iloc[0]
    assert (part.table, len(part.rows)) == ("metrics", 1)
    assert (row["method"], row["evaluated_on"], row["metric"]) == (
        "base", "english", "bits_per_byte",
    )  # fmt: skip
    assert row["value"] == number.value.mean


def test_what_a_run_learned_is_its_last_stage_against_the_base_model(released, paper):
    """By the definition: bits per byte on every task, of the base model and after the last one."""
    folder, _ = released
    (part,) = trace.cells(paper.number("lora.gain"))
    assert part.table == "metrics"
    keys = part.rows[["method", "seed", "trained_through", "evaluated_on", "metric"]]
    expected = {("base", 1, "english", task, "bits_per_byte") for task in TASKS}
    expected |= {("lora", s, TASKS[-1], task, "bits_per_byte") for s in (1, 2) for task in TASKS}
    assert set(keys.itertuples(index=False, name=None)) == expected
    # The lines are those of the file.
    lines = (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
    for line, method in zip(part.lines, part.rows["method"], strict=True):
        assert lines[line - 1].startswith(f"example,{method},")


def test_speed_and_size_come_from_efficiency_alone(paper):
    for name in ("lora.speed", "lora.trainable"):
        (part,) = trace.cells(paper.number(name))
        assert part.table == "efficiency"
        assert set(part.rows["method"]) == {"lora"}


def test_a_cell_of_a_table_is_its_rows(paper):
    (part,) = trace.cells(paper.number("table.results.lora.bits_per_byte.everyday"))
    keys = part.rows[["method", "seed", "trained_through", "evaluated_on", "metric"]]
    assert set(keys.itertuples(index=False, name=None)) == {
        ("lora", seed, TASKS[-1], "everyday", "bits_per_byte") for seed in (1, 2)
    }
    number = paper.number("table.learning_rates.sft.everyday.validation_at_rate.0.0005")
    (part,) = trace.cells(number)
    rows = part.rows[part.rows["evaluated_on"] == "everyday"]
    assert list(rows["value"]) == [number.value[0]]
    # A count moves with nothing that is measured.
    (part,) = trace.cells(paper.number("segmentation.words"))
    assert (part.table, list(part.rows["n"])) == ("segmentation", [1234])


def test_a_difference_has_both_sides_and_a_corrected_p_has_every_run(released, paper):
    _, manifest = released
    (part,) = trace.cells(paper.number("comparisons.lora.gain"))
    assert set(part.rows["method"]) == {"sft", "lora"} | (
        {"base"} & set(part.rows["method"])
    )  # The base model cancels, up to rounding.
    number = paper.number("comparisons.lora.gain_p")
    assert (trace.cells(number), number.runs) == ([], None)
    behind = {run for run, _, _ in trace.runs_behind([], number, manifest)}
    assert behind == {run["run"] for run in manifest["runs"]}


def test_a_claim_leads_to_the_runs_of_its_expression(paper):
    number = paper.number("table.claims.memory_order.here")
    assert (number.runs, number.tables) == (("lora", "sft"), ("efficiency",))
    assert "cost('lora', 'peak_memory_mib')" in number.note
    assert number.files == ("config/claims.yaml",)


def test_longer_ways_lead_to_the_same_number(paper):
    for name in ("methods.lora.gain", "comparisons.lora.method.gain", "finite.lora.gain"):
        assert paper.number(name).name == "lora.gain"
    leader = paper.number("leaders.most_learned.0.gain")
    assert leader.name == "sft.gain"
    assert paper.number("setting.training.steps").value == 20
    assert paper.number("tasks.length").value == 2


def test_what_is_printed_finds_every_number_that_is_printed_so(paper):
    gain = paper.number("lora.gain").value.mean
    found = {each.name for each in paper.printed_as(f"{gain:.3f}")}
    assert {"lora.gain", "table.transfer.lora.gain"} <= found
    # A minus sign may be typed.
    loss = next(each for each in paper.injections if each.text.startswith("−"))
    typed = loss.text.split("\u00a0")[0].split(" ")[0].replace("−", "-")
    assert loss.name in {each.name for each in paper.printed_as(typed)}
    with pytest.raises(UserError, match=r"number '0\.12345': the paper prints no such number"):
        paper.printed_as("0.12345")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("base_home_bit", "did you mean 'base_home_bits'?"),
        ("lora.gian", "did you mean 'lora.gain'?"),
        ("table.results.lora.retension.english", "'table.results.lora.retention.english'?"),
        ("table.result.lora.gain", "did you mean 'results'?"),
        ("xyz", "for example"),
        # Words and choices are no numbers.
        ("lora.label", "number 'lora.label'"),
        ("leaders", "number 'leaders'"),
    ],
)
def test_an_unknown_number_names_the_nearest(paper, name, hint):
    with pytest.raises(UserError, match=f"number '{name}': ") as error:
        paper.number(name)
    assert hint in str(error.value)


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


def test_a_study_of_one_seed_that_searched_nothing_has_names_as_well(tmp_path):
    released_example.write(tmp_path, example.SETTINGS, seeds=(1,))
    for name in ("grid", "segmentation", "tokenizers"):
        (tmp_path / f"{name}.csv").unlink()
    small = paper_of(tmp_path, example.SETTINGS)
    assert len(small.injections) > 100
    for each in small.injections:
        assert same(small.number(each.name).value, each.value), each
    with pytest.raises(UserError, match=r"this study has no grid\.csv"):
        small.number("table.methods.lora.seeds")


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


def test_a_number_is_traced_by_name_and_by_what_is_printed(released, tmp_path):
    done = run_script(released, tmp_path, "--number", "leaders.most_learned.0.gain")
    assert done.returncode == 0, done.stderr
    _, manifest = released
    assert done.stdout.startswith("number sft.gain = ")
    assert "scripts/evaluate.py: sha256" in done.stdout
    assert "paper/sections/" in done.stdout and "c" * 40 in done.stdout
    assert manifest["tokenizer"] in done.stdout
    words = next(line for line in done.stdout.splitlines() if line.startswith("number"))
    value = f"{float(words.split()[3]):.3f}"
    done = run_script(released, tmp_path, "--number", value)
    assert done.returncode == 0, done.stderr
    assert "numbers are printed so" in done.stdout and "\nsft.gain = " in done.stdout
