"""The paper's words: true for any study."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import reporting_example as example
from jadapt.analysis import (
    adapted_models,
    comparisons,
    rate_search,
    tables,
    tokenizer_tables,
    transfer_tables,
)
from jadapt.analysis.printing import present
from jadapt.core.tables import BASELINES
from paper_example import ALL, STUDIES, configured, measured, rendered, text_of

# Headings and leading words of what a study has or lacks.
SEARCHED = ("== Learning rates and the front", "== Ablations", "tab-rates", "tab-methods")
COMPOSED = ("== Strategies against forgetting", "*The bound.*", "*GEM*", "*EWC*", "*DEN*")
SEQUENCE = ("*Transfer.*", "*Sequence.*")


@pytest.mark.parametrize(
    ("name", "there", "absent"),
    [
        ("small", SEARCHED, COMPOSED + SEQUENCE),
        ("large", SEARCHED + COMPOSED + SEQUENCE, ()),
        ("unsearched", (*SEQUENCE, "*Replay*"), (*SEARCHED, "*GEM*")),
    ],
)
def test_the_text_has_what_the_study_has(name, there, absent):
    text = rendered(*STUDIES[name][:3], searched=name != "unsearched")
    for words in there:
        assert words in text, words
    for words in absent:
        assert words not in text, words
    # No chapter is empty, and nothing that should have been named is missing between commas.
    assert not re.search(r"^== [^\n]*\n+=", text, re.MULTILINE)
    prose = text.split("#align(center)", 1)[1]
    assert " ," not in prose and "for ;" not in prose and "()" not in prose


def tables_of_tokenizers(folder):
    """Read tables of gold words, of MeCab's, and one of a release before they were named."""
    for name, gold in (("gold", True), ("mecab", False)):
        example.tokenizers(gold=gold).to_csv(folder / name, index=False)
    older = example.tokenizers(gold=False).drop(columns=["reference", "gold"])
    older.to_csv(folder / "older", index=False)
    return {name: tables.read_tokenizers(folder / name) for name in ("gold", "mecab", "older")}


def test_the_text_says_whose_words_are_kept_whole(tmp_path):
    methods = ["sft", "lora"]
    found = measured(methods, [1, 2], ["everyday"])
    said = {
        "gold": "gold words of several characters in the test text of UD Japanese GSD",
        "mecab": "words that MeCab with UniDic @mecab finds",
        "older": "words that MeCab @mecab finds",
    }
    for name, table in tables_of_tokenizers(tmp_path).items():
        text = text_of(replace(found, tokenizers=table), methods)
        assert said[name] in text
        assert ("in the test text, not gold words" in text) == (name != "gold")
        heading = "gold words whole" if name == "gold" else "MeCab's words whole"
        printed = present(tokenizer_tables.tokenizers_table(table))
        assert heading in printed.labels
        assert printed.rows[0][printed.labels.index(heading)] == "40"


def test_words_of_several_references_are_not_pooled():
    both = pd.concat([example.tokenizers(), example.tokenizers(gold=False)])
    with pytest.raises(ValueError, match="several references"):
        tokenizer_tables.tokenizers_table(both)


def test_a_run_that_diverged_is_named_and_compared_with_nothing():
    methods = ["sft", "lora", "dora"]
    found = measured(methods, [1, 2], ["everyday"])
    lost = (found.metrics["method"] == "dora") & (found.metrics["seed"] == 2)
    found.metrics.loc[lost, "value"] = float("nan")
    text = text_of(found, methods)
    assert "Training diverged, for at least one seed, with DoRA" in text
    assert "DoRA (" not in text
    none = found.metrics["value"].mask(found.metrics["method"] == "sft")
    found = replace(found, metrics=found.metrics.assign(value=none))
    assert "with full fine\\-tuning and DoRA" in text_of(found, methods)


def test_chosen_rates_at_an_end_are_told():
    methods = ["sft", "lora"]
    found = measured(methods, [1, 2], ["everyday"])
    assert "Every choice lies inside its grid." in text_of(found, methods)
    rates_of_lora = (found.grid["method"] == "lora") & (found.grid["ablation"] == "")
    found.grid.loc[rates_of_lora, "selected"] = found.grid["learning_rate"] == 0.0005
    text = text_of(found, methods)
    assert "at an end of its grid for LoRA (the lowest rate)" in text
    assert "Training diverged at 0.002 with LoRA." in text


def test_what_a_method_does_when_it_is_told_the_task_stands_apart():
    methods = ["sft", "den"]
    found = measured(methods, [1, 2], ["everyday"])
    bits = found.metrics[
        (found.metrics["method"] == "den") & (found.metrics["metric"] == "bits_per_byte")
    ]
    told = bits.assign(metric="bits_per_byte_with_task", value=bits["value"] - 0.125)
    found = replace(found, metrics=pd.concat([found.metrics, told]))
    (den,) = [m for m in adapted_models.methods(found, configured(methods)) if m.name == "den"]
    gain, loss = den.with_task
    assert loss.mean == pytest.approx(den.loss.mean - 0.125)
    assert gain.mean == pytest.approx(den.gain.mean + 0.125)
    text = text_of(found, methods)
    assert "No figure above is of a model that was told which task" in text
    # Who leads does not follow from what was measured with the task named.
    plain = replace(found, metrics=found.metrics[found.metrics["metric"] != told.metric.iloc[0]])
    for one, other in zip(
        *(
            comparisons.leaders(adapted_models.methods(some, configured(methods))).values()
            for some in (found, plain)
        ),
        strict=True,
    ):
        assert [method.name for method in one] == [method.name for method in other]


def test_text_and_table_hold_the_same_corrected_p():
    found = measured(ALL, [1, 2, 3], ["everyday"])
    draw = np.random.default_rng(1)
    bits = found.metrics["metric"] == "bits_per_byte"
    found.metrics.loc[bits, "value"] += draw.normal(0, 0.05, bits.sum())
    methods = adapted_models.methods(found, configured(ALL))
    table = transfer_tables.transfer_table(found.metrics).set_index("method")
    compared = comparisons.compare(methods, methods[0])
    assert comparisons.tests_made(compared) == 2 * (len(ALL) - 1)
    for item in compared:
        assert item.gain_p == pytest.approx(table.loc[item.method.name, "gain_p"])
        assert item.loss_p == pytest.approx(table.loc[item.method.name, "loss_p"])
        if item.gain_p > 0.05:
            assert item.learned == "same"
    composed = comparisons.compositions(methods, methods[0])
    assert [(c.method.name, c.reference.name) for c in composed] == [
        ("lora_replay", "lora"),
        ("lora_ewc", "lora"),
    ]


def test_the_front_is_what_nothing_dominates():
    points = pd.DataFrame(
        [
            ("a", 0.1, 1.0, 3.0),
            ("a", 0.2, 2.0, 2.0),
            ("b", 0.1, 2.0, 2.5),
            ("b", 0.2, 3.0, 1.0),
            ("c", 0.1, 3.0, 1.0),
        ],
        columns=["method", "learning_rate", "task", "home"],
    )
    # Equal points do not dominate each other.
    assert list(rate_search.front(points).index) == [0, 1, 3, 4]
    assert rate_search.beaten(points, "b", "a") == (1, 2)
    assert rate_search.beaten(points, "a", "b") == (0, 2)


@pytest.mark.parametrize(
    ("values", "word"),
    [([3, 2, 1], "falls"), ([1, 2, 3], "rises"), ([1, 1, 2], "neither"), ([1], "neither")],
)
def test_trends(values, word):
    assert rate_search.trend(values) == word


def test_ablations_say_what_the_grid_says():
    found = measured(["sft", "lora"], [1, 2], ["everyday"])
    (ranks,) = rate_search.ablations(found.grid, "english", "everyday")
    assert [v.value for v in ranks.variants] == ["2", "8", "32"]
    assert (ranks.best.value, ranks.worst.value) == ("32", "2")
    assert ranks.difference.mean == pytest.approx(0.25)
    assert (ranks.task_trend, ranks.home_trend) == ("falls", "rises")
    assert ranks.variants[2].parameters == 3200
    assert "Along the values" in text_of(found, ["sft", "lora"])
    names = found.grid.replace({"variant": {"2": "bf16-true", "8": "32-true"}})
    assert "Along the values" not in text_of(replace(found, grid=names), ["sft", "lora"])
    lost = (found.grid["variant"] == "32") & (found.grid["metric"] == "bits_per_byte")
    found.grid.loc[lost, "value"] = float("nan")
    (ranks,) = rate_search.ablations(found.grid, "english", "everyday")
    assert (ranks.best.value, ranks.task_trend) == ("8", "neither")
    assert "no learning rate led to a finite result" in text_of(found, ["sft", "lora"])


def test_a_study_that_ranks_nothing_names_no_leader():
    methods = ["sft", "lora", "gem"]
    found = measured(methods, [1, 2], ["everyday"])
    text = text_of(found, methods)
    assert "learned most" in text and "ranks no" not in text
    made_here = {**example.SETTINGS["model"], "kind": "scratch"}
    row = ("example", "ngram", 0, "everyday", "everyday", "bits_per_byte", 0.5, "bit/byte", 9)
    lost = replace(found, baselines=pd.DataFrame([row], columns=BASELINES.header))
    for text in (text_of(found, methods, model=made_here), text_of(lost, methods)):
        assert "learned most" not in text and "forgot least" not in text
        assert "This study ranks nothing, so it recommends nothing." in text
        # On page one, before all else.
        assert "ranks no methods" in " ".join(text.split("= The question")[0].split())
    assert "the instrument at work" in text_of(found, methods, model=made_here)
    assert "the instrument at work" not in text


def test_deviations_of_the_configuration_are_printed():
    methods = ["sft", "lora"]
    found = measured(methods, [1], ["everyday"])
    assert "The configuration of this study records none." in text_of(found, methods)
    text = text_of(found, methods, deviations=["Steps were changed.", "Test text was seen."])
    assert "Steps were changed. Test text was seen." in text


def test_nobody_writes_backwards():
    """Findings were inverted: "Most is learned by", "Less than full fine-tuning forget"."""
    text = text_of(measured(ALL, [1, 2, 3], ["everyday"]), ALL)
    assert not re.search(
        r"(Most|Less|More) is (learned|forgotten)|ess than [^.]* forget (?!less)", text
    )
    assert re.search(r"[A-Z][^.]* learned less\.", text)


def test_ablations_alone_need_no_grid_of_rates():
    found = measured(["sft", "lora"], [1, 2], ["everyday"])
    found = replace(
        found, grid=found.grid[(found.grid["ablation"] != "") | (found.grid["method"] == "base")]
    )
    text = text_of(found, ["sft", "lora"])
    assert "== Ablations" in text
    assert "== Learning rates and the front" not in text and "tab-rates" not in text
