"""A study whose fronts alone are released: what is planned from them, and what is refused."""

import pytest

import fronts_example

STUDY = """\
extends: config.yaml
study: growing
corpora:
  domains: [english, everyday, cloud, devdocs, literature, react, wikipedia_en]
evaluation:
  domains: [english, everyday, cloud, devdocs, wikipedia_en]
fronts: {seeds: [1, 2, 3], retention: [wikipedia_en]}
"""
RELEASED = ["--config", "results=released"]


@pytest.fixture
def growing(edited):
    """A clone in which two fronts of a study are released, and nothing is left of its results."""
    (edited.path / "config/growing.yaml").write_text(STUDY, encoding="utf-8")
    edited.studies = ["config/growing.yaml"]
    results = edited.path / "results/growing"
    fronts_example.write(results, ("sft", "lora"))
    edited.shell("python", "scripts/release.py", "--fronts", "--configfile", "config/growing.yaml")
    for path in sorted(results.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    return edited


def test_the_paper_of_fronts_alone_trains_nothing_and_judges_no_claims(growing):
    planned = growing.planned("all", options=RELEASED)
    assert set(planned) == {"figure", "table", "front_measures", "numbers", "paper"}
    # Those of the fronts, and no figure of what was not measured.
    assert planned["figure"] == planned["table"] == 2


def test_without_released_results_the_same_clone_would_make_every_front(growing):
    planned = growing.planned("fronts")
    assert planned["front"] > 2


def test_a_figure_of_the_final_runs_and_the_page_are_refused_in_one_line(growing):
    for target, words in (
        ("fig_retention", "the study has no table 'metrics'"),
        ("html", "has the fronts of the study alone"),
    ):
        done = growing.run(target, options=RELEASED, check=False)
        assert done.returncode == 1
        assert words in done.stdout.splitlines()[-1]


def test_a_released_loss_that_was_changed_stops_everything(growing):
    with open(growing.path / "paper/released/growing/fronts/lora.parquet", "ab") as stream:
        stream.write(b"x")
    done = growing.run("all", options=RELEASED, check=False)
    assert done.returncode == 1
    assert "the released table 'fronts/lora' was changed" in done.stdout
