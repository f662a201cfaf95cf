"""The expressions of the claims ledger: what they may name, checked before anything is measured.

`simpleeval` walks the tree of an expression; of what it knows, only numbers, words, names, calls
and the four arithmetic operations are left switched on. Imported by the Snakefile, so nothing
heavy.
"""

from __future__ import annotations

import ast
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simpleeval import InvalidExpression, SimpleEval

from jadapt.analysis.labels import SCRIPTS, known_runs, split_name
from jadapt.core.errors import UserError, nearest
from jadapt.evaluation.metrics.registry import names

# Roles of domains, the same in every study: the mean over the tasks, the base model's own domain,
# and the sequence as a whole.
TASKS, SOURCE, SEQUENCE = "tasks", "source_domain", "sequence"
# What the evaluation measures; `retention` stands for that of the base model's own domain.
MEASURED = tuple(names(SCRIPTS))
COSTS = (
    "parameters",
    "trainable_parameters",
    "trainable_percent",
    "tokens_per_second",
    "seconds",
    "training_seconds",
    "peak_memory_mib",
    "steps",
    "tokens",
    "final_training_loss",
)
# Linear layers of a Qwen2-shaped block.
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
LAYERS = {"all": ATTENTION + MLP, "attention": ATTENTION, "mlp": MLP, "qv": ("q_proj", "v_proj")}

RUN, METRIC, DOMAIN, COST, SHAPE, LINEAR, ABLATION, WORD, NUMBER = (
    "run", "metric", "domain", "cost", "shape", "layers", "ablation", "word", "number",
)  # fmt: skip
# The functions, by the kinds of their arguments; `jadapt.analysis.claim_functions` defines them.
MEASURING = {
    "measured": (RUN, DOMAIN, METRIC),
    "gain": (RUN,),
    "loss": (RUN,),
    "cost": (RUN, COST),
    "ablation": (ABLATION, WORD, DOMAIN, METRIC),
    "steps_to_converge": (RUN,),
    "variance_at_end": (RUN,),
    "lowest_validation_step": (RUN,),
    "validation_rise": (RUN,),
}
COUNTING = {
    "total_parameters": (SHAPE,),
    "lora_parameters": (SHAPE, NUMBER, LINEAR),
    "lora_choices": (SHAPE, NUMBER, NUMBER),
}
SIGNATURES = MEASURING | COUNTING
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}
_NODES = (ast.Expr, ast.Name, ast.UnaryOp, ast.BinOp, ast.Call, ast.Constant)


@dataclass(frozen=True)
class Vocabulary:
    """What the arguments of an expression may be, where that depends on the configuration."""

    domains: tuple[str, ...]
    shapes: tuple[str, ...]

    def of(self, kind: str) -> Iterable[str] | None:
        """Return the known words of a kind of argument; None where any will do."""
        return {
            METRIC: MEASURED,
            COST: COSTS,
            DOMAIN: (TASKS, SOURCE, SEQUENCE, *self.domains),
            SHAPE: self.shapes,
            LINEAR: tuple(LAYERS),
        }.get(kind)


def evaluate(
    text: str, names: Mapping[str, float], functions: Mapping[str, Callable] | None = None
) -> Any:
    """Return the value of an expression.

    Raises:
        UserError: it is not an expression of this small language.
    """
    evaluator = SimpleEval(operators=_OPERATORS, functions=dict(functions or {}), names=dict(names))
    evaluator.nodes = {kind: evaluator.nodes[kind] for kind in _NODES}
    try:
        return evaluator.eval(text)
    except ZeroDivisionError:
        raise UserError(f"'{text}' divides by zero") from None
    except OverflowError:
        raise UserError(f"'{text}' becomes too large a number") from None
    except (InvalidExpression, SyntaxError, TypeError, ValueError) as error:
        raise UserError(f"'{text}' cannot be evaluated ({error})") from error


def evaluate_placeholders(text: str, names: Mapping[str, float]) -> None:
    """Evaluate a checked expression with numbers in place of measurements.

    The numbers are positive and all differ, so that a divisor that is a difference of two
    measurements is not taken for one that is always zero.

    Raises:
        UserError: it divides by zero or becomes infinite whatever is measured.
    """
    numbers = (math.sqrt(2 + n) for n in itertools.count())
    functions = {name: lambda *words: next(numbers) for name in SIGNATURES}
    if not math.isfinite(float(evaluate(text, names, functions))):
        raise UserError(f"'{text}' becomes too large a number")


def arguments(text: str) -> list[tuple[str, str]]:
    """Return the words that the functions of a checked expression are given, as (kind, word)."""
    return [
        (kind, str(argument.value))
        for call in _calls(text)
        for kind, argument in zip(SIGNATURES[_name(call)], call.args, strict=True)
        if isinstance(argument, ast.Constant)
    ]


def functions(text: str) -> list[str]:
    """Return the names of the functions that an expression calls, each once."""
    return list(dict.fromkeys(map(_name, _calls(text))))


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _calls(text: str) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(text.strip())) if isinstance(node, ast.Call)]


def check(
    text: str, names: Iterable[str], vocabulary: Vocabulary, *, functions: Mapping | None = None
) -> None:
    """Raise a `UserError` unless everything that an expression names exists.

    Args:
        text: the expression.
        names: the published numbers of its claim.
        vocabulary: the domains and shapes of the configuration.
        functions: signatures to allow; all of them by default.
    """
    functions = SIGNATURES if functions is None else functions
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise UserError(f"'{text}' is not an expression ({error.msg})") from None
    _check_node(body, tuple(names), vocabulary, functions)


def _check_node(
    node: ast.AST, names: tuple[str, ...], vocabulary: Vocabulary, functions: Mapping
) -> None:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        for side in (node.left, node.right):
            _check_node(side, names, vocabulary, functions)
    elif isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        _check_node(node.operand, names, vocabulary, functions)
    elif isinstance(node, ast.Name):
        if node.id not in names:
            raise UserError(f"unknown number '{node.id}'{nearest(node.id, names)}")
    elif isinstance(node, ast.Call):
        _check_call(node, names, vocabulary, functions)
    elif not (isinstance(node, ast.Constant) and type(node.value) in (int, float)):
        raise UserError(
            f"'{ast.unparse(node)}' is not allowed; use numbers, functions and + - * / only"
        )


def _check_call(
    node: ast.Call, names: tuple[str, ...], vocabulary: Vocabulary, functions: Mapping
) -> None:
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    if name not in functions:
        raise UserError(f"unknown function '{name}'{nearest(name, functions)}")
    kinds = functions[name]
    if node.keywords or len(node.args) != len(kinds):
        raise UserError(f"{name} takes {len(kinds)} argument(s): {', '.join(kinds)}")
    for kind, argument in zip(kinds, node.args, strict=True):
        if kind == NUMBER:
            _check_node(argument, names, vocabulary, functions)
            continue
        word = argument.value if isinstance(argument, ast.Constant) else None
        if not isinstance(word, str):
            raise UserError(f"{name}: '{ast.unparse(argument)}' is no {kind} in quotes")
        known = vocabulary.of(kind)
        if known is not None and word not in known:
            raise UserError(f"{name}: unknown {kind} '{word}'{nearest(word, known)}")
        # A study chooses the names of its runs, but they begin with a method.
        if kind == RUN and not split_name(word)[0]:
            raise UserError(f"{name}: unknown run '{word}'{nearest(word, known_runs())}")
