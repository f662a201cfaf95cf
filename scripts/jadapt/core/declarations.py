"""What a method or a strategy declares of itself, and the registries that find both.

One class says everything that the rest of the project has to know of it: validation, legends,
tables, the paper and the documentation read it here. The registries name no class, and import the
module of one when it is asked for, so that light code (the checks of a configuration, figures) can
read declarations without torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from jadapt.core.errors import UserError, nearest
from jadapt.core.registry import Registry

# What a method is about, in the order in which figures show them; `analysis.labels` names them.
FAMILIES = ("reference", "efficient", "regularisation", "memory", "other")
# What a strategy may change: the rows that are trained on, the loss, the gradient, and the weights
# once a task is over. The last goes with methods whose weights can be interpolated
# (`Method.interpolates`), any other with those that name it in `supports`.
ROWS, LOSS, GRADIENT, WEIGHTS = "rows", "loss", "gradient", "weights"
CHANGES = frozenset({ROWS, LOSS, GRADIENT, WEIGHTS})
DDP, FSDP2 = "ddp", "fsdp2"
PARALLELISM = frozenset({DDP, FSDP2})
# Keys of `training.fast` by which a run computes otherwise.
FAST = frozenset({
    "cross_entropy_chunk", "compile_layers", "fuse_projections", "cuda_graphs", "flash_attention",
    "fused_optimiser",
})  # fmt: skip
# The type of a `PydanticCustomError` by which settings refuse a value in words of their own.
REFUSED = "refused"
# Of a class that does not say where it stands: after those that do, before the upper bound.
LAST = 700


@dataclass(frozen=True)
class Look:
    """How one method is drawn in every figure; the marker and dashes survive a grey print."""

    colour: str
    marker: str
    dashes: str | tuple = "-"


class Settings(BaseModel):
    """The base of all typed settings: no unknown key, no text for a number, no infinity."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, validate_default=True
    )


def _as_written(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    check(value)
    return value


def _distinct(values: list) -> list:
    if len(set(values)) < len(values):
        raise ValueError("an entry stands there twice")
    return values


# A finite number that stays what was written: 8 is kept, printed and saved as 8, not 8.0.
Number = Annotated[float, WrapValidator(_as_written), PlainSerializer(lambda value: value)]
Distinct = AfterValidator(_distinct)


class Declared:
    """The base of methods and strategies: what each class says of itself.

    Attributes:
        key: its name in configurations and results.
        label: its name for readers, in headings and legends.
        family: one of `FAMILIES`.
        order: where it stands among all methods and strategies, the lowest first.
        look: how it is drawn; no two are drawn alike.
        summary: one line for tables and documentation.
        paragraph: what the paper's section on methods says of it, in Typst with the template's
            marks (``paper/sections/methods.typ.j2``), where a study uses it.
        citation: key in ``paper/references.bib`` of the work that introduced it; empty for common
            knowledge.
        bibtex: the entry of that work, where ``paper/references.bib`` has none.
        proper_name: whether its label begins with somebody's name, a capital in any place.
        Hyperparameters: its keys in a study, with bounds, defaults, a description and examples.
        parallelism: how runs with it may be spread over devices. What works on the shares that
            ``fsdp2`` makes of parameters and gradients says so; ``ddp`` keeps whole ones.
        fast: the keys of ``training.fast`` that it works with.
        benchmarked: whether a GPU's benchmark measures it, with the first example of each
            hyperparameter.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    family: ClassVar[str]
    order: ClassVar[int] = LAST
    look: ClassVar[Look]
    summary: ClassVar[str]
    paragraph: ClassVar[str]
    citation: ClassVar[str] = ""
    bibtex: ClassVar[str] = ""
    proper_name: ClassVar[bool] = False
    parallelism: ClassVar[frozenset[str]] = frozenset({DDP})
    fast: ClassVar[frozenset[str]] = FAST
    benchmarked: ClassVar[bool] = True

    class Hyperparameters(Settings):
        """None."""

    settings: Any

    def __init__(self, settings: Mapping[str, Any]):
        self.settings = read(self.Hyperparameters, settings)

    @classmethod
    def hyperparameters(cls) -> tuple[str, ...]:
        """Return the names of its hyperparameters, in the order of their declaration."""
        return tuple(cls.Hyperparameters.model_fields)


def read(model: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Return the settings of a model among ``values``; other keys are left alone.

    Raises:
        UserError: one is missing or out of bounds; the line begins with its name.
    """
    own = {key: values[key] for key in model.model_fields if key in values}
    try:
        return model(**own)
    except ValidationError as error:
        first = error.errors()[0]
        place, given = ".".join(map(str, first["loc"])), first["input"]
        if first["type"] == "missing":
            raise UserError(f"{place}: is missing") from None
        if first["type"] == "literal_error":
            known = re.findall("'([^']*)'", first["ctx"]["expected"])
            raise UserError(f"{place}: unknown value {given!r}{nearest(given, known)}") from None
        if first["type"] == REFUSED:
            raise UserError(f"{place}: {first['msg']}") from None
        raise UserError(f"{place}: {first['msg']}, not {given!r}") from None


def schema_of(model: type[Settings]) -> dict[str, Any]:
    """Return the JSON Schema of settings: ``properties`` and ``required``."""
    found = model.model_json_schema()
    properties = {
        name: {key: value for key, value in field.items() if key != "title"}
        for name, field in found.get("properties", {}).items()
    }
    return {"properties": properties, "required": found.get("required", [])}


def example_of(declared: type[Declared]) -> dict[str, Any]:
    """Return a complete set of hyperparameters: the first of each one's ``examples``.

    Raises:
        UserError: one has none.
    """
    found = {}
    for name, field in declared.Hyperparameters.model_fields.items():
        if not field.examples:
            raise UserError(f"{declared.key}.{name}: has no examples; give its Field some")
        found[name] = field.examples[0]
    return found


def refuse(declared: type[Any]) -> str | None:
    """Return what is wrong with a declaration, as the end of a sentence, or None."""
    if declared.family not in FAMILIES:
        return f"family is unknown: '{declared.family}'{nearest(declared.family, FAMILIES)}"
    if not isinstance(declared.look, Look):
        return "look is no Look(colour, marker, dashes)"
    if not issubclass(declared.Hyperparameters, Settings):
        return "Hyperparameters has to derive from jadapt.core.declarations.Settings"
    if not getattr(declared, "changes", CHANGES):
        return f"changes is empty; say what it changes: {', '.join(sorted(CHANGES))}"
    for name, known in (
        ("supports", CHANGES), ("changes", CHANGES), ("parallelism", PARALLELISM), ("fast", FAST),
    ):  # fmt: skip
        for value in sorted(set(getattr(declared, name, ())) - known):
            return f"{name} names '{value}'; it may name {', '.join(sorted(known))}"
    return None


_REQUIRED = ("label", "family", "look", "summary", "paragraph")
# How the model is parameterised: what exists and what trains.
METHODS = Registry(
    "method", ("jadapt.methods.full", "jadapt.methods.peft"), "jadapt.methods", _REQUIRED, refuse
)
# What is done against forgetting; any number of them compose with one method.
STRATEGIES = Registry(
    "strategy",
    ("jadapt.methods.continual",),
    "jadapt.strategies",
    (*_REQUIRED, "stores", "processes"),
    refuse,
)

__all__ = ["Distinct", "Field", "Look", "Number", "Settings"]
