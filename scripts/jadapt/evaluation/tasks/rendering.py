"""Templates of a task, rendered for one record; what the harness gets is plain text.

A template that is the name of a field stands for its value, as in the harness; others are Jinja's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from jadapt.core.errors import UserError
from jadapt.evaluation.tasks.definition import Task

QUERY = "doc_to_decontamination_query"
_ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)


@dataclass(frozen=True)
class Item:
    """One question as models see it.

    ``choices`` compete, after ``text`` or, where there is a ``continuation``, before it; ``gold``
    is the index of the right one. ``answers`` are right texts where there are no choices, ``value``
    a gold number.
    """

    query: str
    text: str = ""
    choices: list[str] = field(default_factory=list)
    continuation: str = ""
    gold: int = 0
    answers: list[str] = field(default_factory=list)
    value: float = 0.0


def query(task: Task, record: dict, origin: str) -> str:
    """Render the text by which repetitions and overlaps are found, of a record of any file."""
    return _Rendering(task, record, origin).text(QUERY)


def render(task: Task, record: dict, origin: str) -> Item:
    """Render a record.

    Raises:
        UserError: a template fails, loses the answer, or the record has no gold answer; the message
            begins with ``origin``, which names the task's file and the record.
    """
    item = _Rendering(task, record, origin)
    query = item.text(QUERY)
    if task.output_type != "multiple_choice":
        answers = [answer for answer in item.texts("doc_to_target") if answer.strip()]
        if not answers:
            raise item.error("doc_to_target", "no gold answer")
        text = item.text("doc_to_text")
        if task.scoring == "extracted_answer" and not any(answer in text for answer in answers):
            raise item.error("doc_to_text", "the template loses the answer: it is not in the text")
        return Item(query, text, answers=answers)
    key = "doc_to_choice" if task.doc_to_choice is not None else "doc_to_contexts"
    choices = item.texts(key)
    if len(choices) < 2 or not all(choices):
        raise item.error(key, "the template loses the answer: empty or too few choices")
    gold = item.gold(choices)
    if isinstance(task.doc_to_target, int):
        choices, gold = _reordered(choices, gold)
    return Item(
        query,
        item.text("doc_to_text"),
        choices=choices,
        continuation=item.text("doc_to_continuation") if task.doc_to_continuation else "",
        gold=gold,
        value=item.value(),
    )


def _reordered(choices: list[str], gold: int) -> tuple[list[str], int]:
    """Order choices by their checksums: a model without a preference takes the first."""

    def rank(place: int) -> bytes:
        return hashlib.sha256("\0".join([choices[place], *sorted(choices)]).encode()).digest()

    order = sorted(range(len(choices)), key=rank)
    return [choices[place] for place in order], order.index(gold)


@lru_cache
def _compiled(template: str) -> Template:
    return _ENVIRONMENT.from_string(template)


class _Rendering:
    """The templates of one task with the fields of one record."""

    def __init__(self, task: Task, record: dict, origin: str) -> None:
        self.task, self.record, self.origin = task, record, origin

    def error(self, key: str, what: str) -> UserError:
        return UserError(f"{self.origin}: {key}: {what}")

    def text(self, key: str) -> str:
        return str(self._value(getattr(self.task, key), key))

    def texts(self, key: str) -> list[str]:
        template = getattr(self.task, key)
        value = (
            [self._value(part, key) for part in template]
            if isinstance(template, list)
            else self._value(template, key)
        )
        return [str(part) for part in value] if isinstance(value, list) else [str(value)]

    def gold(self, choices: list[str]) -> int:
        """Return the index of the right choice, given as an index or as its text."""
        value = self._value(self.task.doc_to_target, "doc_to_target")
        if isinstance(value, str) and value in choices:
            return choices.index(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error("doc_to_target", f"no gold answer: {value!r} is none of the choices")
        if not 0 <= value < len(choices):
            raise self.error("doc_to_target", f"no gold answer: {value} of {len(choices)} choices")
        return value

    def value(self) -> float:
        if self.task.doc_to_value is None:
            return 0.0
        value = self._value(self.task.doc_to_value, "doc_to_value")
        try:
            return float(value)
        except (TypeError, ValueError):
            raise self.error("doc_to_value", f"no gold answer: {value!r} is no number") from None

    def _value(self, template: Any, key: str) -> Any:
        if isinstance(template, int):
            return template
        if template in self.record:
            return self.record[template]
        try:
            return _compiled(template).render(self.record)
        except TemplateError as error:
            raise self.error(key, f"the template fails ({error}); correct it") from error
