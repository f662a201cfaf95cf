"""The claims ledger: what is in it, which study can test it, its arithmetic and its verdicts."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import plausible_example
from jadapt.analysis import (
    adapted_models,
    claim_functions,
    claim_verdicts,
    claims,
    expressions,
    tables,
)
from jadapt.analysis.claims import Claim
from jadapt.analysis.statistics import Estimate, estimate
from jadapt.config import layers
from jadapt.core.files import load_settings

ROOT = Path(__file__).resolve().parents[3]
CLAIMS = ROOT / "config" / "claims.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return plausible_example.write(tmp_path_factory.mktemp("plausible"))


@pytest.fixture(scope="module")
def study(folder):
    names = ("metrics", "efficiency", "curves", "corpora", "grid")
    return adapted_models.read_tables({name: folder / f"{name}.csv" for name in names})


@pytest.fixture(scope="module")
def verdicts(study):
    return claim_verdicts.judge(claims.read(CLAIMS), study, ["same_model", "gpu"]).set_index("id")


def test_every_published_figure_of_the_earlier_study_is_in_the_ledger():
    numbers = {
        number for claim in claims.read(CLAIMS).claims for number in claim.published.values()
    }
    listed = """
        11.84 11.21 94.4 1310720 494033920 0.265 655360 1048576 2097152 3670016 12.34 11.98 11.79
        11.76 13.2 22.7 41.9 25.8 34.8 7.6 850 920 0.003 0.007 .923 .934 .887 .901 .834 .856 .92
        .78 11.82 11.85 18.4 14.1 3.2 2.7 2.3 800 .487 .503 95 5
    """
    assert {float(word) for word in listed.split()} <= numbers


def test_the_ledger_and_the_texts_list_of_figures_agree():
    earlier = load_settings(str(ROOT / "paper" / "literature.yaml"))["earlier_study"]
    by_id = {claim.id: claim for claim in claims.read(CLAIMS).claims}
    for rank, count in earlier["parameters_by_rank"].items():
        assert by_id[f"parameters_rank_{rank}"].published["count"] == count


def test_sources_are_in_the_bibliography():
    text = (ROOT / "paper" / "references.bib").read_text(encoding="utf-8")
    for source in claims.read_sources(CLAIMS).values():
        if "citation" in source:
            assert f"{{{source['citation']}," in text


@pytest.mark.parametrize(
    ("claim", "value", "verdict"),
    [
        ("share_of_sft_stated", 100 * (1 - 0.63 / 11.21), "reproduced"),
        ("trainable_share_stated", 100 * 1_310_720 / 494_033_920, "reproduced"),
        ("memory_saved_stated", 100 * 9.5 / 22.7, "reproduced"),
        ("convergence_stated", 100 * 70 / 920, "reproduced"),
        ("time_and_speed_agree", 100 * (1 / 0.742 - 1), "reproduced"),
        ("total_parameters", 494_032_768, "not reproduced"),
        ("parameters_rank_16", 8_798_208, "not reproduced"),
        ("parameters_rank_64", 35_192_832, "not reproduced"),
        ("trainable_share", 100 * 8_798_208 / 494_032_768, "not reproduced"),
        ("parameters_follow_rank", 5.6, "not reproduced"),
    ],
)
def test_arithmetic_claims(verdicts, claim, value, verdict):
    row = verdicts.loc[claim]
    assert row["value"] == pytest.approx(value, rel=1e-9)
    assert (row["kind"], row["verdict"], row["runs"]) == ("arithmetic", verdict, "")


def test_measurements_are_paired_by_seed(study, verdicts):
    costs = study.efficiency.set_index(["method", "seed"])["peak_memory_mib"]
    saved = 100 * (1 - costs["lora"] / costs["sft"])
    row = verdicts.loc["memory_order"]
    assert (row["value"], row["half_width"]) == pytest.approx(
        (estimate(saved).mean, estimate(saved).half_width)
    )
    assert row["n"] == 3
    assert row["runs"] == "lora/1 lora/2 lora/3 sft/1 sft/2 sft/3"


def test_scope_and_obstacles_give_reasons(verdicts):
    silent = verdicts[verdicts["verdict"] == "cannot be tested here"]
    assert (silent["reason"] != "").all()
    assert "Qwen2.5-0.5B" in silent.loc["memory_saved", "reason"]
    assert "BLEU" in silent.loc["bleu_sft", "reason"]
    # What is out of scope is still measured, for the reader to see.
    assert math.isfinite(silent.loc["memory_saved", "value"])
    spoken = verdicts[verdicts["verdict"] != "cannot be tested here"]
    assert (spoken["reason"] == "").all()


def test_a_study_in_scope_gets_a_verdict(study):
    found = claim_verdicts.judge(claims.read(CLAIMS), study, []).set_index("id")
    assert found.loc["memory_saved", "verdict"] == "not reproduced"
    assert found.loc["rank_4_perplexity", "reason"] == "the study has no run 'lora_r4'"


def test_conditions_follow_the_configuration():
    published = claims.read(CLAIMS)
    config = configured("qwen")
    # The study of the claims' own model meets all but the length of its runs.
    assert published.unmet(config) == ["thousand_steps"]
    config["training"]["steps"] = 1000
    assert published.unmet(config) == []
    config["methods"]["lora"]["rank"] = 8
    config["training"]["accelerator"] = "cpu"
    assert published.unmet(config) == ["gpu", "rank_16"]
    assert set(published.unmet({})) == set(published.conditions)


def configured(name, **training):
    config = layers.read([ROOT / "config" / f"{name}.yaml"]).content
    config["training"].update(training)
    return config


# The studies of this repository, and that of the claims' own model with runs as long as theirs.
STUDIES = [
    configured("config"), configured("smollm"), configured("qwen"), configured("qwen", steps=1000),
]  # fmt: skip


def judgeable():
    """Claims that something is measured for, and that nothing makes impossible."""
    return [
        each for each in claims.read(CLAIMS).claims
        if each.expression and not each.arithmetic and each.obstacle is None
    ]  # fmt: skip


@pytest.mark.parametrize("each", judgeable(), ids=lambda each: each.id)
def test_every_claim_can_be_tested_in_some_study(each):
    """A claim that no configuration bears on has to carry an obstacle, which is its reason."""
    published = claims.read(CLAIMS)
    bearing = [s for s in STUDIES if not set(each.scope) & set(published.unmet(s))]
    assert bearing, f"{each.id}: no study meets its scope; give it an obstacle"
    # Where the scope is met, the runs are there; a claim without a scope is about every study.
    for study in bearing:
        assert published.lacks(each, study) == []


def test_a_run_or_an_ablation_that_a_study_lacks_is_found():
    published = claims.read(CLAIMS)
    by_id = {each.id: each for each in published.claims}
    config = configured("qwen")
    del config["methods"]["lora_r4"], config["ablations"]["lora_rank"]
    assert published.lacks(by_id["rank_4_perplexity"], config) == ["lora_r4"]
    assert published.lacks(by_id["rank_helps"], config) == ["lora_rank", "lora_rank"]
    assert published.lacks(by_id["bleu_sft"], config) == []


def test_runs_of_other_ranks_and_precisions_differ_in_nothing_else():
    """What a claim compares has one cause: rank, with alpha in proportion, or precision."""
    config = configured("qwen")
    runs_of = config["methods"]
    plain = runs_of["lora"]
    for rank in (4, 8, 32, 64):
        assert runs_of[f"lora_r{rank}"] == {**plain, "rank": rank, "alpha": 2 * rank}
    assert runs_of["lora_fp32"] == {**plain, "precision": "32-true"}
    # A fused optimiser does not go with float16, so that this run has a plain one.
    fast = {**config["training"]["fast"], "fused_optimiser": False}
    assert runs_of["lora_fp16"] == {**plain, "precision": "16-mixed", "fast": fast}


def claim(relation, **keys):
    return Claim("c", "s", "x", {}, "1", "10", relation, **keys)


@pytest.mark.parametrize(
    ("relation", "tolerance", "mean", "half", "verdict"),
    [
        ("equal", {"absolute": 1}, 10.5, 0.4, "reproduced"),
        ("equal", {"absolute": 1}, 10.5, 0.6, "cannot be tested here"),
        ("equal", {"relative": 0.2}, 11.5, 0.4, "reproduced"),
        ("equal", {"absolute": 1}, 12.0, 0.4, "not reproduced"),
        ("equal", {"absolute": 0}, 10.0, 0.0, "reproduced"),
        ("at_least", {}, 11.0, 0.9, "reproduced"),
        ("at_least", {}, 10.0, 0.0, "reproduced"),
        ("at_least", {}, 9.0, 0.9, "not reproduced"),
        ("at_most", {"absolute": 1}, 10.5, 0.2, "reproduced"),
        ("at_most", {}, 10.5, 0.2, "not reproduced"),
        ("above", {}, 10.0, 0.0, "not reproduced"),
        ("above", {}, 10.5, 0.4, "reproduced"),
        ("above", {}, 10.5, 0.6, "cannot be tested here"),
        ("below", {}, 10.0, 0.0, "not reproduced"),
        ("below", {}, 9.0, 0.9, "reproduced"),
        ("below", {}, 10.0, math.nan, "cannot be tested here"),
    ],
)
def test_the_whole_interval_decides(relation, tolerance, mean, half, verdict):
    found = claim_verdicts.decide(claim(relation, tolerance=tolerance), Estimate(mean, half, 3))
    assert found[0] == verdict


def unhindered():
    """Return the ledger as if nothing stood in the way of a verdict."""
    ledger = claims.read(CLAIMS)
    return replace(ledger, claims=[replace(each, obstacle=None) for each in ledger.claims])


def test_one_seed_decides_nothing_but_counts(tmp_path):
    single = plausible_example.write(tmp_path, seeds=(1,))
    found = adapted_models.Tables(
        tables.read_metrics(single / "metrics.csv"),
        tables.read_efficiency(single / "efficiency.csv"),
        tables.read_curves(single / "curves.csv"),
        tables.read_corpora(single / "corpora.csv"),
    )
    table = claim_verdicts.judge(unhindered(), found, []).set_index("id")
    assert table.loc["lora_learns_less", "reason"] == "a single seed has no interval"
    assert "single seed" in table.loc["overfitting_sft", "reason"]
    # The share of parameters is the same for every seed.
    assert table.loc["adapters_are_small", "verdict"] == "reproduced"


def test_a_run_that_diverged_decides_nothing(study):
    metrics = study.metrics.copy()
    metrics.loc[(metrics["method"] == "lora") & (metrics["seed"] == 2), "value"] = math.nan
    broken = adapted_models.Tables(
        metrics, study.efficiency, study.curves, study.corpora, study.grid
    )
    table = claim_verdicts.judge(unhindered(), broken, []).set_index("id")
    assert table.loc["lora_learns_less", "reason"] == "a run that it needs has no finite result"


def test_the_ends_of_an_ablation_are_numbers_not_words(study):
    found = claim_functions.Measures(study, {})
    for word, rank in (("lowest", "2"), ("highest", "32")):
        ends = found.ablation("lora_rank", word, "tasks", "bits_per_byte")
        assert ends.equals(found.ablation("lora_rank", rank, "tasks", "bits_per_byte"))
    with pytest.raises(claim_functions.Untestable, match="no two numbers"):
        found.ablation("lora_a_init", "lowest", "tasks", "bits_per_byte")
    with pytest.raises(claim_functions.Untestable, match="no ablation 'rank'"):
        found.ablation("rank", "lowest", "tasks", "bits_per_byte")


def test_every_function_has_a_signature_and_a_definition(study):
    defined = claim_functions.Measures(study, claims.read(CLAIMS).shapes).functions()
    assert set(defined) == set(expressions.SIGNATURES)


def judge(folder, **changes):
    options = {name: f"{name}.csv" for name in ("metrics", "efficiency", "curves", "corpora")}
    options |= {"claims": CLAIMS, "output": "claims.csv"} | changes
    command = [sys.executable, str(ROOT / "scripts" / "judge_claims.py"), "--unmet", "same_model"]
    command += [f"--{name}={value}" for name, value in options.items()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_script_writes_the_table(folder, tmp_path):
    done = judge(folder, output=tmp_path / "claims.csv")
    assert done.returncode == 0, done.stderr
    table = tables.read_claims(tmp_path / "claims.csv")
    assert list(table["id"]) == [claim.id for claim in claims.read(CLAIMS).claims]
    assert set(table["verdict"]) == set(claim_verdicts.VERDICTS)


def test_a_broken_file_is_one_line_and_leaves_nothing(folder, tmp_path):
    path = tmp_path / "claims.yaml"
    text = CLAIMS.read_text(encoding="utf-8")
    path.write_text(text.replace("'peak_memory_mib'", "'peak_memory'", 1), encoding="utf-8")
    done = judge(folder, claims=path, output=tmp_path / "claims.csv")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "claims.memory_lora.expression: cost: unknown cost 'peak_memory'" in done.stderr
    assert not (tmp_path / "claims.csv").exists()


def test_printed_tables_hold_what_has_a_verdict(study):
    table = claim_verdicts.judge(unhindered(), study, [])
    measured = claim_verdicts.printed_table(table, claim_verdicts.MEASUREMENT)
    computed = claim_verdicts.printed_table(table, claim_verdicts.ARITHMETIC)
    assert len(measured) + len(computed) == (table["verdict"] != claim_verdicts.UNTESTABLE).sum()
    row = computed[computed["statement"].str.contains("rank 16 has")].iloc[0]
    assert (row["claimed"], row["here"]) == ("1,310,720", "8,798,208")
    (row,) = measured[measured["statement"].str.contains("at least 95 %")].to_dict("records")
    assert row["claimed"] == "≥ 95.0 %"
    assert pd.notna(row["here"]) and " ± " in row["here"] and row["here"].endswith(" %")


def test_the_summary_counts_every_claim_once(verdicts):
    found = claim_verdicts.summary(verdicts.reset_index(), claims.read_sources(CLAIMS))
    told = found["computed"]["all"] + found["measured"]["all"] + found["untestable"]
    assert told == found["claims"] == sum(source["count"] for source in found["sources"])
    assert sum(count for _, count in found["reasons"]) == found["untestable"]
