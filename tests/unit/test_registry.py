"""The registry, the schema and the sources of the methods room agree."""

import pytest

from jadapt import modules, schemas
from jadapt.errors import UserError
from jadapt.methods import registry

SCHEMA = schemas.read_schema("methods")


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
    sft = set(modules.of_entry({"method": "sft"}))
    assert {"base.py", "registry.py", "sft.py", "strategy.py"} <= sft
    assert not {"lora.py", "gem.py", "ewc.py", "den.py"} & sft
    composed = set(modules.of_entry({"method": "lora", "continual": {"ewc": {}}}))
    assert {"lora.py", "ewc.py", "fisher.py"} <= composed
    assert "gem.py" not in composed


@pytest.mark.parametrize("name", [*registry.METHODS, *registry.STRATEGIES])
def test_every_name_leads_to_the_module_of_its_class(name):
    entry = (
        {"method": name} if name in registry.METHODS else {"method": "sft", "continual": {name: {}}}
    )
    kind = registry.METHODS.get(name) or registry.STRATEGIES[name]
    assert f"{kind.__module__.rsplit('.', 1)[-1]}.py" in modules.of_entry(entry)
