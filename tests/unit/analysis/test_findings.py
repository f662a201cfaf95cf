"""Findings: each holds where it should, and its opposite is said where it does not."""

import dataclasses

import pytest

from jadapt.analysis import findings
from jadapt.analysis.numbers import Numbers
from jadapt.core.errors import UserError
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
