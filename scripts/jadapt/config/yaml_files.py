"""Files of settings: read, and checked against their JSON Schemas.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import yaml

from jadapt.core.errors import UserError, nearest
from jadapt.core.paths import ROOT

SCHEMAS = ROOT / "config" / "schemas"


def read_schema(name: str) -> dict:
    """Read ``config/schemas/{name}.schema.json``."""
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))


def read_yaml(path: str | Path) -> dict:
    """Read a YAML file that holds a mapping; its faults are `UserError`s that name the line."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        raise UserError(
            f"{path}{place}: not valid YAML ({getattr(error, 'problem', error)})"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a mapping")
    return content


def check(content: dict, schema: dict, origin: str, at: str = "") -> None:
    """Raise a `UserError` for the first place where ``content`` breaks ``schema``.

    Args:
        content: the configuration, or a part of it.
        schema: a JSON Schema (draft 2020-12).
        origin: the file to name in the message.
        at: the path of ``content`` within the file, with a trailing dot.
    """
    validator = jsonschema.Draft202012Validator(schema)
    error = min(validator.iter_errors(content), key=lambda e: list(map(str, e.path)), default=None)
    if error is None:
        return
    where = at + ".".join(str(part) for part in error.path)
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = sorted(str(key) for key in error.instance if key not in known)
        if known:
            prefix = f"{where}." if where and not where.endswith(".") else where
            raise UserError(
                f"{origin}: unknown key '{prefix}{unknown[0]}'{nearest(unknown[0], known)}"
            )
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        prefix = f"{where}." if where and not where.endswith(".") else where
        raise UserError(f"{origin}: missing key '{prefix}{missing[0]}'")
    if error.validator == "enum":
        raise UserError(
            f"{origin}: {where}: unknown value {error.instance!r}"
            f"{nearest(error.instance, map(str, error.validator_value))}"
        )
    raise UserError(f"{origin}: {where or '(top level)'}: {error.message}")
