"""Comparing with released results: what counts as the same, as near, as different."""

import copy

import pandas as pd
import pytest

import released_example
import reporting_example as example
from jadapt.core.errors import UserError
from jadapt.release import verification
from jadapt.release.verification import ABSENT, DIFFERENT, NEAR, NEW, SAME

STUDY = ["sft", "lora"], [1, 2], ["everyday"]


def as_text(table):
    return table.astype(str).replace("nan", "")


def changed(table, shift, **where):
    """The table with one value moved."""
    here = table.copy()
    row = pd.Series(True, index=here.index)
    for column, value in where.items():
        row &= here[column] == value
    here.loc[row[row].index[0], "value"] += shift
    return here


WHERE = {"method": "sft", "evaluated_on": "everyday", "metric": "bits_per_byte", "seed": 1}


def verdicts(released, here, *, exact, name="metrics"):
    return verification.compare(name, as_text(released), as_text(here), exact=exact)


def test_equal_tables_are_the_same_everywhere():
    table = example.metrics(*STUDY)
    for exact in (True, False):
        assert set(verdicts(table, table, exact=exact)["verdict"]) == {SAME}


def test_the_last_digit_counts_on_the_same_kind_of_machine_only():
    table = example.metrics(*STUDY)
    here = changed(table, 1e-12, **WHERE)
    counts = verdicts(table, here, exact=True)["verdict"].value_counts()
    assert counts[DIFFERENT] == 1
    found = verdicts(table, here, exact=False)
    assert found["verdict"].value_counts()[NEAR] == 1
    assert DIFFERENT not in set(found["verdict"])


def test_elsewhere_two_deviations_between_seeds_are_allowed():
    table = example.metrics(*STUDY)
    spread = verification.deviations(verification.tidy(as_text(table)))["bits_per_byte"]
    # Seeds 1 and 2 of both methods are 0.01 apart on English and on the task: by hand.
    assert spread == pytest.approx(0.01 / 2**0.5)
    for shift, verdict in ((1.9 * spread, NEAR), (2.1 * spread, DIFFERENT)):
        found = verdicts(table, changed(table, shift, **WHERE), exact=False)
        moved = found[found["difference"].abs() > 1e-9]
        assert list(moved["verdict"]) == [verdict]
        assert moved["allowed"].item() == pytest.approx(2 * spread)


def test_one_seed_allows_a_share_of_the_value():
    table = example.metrics(["sft"], [1], ["everyday"])
    value = table.loc[(table[list(WHERE)] == pd.Series(WHERE)).all(axis=1), "value"].iloc[0]
    for share, verdict in ((0.019, NEAR), (0.021, DIFFERENT)):
        found = verdicts(table, changed(table, share * value, **WHERE), exact=False)
        assert list(found.loc[found["difference"].abs() > 1e-9, "verdict"]) == [verdict]


def test_rows_on_one_side_only_fail():
    table = example.metrics(*STUDY)
    fewer = table[~((table["method"] == "lora") & (table["seed"] == 2))]
    assert ABSENT in set(verdicts(table, fewer, exact=False)["verdict"])
    assert NEW in set(verdicts(fewer, table, exact=False)["verdict"])


def test_sizes_have_to_be_equal_and_times_are_not_compared():
    table = example.efficiency(*STUDY)
    here = table.assign(seconds=99, tokens_per_second=1.0, peak_memory_mib=5.0, device="other")
    found = verdicts(table, here, exact=False, name="efficiency")
    assert set(found["verdict"]) == {SAME}
    assert set(found["metric"]) == {
        "parameters", "trainable_parameters", "trainable_percent", "steps", "tokens",
        "final_training_loss",
    }  # fmt: skip
    here.loc[1, "trainable_parameters"] += 1
    assert list(verdicts(table, here, exact=False)["verdict"]).count(DIFFERENT) == 1


def test_times_in_tidy_tables_are_not_compared_either():
    rows = [
        ("a", 1, "encoding_speed", 3.0, "MB/s"),
        ("a", 1, "tokens_per_character", 0.5, "token/character"),
        ("a", 1, "training_seconds", 9.0, ""),
    ]
    table = pd.DataFrame(rows, columns=["tokenizer", "seed", "metric", "value", "unit"])
    found = verdicts(table, table, exact=True, name="tokenizers")
    assert list(found["metric"]) == ["tokens_per_character"]


def test_another_choice_of_a_learning_rate_is_a_difference():
    table = example.grid(["sft", "lora"], ["everyday"])
    here = table.copy()
    rows = (here["method"] == "sft") & (here["learning_rate"] == 0.002)
    here.loc[rows, "selected"] = "true"
    found = verdicts(table, here, exact=False)
    assert list(found.loc[found["verdict"] == DIFFERENT, "metric"]) == ["selected"]
    # The rate that diverged in both has no value on either side and is the same.
    assert set(verdicts(table, table, exact=True)["verdict"]) == {SAME}


def test_the_summary_shows_the_worst_and_ends_with_what_failed():
    table = example.metrics(*STUDY)
    here = changed(changed(table, 1e-6, **WHERE), 5.0, **{**WHERE, "method": "lora"})
    lines = verification.summary(verdicts(table, here, exact=False))
    assert lines["values"].sum() == len(table)
    assert lines.iloc[-1]["method"] == "lora"
    assert lines.iloc[-1]["difference"] == pytest.approx(5.0)
    sft = lines[(lines["method"] == "sft") & (lines["metric"] == "bits_per_byte")]
    assert sft["difference"].item() == pytest.approx(1e-6)
    assert "DIFFERENT" in verification.printed(lines).splitlines()[-1]


def test_two_values_for_one_row_are_refused():
    table = pd.concat([example.metrics(*STUDY)] * 2)
    with pytest.raises(UserError, match="two values of"):
        verdicts(table, table, exact=True)


@pytest.fixture
def manifest(tmp_path):
    return released_example.write(tmp_path / "example")


def test_the_machine_is_its_devices_and_versions(manifest):
    other = copy.deepcopy(manifest)
    machine = verification.Machine.of
    assert machine(manifest) == machine(other)
    other["versions"][0]["torch"] = "2.14.0"
    assert machine(manifest) != machine(other)
    other = copy.deepcopy(manifest)
    other["runs"][-1]["device"] = "another"
    assert machine(manifest) != machine(other)
    assert machine(manifest, ["sft"]) == machine(other, ["sft"])


def test_other_text_is_named_and_a_missing_optional_domain_is_left_out(manifest):
    catalogue = {"english": {}, "everyday": {"optional": True}}
    here = copy.deepcopy(manifest)
    assert verification.other_corpora(manifest, here, catalogue) == ([], [])
    here["corpora"]["english"]["splits"]["train"] = "0" * 64
    here["corpora"]["english"]["documents"] = 99
    here["corpora"]["english"]["sources"]["english-text"]["files"][0]["sha256"] = "0" * 64
    wrong, _ = verification.other_corpora(manifest, here, catalogue)
    assert wrong == [
        "the text of 'english' differs (train; 99 documents, released 100), "
        "source english-text is of other files"
    ]
    here = copy.deepcopy(manifest)
    here["tokens"]["english/test"]["tokens_sha256"] = "0" * 64
    wrong, _ = verification.other_corpora(manifest, here, catalogue)
    assert wrong == ["the tokens of english/test differ: another tokenizer"]
    here = copy.deepcopy(manifest)
    here["corpora"]["everyday"]["available"] = False
    here["corpora"]["everyday"]["splits"] = dict.fromkeys(("train", "validation", "test"), "e" * 64)
    assert verification.other_corpora(manifest, here, catalogue) == ([], ["everyday"])
    del here["corpora"]["english"]
    wrong, _ = verification.other_corpora(manifest, here, catalogue)
    assert wrong == ["domain 'english' is not here"]
