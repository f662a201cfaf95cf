"""The file of claims and the language of its expressions: what they have, and mistakes named."""

from pathlib import Path

import pytest
import yaml

from jadapt.analysis import claims, expressions
from jadapt.analysis.expressions import Vocabulary, evaluate
from jadapt.core.errors import UserError

CLAIMS = Path(__file__).resolve().parents[3] / "config" / "claims.yaml"
VOCABULARY = Vocabulary(("everyday",), ("qwen2_5_0_5b",))


@pytest.mark.parametrize(
    "text",
    [
        "measured('sft', 'everyday', 'bits_per_byte')",
        "-(a + 2.5) * cost('lora_r4', 'seconds') / b",
        "lora_parameters('qwen2_5_0_5b', a * 2, 'qv')",
    ],
)
def test_what_the_language_has(text):
    expressions.check(text, ["a", "b"], VOCABULARY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("measured('sft', 'tasks', 'bits_per_bite')", "unknown metric 'bits_per_bite'; did you"),
        ("measured('stf', 'tasks', 'bits_per_byte')", "unknown run 'stf'; did you mean 'sft'"),
        ("measured('sft', 'evryday', 'perplexity')", "unknown domain 'evryday'; did you mean"),
        ("cost('sft', 'second')", "unknown cost 'second'; did you mean 'seconds'"),
        ("meazured('sft')", "unknown function 'meazured'; did you mean 'measured'"),
        ("gain('sft', 'lora')", "gain takes 1 argument"),
        ("gain(a)", "'a' is no run in quotes"),
        ("gain('sft'", "is not an expression"),
        ("c", "unknown number 'c'"),
        ("a ** 9 ** 9", "is not allowed"),
        ("a if b else 1", "is not allowed"),
        ("'x' * 1000", "is not allowed"),
        ("[1, 2]", "is not allowed"),
        ("a.real", "is not allowed"),
        ("().__class__.__bases__[0].__subclasses__()", "unknown function"),
        ("__import__('os').system('true')", "unknown function"),
        ("(lambda: 1)()", "unknown function"),
        ("True", "is not allowed"),
    ],
)
def test_what_the_language_has_not(text, message):
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        expressions.check(text, ["a", "b"], VOCABULARY)


@pytest.mark.parametrize(
    "text", ["a.real", "a ** 9", "[a]", "f'{a}'", "a if a else 1", "a > 1", "open('x')", "{1: a}"]
)
def test_the_evaluator_itself_refuses_what_the_check_refuses(text):
    with pytest.raises(UserError):
        evaluate(text, {"a": 1.0})


def test_division_by_zero_is_named():
    with pytest.raises(UserError, match="divides by zero"):
        evaluate("1 / a", {"a": 0})


def broken(tmp_path, change):
    content = yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))
    change(content, next(c for c in content["claims"] if c["id"] == "memory_saved"))
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError) as error:
        claims.read(path)
    return str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "expresion",
            "1",
            "unknown key 'claims.memory_saved.expresion'; did you mean 'expression'",
        ),
        ("expression", "cost('sft', 'mem')", "claims.memory_saved.expression: cost: unknown cost"),
        ("expected", "savd", "claims.memory_saved.expected: unknown number 'savd'; did you mean"),
        ("expected", "gain('sft')", "claims.memory_saved.expected: unknown function 'gain'"),
        ("relation", "eqal", "claims.memory_saved.relation: unknown value 'eqal'; did you mean"),
        ("source", "earlyer", "claims.memory_saved.source: unknown 'earlyer'; did you mean"),
        ("scope", ["same_modle"], "claims.memory_saved.scope: unknown 'same_modle'; did you mean"),
        ("obstacle", "other", "claims.memory_saved.obstacle: unknown 'other'"),
        ("statement", "{svaed:g} %", "claims.memory_saved.statement: 'svaed' cannot be filled in"),
        ("statement", "{saved:q}", "claims.memory_saved.statement"),
        ("published", {"saved": "much"}, "claims.memory_saved.published.saved"),
        ("id", "memory_sft", "claims.memory_sft: the id is used twice"),
    ],
)
def test_a_mistake_in_the_file_names_claim_and_key(tmp_path, key, value, message):
    found = broken(tmp_path, lambda _, entry: entry.update({key: value}))
    assert message in found and str(tmp_path / "claims.yaml") in found


def test_a_claim_needs_a_tolerance_or_a_reason(tmp_path):
    assert "memory_saved.tolerance" in broken(tmp_path, lambda _, entry: entry.pop("tolerance"))
    assert "claims.memory_saved" in broken(tmp_path, lambda _, entry: entry.pop("expression"))


def test_figures_of_the_earlier_study_are_judged_where_their_scope_fits():
    """Every measured one names the model; none about time on its hardware is judged at all."""
    published = claims.read(CLAIMS)
    for each in published.claims:
        if each.arithmetic or each.expression is None:
            continue
        timed = any(word in each.expression for word in ("seconds", "tokens_per_second"))
        assert (each.obstacle == "other_hardware") == timed, each.id
        if each.source == "earlier" and each.obstacle is None:
            assert "same_model" in each.scope, each.id
        if each.source in ("biderman", "houlsby"):
            assert each.obstacle is not None, each.id


def test_the_earlier_study_is_cited_by_author_and_address():
    source = claims.read_sources(CLAIMS)["earlier"]
    assert source["label"] == "M1nG and Kosuke" and source["citation"] == "nemo-japanese"
    references = (CLAIMS.parents[1] / "paper" / "references.bib").read_text(encoding="utf-8")
    entry = references.split("{nemo-japanese,")[1].split("\n}")[0]
    assert "M1nG" in entry and "Kosuke" in entry
    assert "https://github.com/nvidiasamp/nemo2-qwen2.5b-japanese-finetune" in entry
