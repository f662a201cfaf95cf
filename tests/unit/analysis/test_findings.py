"""Findings: each holds where it should, and its opposite is said where it does not."""

import dataclasses

import pandas as pd
import pytest

from jadapt.analysis import findings
from jadapt.analysis.numbers import Numbers
from jadapt.core.errors import UserError
from jadapt.core.tables import BASELINES
from paper_example import measured

LARGE = ["sft", "lora"], [1, 2], ["everyday", "cloud", "devdocs"]


@pytest.fixture
def study():
    return measured(*LARGE)


def said(finding):
    collected = Numbers()
    finding.add_to(collected)
    return finding.said(collected.by_name().printed)


def with_bits(study, method, through, on, value):
    metrics = study.metrics.copy()
    rows = (metrics["method"] == method) & (metrics["evaluated_on"] == on)
    rows &= (metrics["trained_through"] == through) & (metrics["metric"] == "bits_per_byte")
    assert rows.any()
    metrics.loc[rows, "value"] = value
    return dataclasses.replace(study, metrics=metrics)


def better_everywhere(study):
    for method in ("sft", "lora"):
        for through, on in (("everyday", "cloud"), ("cloud", "devdocs")):
            study = with_bits(study, method, through, on, 0.5)
    return study


def test_one_domain_that_gets_worse_is_no_help_however_good_the_average(study):
    helped = better_everywhere(study)
    found = findings.earlier_domains_help(helped)
    assert found.value is True and said(found).startswith("In all 4 cases")
    worse = findings.earlier_domains_help(with_bits(helped, "lora", "everyday", "cloud", 99.0))
    assert worse.value is False
    assert "is not always easier" in said(worse) and "in 1 of 4 cases" in said(worse)


def test_a_study_of_one_task_has_no_transfer_to_speak_of():
    assert findings.earlier_domains_help(measured(["sft"], [1], ["everyday"])) is None


def baselines(study, ngram):
    """Return the study with an n-gram of so many bits per byte on every task."""
    tasks = ["everyday", "cloud", "devdocs"]
    rows = [
        ("example", method, 0, "devdocs", task, "bits_per_byte", value, "bit/byte", 1000)
        for task in tasks
        for method, value in (("ngram", ngram), ("unigram", 9.0), ("ngram_own", 0.1))
    ]
    return dataclasses.replace(study, baselines=pd.DataFrame(rows, columns=BASELINES.header))


def test_models_that_lose_to_counts_of_letters_are_told_so(study):
    """Runs of the example end at 2.0 and 2.1 bits per byte on average, a seed less or more."""
    assert findings.models_beat_ngram(study) is None
    lost = findings.models_beat_ngram(baselines(study, 1.5))
    assert lost.value is False and "ranks no methods" in said(lost) and "1.500" in said(lost)
    part = findings.models_beat_ngram(baselines(study, 2.04))
    assert part.value is True and "1 of 2 runs do no better" in said(part)
    won = findings.models_beat_ngram(baselines(study, 2.5))
    assert won.value is True and said(won).startswith("Every run predicts")


def test_joint_training_does_not_beat_the_ngram_for_the_others():
    study = measured(["sft", "joint"], [1], ["everyday", "cloud", "devdocs"])
    study = with_bits(study, "joint", "devdocs", "everyday", 0.1)
    assert findings.models_beat_ngram(baselines(study, 1.5)).value is False


def test_a_domain_that_got_worse_is_not_hidden_by_the_average(study):
    found = findings.no_task_got_worse(study)
    assert found.value is True and said(found).startswith("Every run ends better")
    worse = findings.no_task_got_worse(with_bits(study, "lora", "devdocs", "cloud", 3.25))
    assert worse.value is False
    assert "in 1 of 6 cases" in said(worse) and "at worst by 0.250" in said(worse)


def test_one_run_with_a_grid_is_not_every_run(study):
    assert findings.every_run_searched(study).value is True
    grid = study.grid
    part = dataclasses.replace(study, grid=grid[grid["method"] != "sft"])
    found = findings.every_run_searched(part)
    assert found.value is False and said(found) == "Of 2 runs, 1 has a grid of rates"


def test_a_segmenter_is_at_its_best_with_the_class_of_the_highest_score(study):
    table = study.segmentation.copy()
    chosen = (table["segmenter"] == "bilstm_crf") & table["metric"].str.endswith("f1")
    # Scripts were looked at, digits were not.
    table["group"] = table["group"].replace("kanji", "digit")
    table.loc[chosen & (table["group"] == "digit"), "value"] = 1.0
    found = findings.segmenter_is_best_with(dataclasses.replace(study, segmentation=table))
    assert found.value == "words of digits"


def test_faults_of_findings_are_one_line(study):
    with pytest.raises(UserError, match="'earlier_domain_help': not registered; did you mean"):
        findings.find(study).known("earlier_domain_help")

    def undocumented(tables):
        return None

    with pytest.raises(UserError, match="no docstring"):
        findings.finding(undocumented)
    with pytest.raises(UserError, match="registered twice"):
        findings.finding(findings.every_run_searched)
