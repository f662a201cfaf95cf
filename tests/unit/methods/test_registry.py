"""What the classes of the methods room declare of themselves, and how they are found."""

import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from itertools import combinations
from pathlib import Path

import pytest

from jadapt.config import composition
from jadapt.core import registry as registries
from jadapt.core.declarations import LAST, METHODS, STRATEGIES, Settings, refuse, schema_of
from jadapt.core.errors import UserError
from jadapt.core.registry import Registry
from jadapt.methods import registry
from jadapt.methods.base import Method
from jadapt.workflow import code_hash

ROOT = Path(__file__).parents[3]
DECLARED = [*METHODS.values(), *STRATEGIES.values()]
ALL_BUT_DEN = {"sft", "lora", "dora", "houlsby", "prefix"}


@pytest.mark.parametrize("declared", DECLARED, ids=lambda declared: declared.key)
def test_what_is_cited_stands_in_the_bibliography(declared):
    known = set(re.findall(r"^@\w+\{([^,]+),", (ROOT / "paper/references.bib").read_text(), re.M))
    assert {declared.citation} - {""} <= known
    assert declared.citation == "" or f"@{declared.citation}" in declared.paragraph


@pytest.mark.parametrize("declared", DECLARED, ids=lambda declared: declared.key)
def test_every_hyperparameter_is_documented(declared):
    for name, described in schema_of(declared.Hyperparameters)["properties"].items():
        assert described.get("description", "").endswith("."), name


def test_no_two_are_called_or_placed_or_drawn_alike():
    for one, other in combinations(DECLARED, 2):
        assert one.label != other.label
        assert one.order != other.order
        assert (one.look.colour, one.look.marker) != (other.look.colour, other.look.marker)
    assert all(declared.order < LAST or declared.upper_bound for declared in DECLARED)


@pytest.mark.parametrize(
    ("strategy", "methods"),
    [
        ("replay", ALL_BUT_DEN),
        ("joint", ALL_BUT_DEN),
        ("l2", ALL_BUT_DEN - {"dora"}),
        ("ewc", ALL_BUT_DEN - {"dora"}),
        ("online_ewc", ALL_BUT_DEN - {"dora"}),
        ("gem", ALL_BUT_DEN - {"prefix"}),
        ("agem", ALL_BUT_DEN - {"prefix"}),
        ("lwf", ALL_BUT_DEN - {"dora"}),
        ("wise", {"sft", "lora", "houlsby"}),
    ],
)
def test_strategies_compose_with_the_methods_that_support_what_they_change(strategy, methods):
    assert set(composition.methods_of(strategy)) == methods
    for method in METHODS:
        assert (strategy in composition.strategies_of(method)) == (method in methods)


def test_an_unknown_method_is_named():
    with pytest.raises(UserError, match=r"unknown method 'lroa'; did you mean 'lora'\?"):
        registry.create("lroa", {})


def test_an_unknown_or_undefined_strategy_is_named():
    with pytest.raises(UserError, match=r"unknown strategy 'ecw'; did you mean 'ewc'\?"):
        registry.create_strategies({"ecw": {}}, "sft")
    with pytest.raises(UserError, match="'replay' is not defined for method 'den'"):
        registry.create_strategies({"replay": {"ratio": 0.5, "memory_rows": 1}}, "den")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "continual.replay.ratio: is missing"),
        ({"ratio": "a", "memory_rows": 1}, "continual.replay.ratio: Input should be a valid"),
        ({"ratio": True, "memory_rows": 1}, "continual.replay.ratio: Input should be a valid"),
        ({"ratio": float("nan"), "memory_rows": 1}, "continual.replay.ratio: .*finite number"),
        ({"ratio": 2, "memory_rows": 1}, "continual.replay.ratio: .*less than or equal to 1, not"),
        ({"ratio": 0.5, "memory_rows": 1.5}, "continual.replay.memory_rows: .*valid integer"),
    ],
)
def test_hyperparameters_out_of_bounds_are_named(settings, line):
    with pytest.raises(UserError, match=line):
        registry.create_strategies({"replay": settings}, "sft")


def test_a_number_stays_as_it_was_written():
    """In what is saved and printed, 8 does not become 8.0."""
    lora = METHODS["lora"]({
        "rank": 4, "alpha": 8, "dropout": 0, "target_modules": ["q_proj"], "a_init": "kaiming",
    })  # fmt: skip
    assert lora.settings.model_dump_json(exclude_unset=True) == (
        '{"rank":4,"alpha":8,"dropout":0,"target_modules":["q_proj"],"a_init":"kaiming"}'
    )


def test_no_declaration_loads_torch():
    modules = [kind.module(key) for kind in (METHODS, STRATEGIES) for key in kind]
    code = f"import sys, {', '.join(sorted(set(modules)))}\n"
    code += "heavy = {'torch', 'transformers', 'nemo', 'safetensors'} & set(sys.modules)\n"
    code += "sys.exit(', '.join(sorted(heavy)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_run_follows_its_own_modules_and_the_shared_ones():
    def names(settings):
        return set(code_hash.closure("train.py", *registry.modules_of(settings)))

    methods = "jadapt.methods"
    sft = names({"method": "sft"})
    assert {f"{methods}.{name}" for name in ("base", "registry", "full", "strategy")} <= sft
    assert {"jadapt.core.declarations", "jadapt.training.run", "jadapt.config.parallelism"} <= sft
    others = {"peft.lora", "peft.den", "continual.gem", "continual.ewc"}
    assert not {f"{methods}.{name}" for name in others} & sft
    composed = names({"method": "lora", "continual": {"ewc": {}}})
    parts = ("peft.lora", "peft.lora_layers", "continual.ewc", "continual.fisher")
    assert {f"{methods}.{name}" for name in parts} | {"jadapt.core.bucketing"} <= composed
    assert f"{methods}.continual.gem" not in composed


@pytest.mark.parametrize("name", [*METHODS, *STRATEGIES])
def test_every_name_leads_to_the_module_of_its_class(name):
    kind = METHODS if name in METHODS else STRATEGIES
    assert kind[name].__module__ == kind.module(name)


@pytest.mark.parametrize("attribute", ["label", "family", "look", "summary", "paragraph"])
def test_a_class_without_a_declaration_is_named(attribute, monkeypatch):
    own = Registry("method", ("jadapt.methods.full",), "none", METHODS.required, refuse)
    monkeypatch.delattr(METHODS["sft"], attribute)
    with pytest.raises(UserError, match=rf"full\.SFT: method 'sft' declares no `{attribute}`"):
        own["sft"]


def test_what_a_method_is_called_is_not_inherited_from_another(monkeypatch):
    own = Registry("method", ("jadapt.methods.peft",), "none", METHODS.required, refuse)
    monkeypatch.delattr(METHODS["dora"], "label")
    with pytest.raises(UserError, match=r"dora\.DoRA: method 'dora' declares no `label`"):
        own["dora"]


@pytest.mark.parametrize(
    ("declaration", "line"),
    [
        ({"family": "eficient"}, "family is unknown: 'eficient'; did you mean 'efficient'?"),
        ({"look": "red"}, "look is no Look"),
        ({"supports": frozenset({"row"})}, "supports names 'row'; it may name gradient, loss"),
        ({"parallelism": frozenset({"tp"})}, "parallelism names 'tp'; it may name ddp, fsdp2"),
        ({"Hyperparameters": dict}, "Hyperparameters has to derive from"),
        ({"changes": frozenset()}, "changes is empty; say what it changes"),
    ],
)
def test_a_wrong_declaration_is_told(declaration, line):
    assert refuse(METHODS["sft"]) is None
    assert refuse(type("Wrong", (METHODS["sft"],), declaration)).startswith(line)


def _installed(monkeypatch, *points):
    monkeypatch.setattr(registries, "entry_points", lambda group: [
        EntryPoint(name, value, group) for name, value in points
    ])  # fmt: skip
    return Registry("method", ("jadapt.methods.full",), "jadapt.methods", METHODS.required, refuse)


def test_two_classes_with_one_key_are_named(monkeypatch):
    own = _installed(monkeypatch, ("sft", "elsewhere:Other"))
    with pytest.raises(UserError, match=r"elsewhere\.Other: key 'sft' is that of jadapt\.methods"):
        list(own)


@pytest.mark.parametrize(
    ("point", "line"),
    [
        (("far", "not_installed.at_all:Far"), r"method 'far' cannot be loaded \(ModuleNotFound"),
        (("far", "jadapt.methods.full:Far"), r"method 'far' cannot be loaded \(AttributeError"),
        (("far", "jadapt.methods.full:SFT"), "registered as method 'far', but its key is 'sft'"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_named(point, line, monkeypatch):
    own = _installed(monkeypatch, point)
    # Whoever does not use it is not troubled.
    assert own["sft"] is METHODS["sft"]
    with pytest.raises(UserError, match=line):
        own["far"]


def test_the_bases_declare_nothing_that_only_one_class_can_say():
    for attribute in METHODS.required:
        assert not hasattr(Method, attribute)
    assert Method.Hyperparameters.model_fields == {} and issubclass(
        Method.Hyperparameters, Settings
    )
