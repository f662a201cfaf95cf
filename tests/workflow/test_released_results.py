"""A newcomer's clone with released results: what is made from them, and what is not run."""

import json
import shutil

import pytest

import card_example
import released_example
from jadapt.config import yaml_files


@pytest.fixture
def released(edited):
    """A fresh clone in which the default study is released; the numbers are made up."""
    config = yaml_files.read_yaml(edited.path / "config/config.yaml")
    models = yaml_files.read_yaml(edited.path / "config/models.yaml")["models"]
    described = {**config, "model": {"name": config["model"], **models[config["model"]]}}
    folder = edited.path / "paper/released/mini"
    shutil.rmtree(folder.parent, ignore_errors=True)
    released_example.write(
        folder, described, methods=list(config["methods"]), tasks=config["sequence"]
    )
    card_example.release(folder.with_name("efficiency"))
    edited.studies = ["config/config.yaml"]
    edited.folder = folder
    return edited


def notebooks(clone):
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["metadata"]["jadapt"]
        for path in (clone.path / "notebooks").glob("*.ipynb")
    }


def test_no_figure_no_table_and_not_the_paper_runs_anything_heavy(released):
    """One dry run of all targets together: its rules are those of every one of them."""
    kinds = {"figure": "fig", "table": "table"}
    # The default study has no fronts.
    targets = [
        f"{kinds[facts['kind']]}_{name}" for name, facts in notebooks(released).items()
        if "front_measures" not in facts["tables"]
    ]  # fmt: skip
    assert len(targets) >= 12
    options = ["--config", "results=released"]
    planned = released.planned(*targets, "all", options=options)
    assert planned.pop("figure") + planned.pop("table") == len(targets)
    assert planned.pop("paper") == 1
    assert set(planned) <= {*targets, "claims", "numbers"}
    # Without the switch, the same clone would train.
    assert "adapt" in released.planned("fig_retention")


def test_the_authors_have_released_the_default_study(edited):
    edited.studies = ["config/config.yaml"]
    planned = edited.planned("all", options=["--config", "results=released"])
    assert set(planned) == {"figure", "table", "claims", "numbers", "paper"}


def test_without_measurements_on_a_gpu_nothing_of_them_is_planned(released):
    """The example's are gone, or some of its parts: what reads them is not there."""
    options = ["--config", "results=released"]
    card = released.path / "paper/released/efficiency"
    every = released.planned("all", options=options)
    shutil.rmtree(card)
    rows = [row for row in card_example.rows() if row["part"] in ("speed", "gains")]
    card_example.release(card, rows)
    some = released.planned("all", options=options)
    shutil.rmtree(card)
    none = released.planned("all", options=options)
    # Those two, and what the example measured on two GPUs.
    assert (every["table"] - some["table"], some["table"] - none["table"]) == (2, 3)
    assert every["figure"] - none["figure"] == every["figure"] - some["figure"] == 1
    done = released.run("fig_card_memory", options=options, check=False)
    assert done.returncode == 1
    message = "fig_card_memory: paper/released/efficiency has no methods.csv, which it reads"
    assert message in done.stdout.splitlines()[-1]


def test_changed_measurements_on_a_gpu_end_with_one_line(released):
    with open(released.path / "paper/released/efficiency/speed.csv", "a") as stream:
        stream.write("x")
    done = released.run("all", options=["--config", "results=released"], check=False)
    assert done.returncode == 1
    (line,) = [text for text in done.stdout.splitlines() if text.startswith("error:")]
    assert "speed.csv: its sha256 is not the one in SHA256SUMS; git checkout" in line


def test_a_table_of_a_gpu_is_made_from_released_measurements(released):
    targets = ("table_card_comparison", "fig_card_memory")
    released.run(*targets, options=["--config", "results=released"])
    table = released.path / "results/mini/tables/card_comparison.csv"
    assert "the same batch" in table.read_text(encoding="utf-8")
    figure = (released.path / "results/mini/figures/card_memory.svg").read_text(encoding="utf-8")
    assert "paper/released/efficiency/SHA256SUMS" in figure


def test_a_figure_is_drawn_from_released_results(released):
    released.run("fig_retention", options=["--config", "results=released"])
    figure = released.path / "results/mini/figures/retention.svg"
    assert "<svg" in figure.read_text(encoding="utf-8")
    assert not (released.path / "results/mini/metrics.csv").exists()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("fig_retentoin", "fig_retentoin: no such figure or table; did you mean 'fig_retention'?"),
        ("table_retention", "did you mean 'fig_retention'?"),
        ("fig_pareto", "fig_pareto: the study has no table 'grid', which it reads"),
    ],
)
def test_a_figure_that_does_not_exist_is_answered_in_one_line(released, target, message):
    manifest = json.loads((released.folder / "manifest.json").read_text(encoding="utf-8"))
    del manifest["tables"]["grid"]
    (released.folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    done = released.run(target, options=["--config", "results=released"], check=False)
    assert done.returncode == 1
    assert message in done.stdout.splitlines()[-1]


def test_released_results_of_another_configuration_are_told_apart(released):
    released.replace("config/config.yaml", "rank: 8", "rank: 16")
    options = ["-n", "--config", "results=released"]
    done = released.run("fig_retention", options=options)
    assert "note: paper/released/mini is of another configuration: " in done.stdout
    assert "methods.lora.rank is 16, released with 8" in done.stdout


def test_an_edited_table_and_a_study_without_release_end_with_one_line(released):
    options = ["--config", "results=released"]
    with open(released.folder / "curves.csv", "a", encoding="utf-8") as stream:
        stream.write("x")
    done = released.run("fig_retention", options=options, check=False)
    assert done.returncode == 1
    (line,) = [text for text in done.stdout.splitlines() if text.startswith("error:")]
    assert "curves.csv: the released table 'curves' was changed" in line
    released.folder.rename(released.folder.with_name("other"))
    done = released.run("fig_retention", options=options, check=False)
    (line,) = [text for text in done.stdout.splitlines() if text.startswith("error:")]
    assert "no released results of study 'mini' (released: other)" in line
    assert not (released.path / "results").exists()
