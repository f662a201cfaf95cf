"""The schemas of the configuration: made from the models, current, and with every key explained."""

import json

import jsonschema
import pytest

from jadapt.config import layers, schemas, studies
from jadapt.config.base_models import ARCHITECTURES
from jadapt.core.declarations import METHODS, STRATEGIES
from jadapt.core.paths import ROOT

NAMES = ["study", "corpora", "models", "claims", "cluster", "methods"]


def test_the_schemas_are_what_the_models_say():
    made = schemas.texts()
    assert {path.name for path in schemas.FOLDER.iterdir()} == set(made)
    stale = [
        name
        for name, text in made.items()
        if (schemas.FOLDER / name).read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run make schemas"


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_explains_every_key(name):
    schema = schemas.read(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    silent = [
        f"{title}.{key}"
        for title, part in [(name, schema), *schema.get("$defs", {}).items()]
        for key, entry in part.get("properties", {}).items()
        if not {"description", "$ref"} & set(entry)
    ]
    assert silent == []


def test_every_method_and_strategy_has_its_keys():
    definitions = schemas.read("methods")["$defs"]
    for key, declared in [*METHODS.items(), *STRATEGIES.items()]:
        assert set(declared.hyperparameters()) <= set(definitions[key]["properties"]), key


@pytest.mark.parametrize("name", ["config", "smollm", "qwen"])
def test_shipped_studies_follow_the_schema(name):
    """What an editor says of a study is what the models say."""
    study = layers.read([ROOT / f"config/{name}.yaml"]).content
    schema = json.loads(json.dumps(schemas.read("study")))
    del schema["properties"]["methods"]["additionalProperties"]
    jsonschema.Draft202012Validator(schema).validate(study)
    methods = schemas.read("methods")
    for entry in study["methods"].values():
        part = {**methods, "$ref": f"#/$defs/{entry['method']}"}
        jsonschema.Draft202012Validator(part).validate(entry)
    for part in ("corpora", "models"):
        content = studies.read_catalogue() if part == "corpora" else studies.read_models()
        jsonschema.Draft202012Validator(schemas.read(part)).validate(content)


def test_an_architecture_that_may_be_named_can_be_built():
    from jadapt.models import scratch

    assert set(scratch.ARCHITECTURES) == set(ARCHITECTURES)
