"""A newcomer's clone with released results: what is made from them, and what is not run."""

import json
import shutil

import pytest

import released_example
from jadapt import schemas


@pytest.fixture
def released(edited):
    """A fresh clone in which the default study is released; the numbers are made up."""
    config = schemas.read_yaml(edited.path / "config/config.yaml")
    models = schemas.read_yaml(edited.path / "config/models.yaml")["models"]
    described = {**config, "model": {"name": config["model"], **models[config["model"]]}}
    folder = edited.path / "paper/released/mini"
    shutil.rmtree(folder.parent, ignore_errors=True)
    released_example.write(
        folder, described, methods=list(config["methods"]), tasks=config["sequence"]
    )
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
    targets = [f"{kinds[facts['kind']]}_{name}" for name, facts in notebooks(released).items()]
    assert len(targets) >= 12
    options = ["--config", "results=released"]
    planned = released.planned(*targets, "all", options=options)
    assert planned.pop("figure") + planned.pop("table") == len(targets)
    assert planned.pop("paper") == 1
    assert set(planned) <= {*targets, "claims"}
    # Without the switch, the same clone would train.
    assert "adapt" in released.planned(targets[0])


def test_the_authors_have_released_the_default_study(edited):
    edited.studies = ["config/config.yaml"]
    planned = edited.planned("all", options=["--config", "results=released"])
    assert set(planned) == {"figure", "table", "claims", "paper"}


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
