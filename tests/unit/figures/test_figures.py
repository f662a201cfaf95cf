"""The figures and the notebooks that draw them."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image

import card_example
import fronts_example
import plausible_example
import reporting_example as example
from jadapt.analysis import (
    adapted_models,
    claim_verdicts,
    claims,
    labels,
    rate_tables,
    tables,
    transfer_tables,
)
from jadapt.core import declarations
from jadapt.core.errors import UserError
from jadapt.core.files import sha256_file
from jadapt.figures import drawing, heatmaps, metadata, pareto, style
from jadapt.paper.context import drawn_width

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CLAIMS = ROOT / "config" / "claims.yaml"
TABLES = {
    "metrics", "efficiency", "curves", "corpora", "grid", "segmentation", "tokenizers", "claims",
    "card", "front_measures",
}  # fmt: skip
RUNS = [
    "base", "sft", "lora", "dora", "houlsby", "prefix", "den", "replay", "l2", "ewc", "online_ewc",
    "gem", "agem", "lora_replay", "lora_ewc", "joint",
]  # fmt: skip
STUDY = ["sft", "lora"], [1, 2], ["everyday"]
LARGE = ["sft", "lora", "houlsby", "ewc", "replay"], [1, 2], ["everyday", "cloud", "devdocs"]
SINGLE = ["sft", "lora"], [1], ["everyday"]


@pytest.fixture(autouse=True)
def house_style():
    style.use()
    yield
    style.pyplot.close("all")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study as large as the default one."""
    folder = plausible_example.write(tmp_path_factory.mktemp("plausible"))
    return {
        "metrics": tables.read_metrics(folder / "metrics.csv"),
        "curves": tables.read_curves(folder / "curves.csv"),
        "grid": tables.read_grid(folder / "grid.csv"),
    }


@pytest.mark.parametrize("study", [STUDY, LARGE])
def test_no_letter_is_too_small_to_read(study, tmp_path):
    drawn = {
        "convergence": drawing.convergence(example.curves(*study)),
        "forgetting": drawing.forgetting(example.metrics(*study)),
        "scripts": drawing.scripts(example.metrics(*study)),
        "retention": drawing.retention(example.metrics(*study)),
    }
    for name, figure in drawn.items():
        texts = [t for t in figure.findobj(style.pyplot.Text) if t.get_text() and t.get_visible()]
        assert texts and min(text.get_fontsize() for text in texts) >= 8, name
        # Printed as wide as it is drawn: what is wider than the text would be made smaller.
        path = next(p for p in style.save(figure, tmp_path / name) if p.suffix == ".svg")
        assert drawn_width(path) <= 164 / 25.4 * 72, name


@pytest.mark.parametrize("name", [*RUNS, "houlsby_gem", "lora_r64"])
def test_lines_are_seen_on_white(name):
    assert style.contrast_on_white(style.looks([name])[name].colour) >= 3


def visible(figure):
    return [axis for axis in figure.axes if axis.get_visible()]


@pytest.mark.parametrize("study", [STUDY, LARGE, SINGLE])
def test_figures_draw(study):
    assert len(drawing.convergence(example.curves(*study)).axes) == 3
    assert len(drawing.forgetting(example.metrics(*study)).axes) == 1
    assert len(drawing.scripts(example.metrics(*study)).axes) == len(example.SCRIPTS)
    assert len(drawing.script_bits(example.metrics(*study)).axes) == len(example.SCRIPTS)
    # One panel a method, and the scale.
    assert len(visible(drawing.retention(example.metrics(*study)))) == len(study[0]) + 1


def words(figure):
    """What a reader can read: titles, ticks, notes and legends."""
    return {text.get_text() for text in figure.findobj(style.pyplot.Text) if text.get_text()}


@pytest.mark.parametrize(
    "name", ["convergence", "forgetting", "scripts", "script_bits", "retention", "pareto"]
)
def test_many_methods_are_all_named_and_fit_the_page(whole, name):
    table = {"convergence": "curves", "pareto": "grid"}.get(name, "metrics")
    figure = getattr(drawing, name)(whole[table])
    assert {labels.method_label(method) for method in plausible_example.METHODS} <= words(figure)
    box = figure.get_tightbbox()
    assert box.width < style.WIDTH + 0.3
    assert box.height < 8.5


def test_names_of_panels_do_not_run_into_each_other(whole):
    figure = drawing.retention(whole["metrics"])
    figure.draw_without_rendering()
    boxes = [axis.title.get_window_extent() for axis in visible(figure) if axis.get_title()]
    assert len(boxes) == len(plausible_example.METHODS)
    assert not any(one.overlaps(two) for one in boxes for two in boxes if one is not two)


def test_retention_shows_the_matrix(whole):
    changes = transfer_tables.stage_changes(whole["metrics"]).set_index(
        ["method", "trained_through", "evaluated_on"]
    )["change"]
    bits = whole["metrics"].query("metric == 'bits_per_byte' and method == 'sft'")
    cell = bits.query("trained_through == 'cloud' and evaluated_on == 'everyday'")["value"]
    expected = cell.mean() - plausible_example.BEFORE["everyday"]
    assert changes["sft", "cloud", "everyday"] == pytest.approx(expected)
    assert (changes.xs("english", level="trained_through") == 0).all()
    figure = drawing.retention(whole["metrics"])
    panel = next(axis for axis in figure.axes if axis.get_title() == "Full fine-tuning")
    assert heatmaps._number(expected) in {text.get_text() for text in panel.texts}
    assert len(panel.texts) == 16


def test_a_stage_that_was_not_measured_is_a_dash():
    metrics = example.metrics(*LARGE)
    early = (metrics["method"] == "ewc") & (metrics["trained_through"] != "devdocs")
    figure = drawing.retention(metrics[~early])
    panel = next(axis for axis in figure.axes if axis.get_title() == "EWC")
    assert [text.get_text() for text in panel.texts].count("–") == 8


def test_pareto_marks_the_chosen_rate_and_names_what_diverged(whole):
    points = rate_tables.grid_points(whole["grid"])
    assert points["selected"].sum() == len(plausible_example.METHODS)
    figure = drawing.pareto(whole["grid"])
    (note,) = [text.get_text() for text in figure.texts if "Diverged" in text.get_text()]
    assert "Diverged (3): Full fine-tuning 0.004; Houlsby adapters 0.02; DEN 0.004." in note


def test_the_front_is_of_rivals_only(whole):
    """A joint run that is best on both axes must not make the steps."""
    grid = whole["grid"].copy()
    joint = (grid["method"] == "joint") & (grid["metric"] == "bits_per_byte")
    before = front_line(drawing.pareto(grid))
    grid.loc[joint, "value"] = 0.5
    after = front_line(drawing.pareto(grid))
    # Only its ends move, with the frame.
    assert before[1:-1].tolist() == after[1:-1].tolist()


def front_line(figure):
    (line,) = [line for line in figure.axes[0].lines if line.get_color() == pareto.FRONT]
    return line.get_xydata()


def test_ablations_have_a_column_each(whole):
    figure = drawing.ablations(whole["grid"])
    assert len(figure.axes) == 6
    assert {"LoRA: rank", "LoRA: initial values of A", "Replay: share of old text"} <= words(figure)
    assert "2\n18,944" in words(figure)


def test_a_study_without_a_search_says_so():
    grid = example.grid(*STUDY[::2])
    empty = grid[grid["method"] == "base"].astype({"selected": bool})
    assert "no learning rates" in "".join(words(drawing.pareto(empty)))
    assert "no setting" in "".join(words(drawing.ablations(empty)))
    assert "no learning rates" in "".join(words(drawing.pareto(empty.head(0))))


def test_saved_files_repeat_byte_for_byte(tmp_path):
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        figure = drawing.forgetting(example.metrics(*STUDY))
        written = style.save(figure, tmp_path / name / "forgetting")
        assert [path.suffix for path in written] == [".pdf", ".svg", ".png"]
        contents.append([path.read_bytes() for path in written])
    assert contents[0] == contents[1]


def test_figure_files_say_what_they_are_made_from(tmp_path, monkeypatch):
    table, notebook = tmp_path / "metrics (1).csv", tmp_path / "a.ipynb"
    example.metrics(*STUDY).to_csv(table)
    notebook.write_text("{}", encoding="utf-8")
    given = {"study": "s", "name": "a", "results": "released", "notebook": str(notebook)}
    given["tables"] = {"metrics": str(table)}
    monkeypatch.setenv(metadata.VARIABLE, json.dumps(given))
    written = style.save(drawing.forgetting(example.metrics(*STUDY)), tmp_path / "a")
    for path in written:
        found = metadata.read(path)
        assert found["tables"]["metrics"] == {"path": str(table), "sha256": sha256_file(table)}
        assert found["notebook"]["sha256"] == sha256_file(notebook)
        assert found["results"] == "released"
    monkeypatch.delenv(metadata.VARIABLE)
    for path in style.save(drawing.forgetting(example.metrics(*STUDY)), tmp_path / "b"):
        with pytest.raises(UserError, match="no figure that says where it comes from"):
            metadata.read(path)


def test_japanese_labels_have_glyphs(tmp_path, recwarn):
    style.save(drawing.scripts(example.metrics(*STUDY)), tmp_path / "scripts")
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]
    assert Image.open(tmp_path / "scripts.png").width > 1000


def test_methods_look_the_same_whoever_else_is_there():
    assert style.looks(["lora"])["lora"] == style.looks(["sft", "lora", "ewc"])["lora"]


def test_looks_differ():
    names = [*RUNS, "houlsby_replay", "houlsby_ewc", "lora_gem", "replay_ewc", "lora_replay_ewc"]
    names += [f"lora_r{rank}" for rank in range(20)]
    looks = style.looks(names)
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(names)


def test_looks_of_a_panel_differ_without_colour():
    """Methods that share a panel keep apart in a grey print."""
    for names in labels.families(RUNS).values():
        looks = style.looks(names).values()
        assert len({look.marker for look in looks}) == len(names)
        assert len({str(look.dashes) for look in looks}) == len(names)


@pytest.mark.parametrize(
    ("name", "label", "family"),
    [
        ("l2", "L2 to the previous weights", "regularisation"),
        ("lora_gem", "LoRA + GEM", "memory"),
        ("houlsby_online_ewc", "Houlsby adapters + online EWC", "regularisation"),
        ("lora_r64", "LoRA r64", "efficient"),
        ("replay_5", "Replay 5", "memory"),
        ("my_run", "my run", "other"),
    ],
)
def test_a_run_is_named_by_its_parts(name, label, family):
    assert labels.method_label(name) == label
    assert labels.family(name) == family


def test_the_families_are_those_that_classes_may_declare():
    assert tuple(labels.FAMILIES) == declarations.FAMILIES
    families = labels.families(RUNS)
    assert sorted(name for names in families.values() for name in names) == sorted(RUNS)
    assert labels.OTHER not in families


def test_runs_stand_in_the_order_of_what_they_consist_of():
    assert labels.in_order(["b_run", "lora_r4", "a_run", *reversed(RUNS)]) == [
        *RUNS, "a_run", "b_run", "lora_r4",
    ]  # fmt: skip
    assert labels.in_order(["joint", "lora_ewc", "houlsby_gem", "agem"]) == [
        "agem", "lora_ewc", "houlsby_gem", "joint",
    ]  # fmt: skip


def test_a_composition_looks_like_its_parts():
    look, method, strategy = map(style.look_of, ("houlsby_gem", "houlsby", "gem"))
    assert (look.marker, look.dashes) == (method.marker, method.dashes)
    assert look.colour not in (method.colour, strategy.colour)
    assert style.looks(["houlsby_gem"])["houlsby_gem"] == look
    assert style.looks(["houlsby_gem", "lora_gem", "gem"])["houlsby_gem"] == look


def test_a_look_that_another_has_is_not_used_twice(monkeypatch):
    monkeypatch.setattr(labels.declared()["gem"], "look", style.look_of("agem"))
    found = style.looks(["gem", "agem"])
    assert found["gem"] != found["agem"]
    with pytest.raises(UserError, match="more than a figure can tell apart"):
        style.looks([f"run{number}" for number in range(80)])


def test_tables_without_the_metric_are_named():
    metrics = example.metrics(*STUDY)
    with pytest.raises(UserError, match=r"metrics\.csv"):
        drawing.scripts(metrics[~metrics["metric"].str.startswith("next_character_accuracy_")])
    curves = example.curves(*STUDY)
    with pytest.raises(UserError, match=r"curves\.csv"):
        drawing.convergence(curves[curves["metric"] == "learning_rate"])


def test_reporting_imports_nothing_heavy():
    code = (
        "import sys; from jadapt.analysis import tables; from jadapt.figures import drawing;"
        "from jadapt.paper import context, template;"
        "print({'torch', 'transformers', 'nemo', 'lightning'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True
    )
    assert found.stdout.strip() == "set()", found.stderr


def test_there_are_notebooks():
    assert {path.stem for path in NOTEBOOKS} >= {
        "convergence", "forgetting", "scripts", "corpora", "results", "efficiency",
        "retention", "pareto", "ablations", "transfer", "methods", "learning_rates",
        "variants",
    }  # fmt: skip


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_ready_for_papermill(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info.name == "python"
    facts = notebook.metadata.jadapt
    assert facts.kind in ("figure", "table")
    assert set(facts.tables) <= TABLES
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    (parameters,) = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    names = {statement.targets[0].id for statement in ast.parse(parameters.source).body}
    assert names == {*facts.tables, "output"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_has_a_caption_for_the_report(path):
    caption = nbformat.read(path, as_version=4).metadata.jadapt.caption
    assert len(caption.split()) > 5
    assert caption.endswith(".")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_makes_its_files(path, tmp_path):
    example.write(tmp_path, *LARGE)
    made = [example.metrics(*LARGE), example.efficiency(*LARGE), example.curves(*LARGE)]
    study = adapted_models.Tables(*made, example.corpora(LARGE[2]), None)
    claim_verdicts.judge(claims.read(CLAIMS), study).to_csv(tmp_path / "claims.csv", index=False)
    notebook = nbformat.read(path, as_version=4)
    places = {table: tmp_path / f"{table}.csv" for table in notebook.metadata.jadapt.tables}
    if "front_measures" in places:
        fronts_example.measured(tmp_path)
    if "card" in places:
        # Of one GPU there is a folder of tables, named by the record of its files.
        places["card"] = card_example.release(tmp_path / "card")
    names = {"__name__": "__main__"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= places
            names["output"] = tmp_path / "made" / path.stem
    kinds = {"figure": {".pdf", ".svg", ".png"}, "table": {".csv", ".tex"}}
    made = {file.suffix for file in (tmp_path / "made").iterdir() if file.stat().st_size}
    assert made == kinds[notebook.metadata.jadapt.kind]
