"""The measures of fronts: points, equal learning, chosen models, and what intervals cover."""

import math

import pytest

import fronts_example as example
from jadapt.analysis import front_documents, front_findings, front_measures, front_tables
from jadapt.analysis.front_points import MARGIN, RATES, WEIGHTS, Plan
from jadapt.analysis.printing import present
from jadapt.core.errors import UserError
from jadapt.core.tables import BASELINES, FRONT_MEASURES, FRONTS

DRAWS = 200


def measured(folder, methods=tuple(example.METHODS), **given):
    example.write(folder, methods, **given)
    example.collected(folder)
    settings = example.settings(methods)
    plan = Plan.of(settings)
    documents = front_documents.read(
        folder / "fronts", methods, [*plan.tasks, *plan.retention]
    )  # fmt: skip
    table = FRONTS.read(folder / "fronts.csv")
    baselines = BASELINES.read(folder / "baselines.csv")
    return front_measures.measure(table, plan, documents, baselines, DRAWS)


@pytest.fixture(scope="module")
def measures(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("fronts"), diverged=[("lora", 4, 2)])


def value(measures, method, measure, line=RATES, **where):
    rows = measures[
        (measures["method"] == method) & (measures["measure"] == measure)
        & (measures["line"] == line)
    ]  # fmt: skip
    for column, wanted in where.items():
        rows = rows[rows[column] == wanted]
    (row,) = rows.to_dict("records")
    return row


def test_gain_and_forgetting_are_means_over_tasks_and_text_to_be_kept(measures):
    rate = example.rates("sft")[2]
    at = {"learning_rate": rate, "interpolation": 1.0}
    wanted = example.changes("sft", 2)
    gain = value(measures, "sft", "point_gain", **at)
    expected = -(wanted["everyday"] + wanted["docs"]) / 2
    assert gain["value"] == pytest.approx(expected, abs=0.01)
    assert gain["low"] <= gain["value"] <= gain["high"] and gain["domain"] == "everyday docs"
    forgot = value(measures, "sft", "point_forgetting", **at)
    assert forgot["value"] == pytest.approx(wanted[example.KEPT], abs=0.01)
    # The chosen point is the same, from single documents.
    chosen = value(measures, "sft", "gain")
    assert chosen["value"] == pytest.approx(gain["value"], abs=1e-6)
    assert chosen["covers"] == "seeds and documents" and chosen["learning_rate"] == rate


def test_a_point_with_a_diverged_seed_is_missing(measures):
    lost = value(measures, "lora", "point_gain", learning_rate=example.rates("lora")[4])
    assert math.isnan(lost["value"]) and math.isnan(lost["low"])


def test_methods_are_compared_where_they_learned_as_much(measures):
    better = value(measures, "replay", "difference", level=0.75)
    assert better["value"] < 0 and better["verdict"] == "less"
    assert better["low"] < better["value"] < better["high"] < 0
    assert better["family"] == "methods at 75%" and better["p_holm"] >= better["p"]
    own, other = (
        value(measures, name, "at_equal_learning", level=0.75)["value"]
        for name in ("replay", "sft")
    )
    assert better["value"] == pytest.approx(own - other)


def test_nothing_is_extrapolated(measures):
    refused = value(measures, "prefix", "difference", level=0.5)
    assert refused["verdict"] == "not reached" and math.isnan(refused["value"])
    assert math.isnan(refused["p_holm"])
    assert math.isnan(value(measures, "prefix", "area")["value"])


def test_interpolated_weights_are_compared_on_the_same_documents(measures):
    row = value(measures, "sft", "difference", line=WEIGHTS, level=0.75)
    assert row["covers"] == "seeds and documents" and row["verdict"] == "less"
    assert row["family"] == "interpolated weights at 75%"


def test_interpolated_weights_rest_on_seeds_where_no_documents_were_kept(tmp_path):
    measures = measured(tmp_path, ("sft", "replay"), with_weights=False)
    assert value(measures, "replay", "area")["covers"] == "seeds and documents"
    # Three seeds have 27 samples, so that no test by them alone gives less than 1 / 27.
    tested = value(measures, "sft", "difference", line=WEIGHTS, level=0.75)
    assert tested["covers"] == "seeds" and tested["p"] >= 1 / 27


def test_without_losses_of_the_base_model_intervals_cover_seeds_alone(tmp_path):
    found = measured(tmp_path, ("sft", "replay"), with_base=False)
    assert set(found.loc[found["measure"] == "best_gain", "covers"]) == {"seeds"}


def test_trivial_models_stand_beside_the_methods(measures):
    gain = value(measures, "ngram", "gain", line="")["value"]
    base = sum(
        value(measures, "base", "bits_per_byte", line="", domain=task)["value"]
        for task in example.TASKS
    )
    assert gain == pytest.approx(base / 2 - 1.9)


def test_the_table_is_written_as_it_is_declared(measures, tmp_path):
    FRONT_MEASURES.write_frame(tmp_path / "front_measures.csv", measures)
    again = FRONT_MEASURES.read(tmp_path / "front_measures.csv")
    assert len(again) == len(measures)
    assert not again.duplicated(list(FRONT_MEASURES.key)).any()


def test_a_run_of_which_points_are_missing_is_shown_and_not_compared(tmp_path):
    example.write(tmp_path, ("sft", "replay"))
    example.write(tmp_path, ("lora",), seeds=(1,))
    plan = Plan.of(example.settings(("sft", "replay", "lora")))
    found = front_measures.measure(example.collected(tmp_path), plan)
    lora = found[found["method"] == "lora"]
    assert set(lora["measure"]) == {"point_gain", "point_forgetting", "change"}
    assert "difference" in set(found.loc[found["method"] == "replay", "measure"])
    said = front_findings.context(found, example.settings(("sft", "replay", "lora")))
    assert said["partly_run"] == ["LoRA"] and said["not_run"] == []


def test_methods_are_compared_on_the_seeds_that_the_reference_has(tmp_path):
    example.write(tmp_path, ("sft",), seeds=(1,))
    example.write(tmp_path, ("replay",))
    plan = Plan.of(example.settings(("sft", "replay")))
    found = front_measures.measure(example.collected(tmp_path), plan)
    assert value(found, "replay", "difference", level=0.75)["n"] == 1


def test_text_to_be_kept_has_to_be_measured(tmp_path):
    example.write(tmp_path, ("sft",))
    plan = Plan.of(example.settings(("sft",), retention=["elsewhere"]))
    with pytest.raises(UserError, match=r"none of fronts.retention \(elsewhere\)"):
        front_measures.measure(example.collected(tmp_path), plan)


def test_the_plan_takes_full_fine_tuning_without_a_strategy_as_reference():
    plan = Plan.of(example.settings(("replay", "sft", "lora")))
    assert plan.reference == "sft" and plan.margin == MARGIN == 0.02
    assert Plan.of(example.settings(("replay", "sft"), margin=0.03)).margin == 0.03


def test_findings_group_methods_by_verdict_and_name_what_was_not_run(measures):
    settings = example.settings((*example.METHODS, "sft_more"))
    found = front_findings.context(measures, settings)
    groups = found["grouped"]("75")
    assert "replay" in [entry.method for entry in groups["less"]]
    assert "prefix" in [entry.method for entry in groups["not_reached"]]
    assert found["not_run"] == ["Full fine-tuning more"]
    worst = found["worse"]
    assert worst[0].forgetting.mean == max(entry.forgetting.mean for entry in worst)
    assert "joint" not in [entry.method for entry in worst]
    assert [entry.method for entry in found["below"]] == ["prefix"]
    assert not found["at_end"]


def test_printed_tables_say_what_is_not_reached_and_mark_verdicts(measures):
    table = present(front_tables.results_table(measures)).frame()
    rows = table.set_index(table.columns[0])
    text = rows.to_string()
    assert "not reached" in text and "↓" in text
    assert rows.index[0] == "Base model" and "Character n-gram" in rows.index
    domains = front_tables.domains_table(measures)
    assert list(domains.columns)[1] == f"domain_change:{example.KEPT}"
    replay = domains.set_index("front_line").loc["Replay"]
    assert replay[f"domain_change:{example.REPLAYED}"] < 0 < replay[f"domain_change:{example.KEPT}"]
