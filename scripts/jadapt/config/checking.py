"""Settings checked against a model, with the first fault in one line of plain words.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from jadapt.config.fields import MISSING_KEY, UNKNOWN_KEY, WORDS
from jadapt.config.origins import Origin, as_origin
from jadapt.config.yaml_files import Keys
from jadapt.core.errors import UserError, nearest

Model = TypeVar("Model", bound=BaseModel)

_TYPES = {
    "int_type": "a whole number", "float_type": "a number", "string_type": "text",
    "bool_type": "true or false", "list_type": "a list", "dict_type": "a mapping",
    "model_type": "a mapping", "model_attributes_type": "a mapping",
}  # fmt: skip


def check(content: Any, model: type[Model], origin: str | Origin, at: str = "") -> Model:
    """Return the model of a part of a configuration.

    Args:
        content: the configuration, or a part of it.
        model: what it has to be like.
        origin: where it was written.
        at: the keys that lead to it within the file, dotted, with a trailing dot.

    Raises:
        UserError: the first fault: file, line, key and remedy.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _in_words(error, content, as_origin(origin), at) from None


def _in_words(error: ValidationError, content: Any, origin: Origin, at: str) -> UserError:
    faults = error.errors(include_url=False, include_context=True)
    # A key that is missing elsewhere may be the one that is unknown here.
    fault = min(faults, key=lambda each: each["type"] != UNKNOWN_KEY)
    context, kind = fault.get("ctx", {}), fault["type"]
    inner = _keys(fault["loc"], content, missing=kind == "missing")
    outer: Keys = tuple(part for part in at.split(".") if part)
    if kind in (UNKNOWN_KEY, MISSING_KEY):
        inner = (*inner, context["key"])
    keys = (*outer, *inner)
    key, place = ".".join(map(str, keys)), origin.at(keys)
    if kind == UNKNOWN_KEY:
        return UserError(f"{place}: unknown key '{key}'{context['hint']}")
    if kind in ("missing", MISSING_KEY):
        return UserError(f"{place}: missing key '{key}'")
    return UserError(f"{place}: {key or '(top level)'}: {_what(fault, kind, context)}")


def _what(fault: Mapping, kind: str, context: dict) -> str:
    value = short(fault["input"])
    match kind:
        case str() if kind == WORDS:
            return context["message"]
        case "literal_error" | "enum":
            known = re.findall(r"'([^']*)'", context["expected"])
            return f"unknown value {value}{nearest(fault['input'], known)}"
        case "union_tag_invalid":
            known = re.findall(r"'([^']*)'", context["expected_tags"])
            return f"unknown value {context['tag']!r}{nearest(context['tag'], known)}"
        case "greater_than_equal":
            return f"{value} is less than the minimum of {context['ge']}"
        case "greater_than":
            return f"{value} is less than or equal to the minimum of {context['gt']}"
        case "less_than_equal":
            return f"{value} is greater than the maximum of {context['le']}"
        case "less_than":
            return f"{value} is greater than or equal to the maximum of {context['lt']}"
        case "too_short" | "string_too_short":
            return f"{value} is too short; it needs at least {context['min_length']}"
        case "too_long" | "string_too_long":
            return f"is too long; at most {context['max_length']} may stand in it"
        case "finite_number":
            return f"{value} is not a finite number"
        case _ if kind in _TYPES:
            return f"{value} is not {_TYPES[kind]}{_hint(kind, fault['input'])}"
    return " ".join(fault["msg"].split())


def _hint(kind: str, value: Any) -> str:
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    if kind == "string_type" and not isinstance(value, list | dict):
        return "; put it in quotes"
    return ""


def short(value: Any) -> str:
    """Return a value as it is shown in a message: no more than some sixty characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _keys(location: tuple, content: Any, missing: bool) -> Keys:
    """Return where a fault is, without the names that pydantic gives to branches of a union."""
    found: list[str | int] = []
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if (isinstance(content, dict) and part in content) or (
            isinstance(content, list) and isinstance(part, int) and part < len(content)
        ):
            content = content[part]
        elif not (last and missing):
            continue
        found.append(part)
    return tuple(found)
