"""The way back from a number or a figure of the paper to runs and texts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import card_example
import released_example
import reporting_example as example
from jadapt import studies
from jadapt.errors import UserError
from jadapt.files import load_settings, read_json
from jadapt.publishing import injections, numbers, origins, trace
from jadapt.reporting import claims, printed, tables
from jadapt.reporting.present import present
from jadapt.reporting.runs import READERS, read_tables
from jadapt.reporting.template import Typst, render

TEMPLATE = studies.ROOT / "paper/paper.typ.j2"
TASKS = ["everyday", "cloud"]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The example, released as the default study so that the scripts find it."""
    folder = tmp_path_factory.mktemp("released")
    settings = {**example.SETTINGS, "sequence": TASKS}
    return folder, released_example.write(folder, settings, tasks=TASKS)


def paper_of(folder, settings, **more):
    """The numbers of the paper that is made from released tables."""
    paths = {name: folder / f"{name}.csv" for name in READERS} | more
    found = read_tables({name: path for name, path in paths.items() if path.exists()})
    return numbers.Paper(
        origins.Sources(
            found, settings, load_settings("paper/literature.yaml"),
            claims.read("config/claims.yaml"), ["same_model", "gpu"],
            read_json(folder / "manifest.json"), TEMPLATE, "example",
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def paper(released):
    return paper_of(released[0], {**example.SETTINGS, "sequence": TASKS})


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


def same(first, second) -> bool:
    """Equal, where what was not measured equals itself."""
    return repr(first) == repr(second) or first == second


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


@pytest.mark.parametrize("name", [*printed.MADE])
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
