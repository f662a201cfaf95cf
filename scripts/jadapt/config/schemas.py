"""JSON Schemas of the configuration files, made from their models, for editors and readers."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from jadapt.config import composition, entries
from jadapt.config.base_models import Models
from jadapt.config.catalogue import Catalogue
from jadapt.config.claim_files import ClaimsFile
from jadapt.config.cluster import Cluster
from jadapt.config.fields import Section
from jadapt.config.study import StudySettings
from jadapt.config.training import CHANGED
from jadapt.core.declarations import METHODS, STRATEGIES
from jadapt.core.paths import ROOT

FOLDER = ROOT / "config" / "schemas"
WIDTH = 160
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MODELS: dict[str, type[Section]] = {
    "study": StudySettings,
    "corpora": Catalogue,
    "models": Models,
    "claims": ClaimsFile,
    "cluster": Cluster,
}


class _Schema(GenerateJsonSchema):
    """Without the titles that only repeat a key, and defaults that mean "left out"."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave the titles of fields out."""
        return False

    def default_schema(self, schema: Any) -> dict[str, Any]:
        """Leave out a default of null: the key is left out then."""
        found = super().default_schema(schema)
        if found.get("default", 0) in (None, "", [], {}):
            found.pop("default", None)
        return found


def read(name: str) -> dict[str, Any]:
    """Read ``config/schemas/{name}.schema.json``."""
    return json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))


def texts() -> dict[str, str]:
    """Return the content of every schema by its file's name."""
    found = {
        name: model.model_json_schema(schema_generator=_Schema) for name, model in _MODELS.items()
    }
    found["study"]["properties"]["methods"]["additionalProperties"] = {
        "anyOf": [{"$ref": f"methods.schema.json#/$defs/{key}"} for key in _ordered(METHODS)]
    }
    found["methods"] = _methods()
    for schema in found.values():
        _explain(schema)
    return {
        f"{name}.schema.json": _written_out({"$schema": DIALECT, **schema}) + "\n"
        for name, schema in found.items()
    }


def _written_out(value: Any, indent: int = 0) -> str:
    """Return JSON in which what fits on a line stands on one."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    inner = indent + 2
    if isinstance(value, list):
        parts = [_written_out(part, inner) for part in value]
    else:
        parts = [f"{json.dumps(k)}: {_written_out(v, inner)}" for k, v in value.items()]
    first, last = ("[", "]") if isinstance(value, list) else ("{", "}")
    space = "\n" + " " * indent
    return first + ",".join(f"{space}  {part}" for part in parts) + space + last


def _ordered(registry: Any) -> list[str]:
    # Those of the repository: what else is installed here is no part of it.
    own = [key for key in registry if registry.module(key).startswith("jadapt.")]
    return sorted(own, key=lambda key: (registry[key].order, registry[key].label))


def _methods() -> dict[str, Any]:
    """Return the schema of the entries of ``methods``; a method or strategy is one definition."""
    models = {key: entries.entry_model(key) for key in _ordered(METHODS)}
    models |= {key: entries.strategy_model(key) for key in _ordered(STRATEGIES)}
    modes: Any = [(model, "validation") for model in models.values()]
    _, made = models_json_schema(modes, schema_generator=_Schema)
    definitions = made["$defs"]
    for key, model in models.items():
        definitions[key] = definitions.pop(model.__name__)
    for key in _ordered(METHODS):
        properties = definitions[key]["properties"]
        properties["method"] = {"const": key, "description": "The method."}
        properties["continual"] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                name: {"$ref": f"#/$defs/{name}"}
                for name in _ordered(STRATEGIES)
                if key in composition.methods_of(name)
            },
            "description": "Strategies against forgetting, with their settings.",
        }
    return {
        "title": "Entries of `methods`",
        "description": "Methods and the strategies that compose with them, as the classes of "
        "scripts/jadapt/methods declare them.",
        "$defs": definitions,
    }


def _explain(schema: dict[str, Any]) -> None:
    """Put the texts below fields into a schema."""
    for title, part in [(schema.get("title"), schema), *schema.get("$defs", {}).items()]:
        words = _texts_of(part.get("title", title))
        for key, entry in part.get("properties", {}).items():
            if key in words:
                entry["description"] = words[key]


def _texts_of(name: str) -> dict[str, str]:
    """Return the texts below the fields of a model, and of those that it derives from."""
    models = {model.__name__: model for model in _below(Section)}
    if name not in models:
        return {}
    found: dict[str, str] = {}
    for model in reversed(models[CHANGED.get(name, models[name]).__name__].__mro__):
        found |= _written(model)
    return found


def _below(model: type) -> list[type]:
    return [each for sub in model.__subclasses__() for each in (sub, *_below(sub))]


def _written(model: type) -> dict[str, str]:
    module = sys.modules[model.__module__]
    if not issubclass(model, Section):
        return {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef) and node.name == model.__name__:
            pairs = zip(node.body, node.body[1:], strict=False)
            return {
                field.target.id: " ".join(str(text.value.value).split())
                for field, text in pairs
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            }
    return {}
