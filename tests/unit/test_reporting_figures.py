"""The figures and the notebooks that draw them."""

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image

import reporting_example as example
from jadapt.errors import UserError
from jadapt.reporting import figures, labels, style

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TABLES = {"metrics", "efficiency", "curves", "corpora"}
STUDY = ["sft", "lora"], [1, 2], ["everyday"]
LARGE = ["sft", "lora", "houlsby", "ewc", "replay"], [1, 2], ["everyday", "cloud", "devdocs"]
SINGLE = ["sft", "lora"], [1], ["everyday"]


@pytest.fixture(autouse=True)
def house_style():
    style.use()
    yield
    style.pyplot.close("all")


@pytest.mark.parametrize("study", [STUDY, LARGE, SINGLE])
def test_figures_draw(study):
    assert len(figures.convergence(example.curves(*study)).axes) == 3
    assert len(figures.forgetting(example.metrics(*study)).axes) == 1
    shown = [axis for axis in figures.scripts(example.metrics(*study)).axes if axis.get_visible()]
    assert len(shown) == len(study[2])


def test_saved_files_repeat_byte_for_byte(tmp_path):
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        figure = figures.forgetting(example.metrics(*STUDY))
        written = style.save(figure, tmp_path / name / "forgetting")
        assert [path.suffix for path in written] == [".pdf", ".svg", ".png"]
        contents.append([path.read_bytes() for path in written])
    assert contents[0] == contents[1]


def test_japanese_labels_have_glyphs(tmp_path, recwarn):
    style.save(figures.scripts(example.metrics(*STUDY)), tmp_path / "scripts")
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]
    assert Image.open(tmp_path / "scripts.png").width > 1000


def test_methods_look_the_same_whoever_else_is_there():
    assert style.looks(["lora"])["lora"] == style.looks(["sft", "lora", "ewc"])["lora"]


def test_looks_differ():
    names = [*labels.METHODS, "lora_r4", "lora_r64", "replay_5"]
    looks = style.looks(names)
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(names)


def test_tables_without_the_metric_are_named():
    metrics = example.metrics(*STUDY)
    with pytest.raises(UserError, match=r"metrics\.csv"):
        figures.scripts(metrics[~metrics["metric"].str.startswith("next_character_accuracy_")])
    curves = example.curves(*STUDY)
    with pytest.raises(UserError, match=r"curves\.csv"):
        figures.convergence(curves[curves["metric"] == "learning_rate"])


def test_reporting_imports_nothing_heavy():
    code = (
        "import sys; from jadapt.reporting import figures, paper, tables, template;"
        "print({'torch', 'transformers', 'nemo', 'lightning'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True
    )
    assert found.stdout.strip() == "set()", found.stderr


def test_there_are_notebooks():
    assert {path.stem for path in NOTEBOOKS} >= {
        "convergence", "forgetting", "scripts", "corpora", "results", "efficiency",
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
    notebook = nbformat.read(path, as_version=4)
    names = {"__name__": "__main__"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= {table: tmp_path / f"{table}.csv" for table in notebook.metadata.jadapt.tables}
            names["output"] = tmp_path / "made" / path.stem
    kinds = {"figure": {".pdf", ".svg", ".png"}, "table": {".csv", ".tex"}}
    made = {file.suffix for file in (tmp_path / "made").iterdir() if file.stat().st_size}
    assert made == kinds[notebook.metadata.jadapt.kind]
