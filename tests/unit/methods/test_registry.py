"""The registry, the schema and the sources of the methods room agree."""

import pytest

from jadapt.config import yaml_files
from jadapt.core.errors import UserError
from jadapt.methods import registry
from jadapt.workflow import code_hash

SCHEMA = yaml_files.read_schema("methods")


def test_registry_and_schema_name_the_same_methods():
    assert set(SCHEMA["$defs"]) == set(registry.METHODS)
    for name, method in registry.METHODS.items():
        assert set(SCHEMA["$defs"][name]["properties"]) == set(method.hyperparameters), name


def test_registry_and_schema_name_the_same_strategies():
    assert set(SCHEMA["strategies"]) == set(registry.STRATEGIES)
    for name, strategy in registry.STRATEGIES.items():
        described = SCHEMA["strategies"][name]
        assert set(described["properties"]) == set(strategy.hyperparameters), name
        assert set(described["composes_with"]) == set(strategy.composes_with), name


def test_an_unknown_method_is_named():
    with pytest.raises(UserError, match=r"unknown method 'lroa'; did you mean 'lora'\?"):
        registry.create("lroa", {})


def test_an_unknown_or_undefined_strategy_is_named():
    with pytest.raises(UserError, match=r"unknown strategy 'ecw'; did you mean 'ewc'\?"):
        registry.create_strategies({"ecw": {}}, "sft")
    with pytest.raises(UserError, match="'replay' is not defined for method 'den'"):
        registry.create_strategies({"replay": {"ratio": 0.5, "memory_rows": 1}}, "den")


def test_a_run_follows_its_own_modules_and_the_shared_ones():
    def names(settings):
        return set(code_hash.closure("train.py", *registry.modules_of(settings)))

    methods = "jadapt.methods"
    sft = names({"method": "sft"})
    assert {f"{methods}.{name}" for name in ("base", "registry", "full", "strategy")} <= sft
    assert {"jadapt.core.bucketing", "jadapt.training.run", "jadapt.config.parallelism"} <= sft
    others = {"peft.lora", "peft.den", "continual.gem", "continual.ewc"}
    assert not {f"{methods}.{name}" for name in others} & sft
    composed = names({"method": "lora", "continual": {"ewc": {}}})
    parts = ("peft.lora", "continual.ewc", "continual.fisher")
    assert {f"{methods}.{name}" for name in parts} <= composed
    assert f"{methods}.continual.gem" not in composed


@pytest.mark.parametrize("name", [*registry.METHODS, *registry.STRATEGIES])
def test_every_name_leads_to_the_module_of_its_class(name):
    kind = registry.METHODS if name in registry.METHODS else registry.STRATEGIES
    assert kind[name].__module__ == kind.module(name)
