"""The numbers of a paper: found by name or by what is printed, and what each is computed from."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache, cached_property
from typing import Any

import pandas as pd

from jadapt.analysis import claim_verdicts, expressions, printed_tables, summaries, transfer_tables
from jadapt.analysis.adapted_models import Method, Tables, methods
from jadapt.analysis.labels import BASE
from jadapt.analysis.statements import statements
from jadapt.core.errors import UserError, nearest
from jadapt.core.released import CARD
from jadapt.paper import context
from jadapt.release import injections, names
from jadapt.release.injections import Injection
from jadapt.release.names import find, is_number
from jadapt.release.origins import (
    CONFIGURATION,
    CONSTANTS,
    LITERATURE,
    OF_CLAIMS,
    OF_FUNCTION,
    OF_PART,
    OF_RUNS,
    OF_TABLE,
    Number,
    Sources,
    only,
)

SHOWN = 12
# A corrected p value depends on every test, and with it on every run.
CORRECTED = re.compile(r"(^|[._])p$")
PRINTED = re.compile(r"[−-]?\d[\d,]*(?:\.\d+)?(?: × 10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?")


class Paper:
    """The numbers of the paper of one study."""

    def __init__(self, sources: Sources):
        self.sources = sources
        self.table = cache(self._table)
        self.cells = cache(self._cells)

    @property
    def methods(self) -> list[Method]:
        """The adapted models."""
        return self.context["methods"]

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """The verdicts on published claims."""
        return claim_verdicts.judge(self.sources.ledger, self.sources.tables, self.sources.unmet)

    @cached_property
    def context(self) -> dict[str, Any]:
        """What the template is filled with."""
        given = self.sources
        return context.context(given.tables, given.settings, given.literature) | {
            "ledger": claim_verdicts.summary(self.verdicts, given.ledger.sources),
            "statement": statements(given.manifest),
            "study": given.study,
        }

    @cached_property
    def root(self) -> dict[str, Any]:
        """The same in the form that names lead through."""
        runs = {method.name: method for method in self.context["methods"]}
        told = self.context["hyperparameters"]
        return {
            **self.context,
            **runs,
            "setting": self.sources.settings,
            "hyperparameters": {
                name: {printed_tables.slug(words): value for words, value in told(method)}
                for name, method in runs.items()
            },
        }

    @cached_property
    def injections(self) -> list[Injection]:
        """Every number that the paper prints, in the order of the text."""
        return injections.record(
            self.sources.template, self.context, lambda table: list(self.cells(table).values())
        )

    @cached_property
    def parts(self) -> dict[str, str]:
        """The part of the text that each name of the context belongs to."""
        given = self.sources
        return {
            key: part
            for part, made in context.PARTS.items()
            for key in made(given.tables, given.settings, self.methods)
        }

    def _cells(self, name: str) -> dict[str, printed_tables.Cell]:
        """Return the cells of a printed table by name."""
        frame, keys = self.table(name)
        return {cell.name: cell for cell in printed_tables.cells(name, frame, keys)}

    def _table(self, name: str) -> tuple[pd.DataFrame, list[str]]:
        verdicts = self.verdicts if name in printed_tables.CLAIMS else None
        frame = printed_tables.make(name, self.sources.tables, verdicts)
        return frame, printed_tables.keys(name, frame, verdicts)

    def places(self, name: str) -> list[str]:
        """Return where the text prints a number, as ``file:line``."""
        return list(dict.fromkeys(each.place for each in self.injections if each.name == name))

    def printed_as(self, text: str) -> list[Injection]:
        """Return the numbers that are printed so, one of each name.

        Raises:
            UserError: the paper prints no such number; the nearest is given.
        """
        wanted = text.strip().replace("-", "−")
        by_text: dict[str, dict[str | None, Injection]] = {}
        for each in self.injections:
            words = each.text.replace("\\", "")
            for part in {words.strip(), *PRINTED.findall(words)}:
                by_text.setdefault(part, {}).setdefault(each.name, each)
        if wanted not in by_text:
            near = difflib.get_close_matches(wanted, by_text, n=3, cutoff=0.5)
            hint = f"; near it: {', '.join(near)}" if near else ""
            raise UserError(f"number '{text}': the paper prints no such number{hint}")
        return list(by_text[wanted].values())

    def number(self, name: str) -> Number:
        """Return a number by its name, or by any way that leads to it.

        Raises:
            UserError: there is no such number; the nearest names are given.
        """
        if name.startswith("table."):
            return self._cell(name)
        try:
            value = find(self.root, name)
        except (KeyError, IndexError):
            value = None
        if not is_number(value):
            raise UserError(f"number '{name}': not in the paper{self._nearest(name)}")
        return self._other(name, value) or self._measured(self._short(name), value)

    def _nearest(self, name: str) -> str:
        known = {each.name for each in self.injections if each.name}
        if name.startswith("table."):
            known = {each for each in known if each.startswith("table.")}
        else:
            for run in [method.name for method in self.methods]:
                known |= set(names.numbers(self.root[run], run))
        hint = nearest(name, known)
        return (
            hint if "did you mean" in hint else f"; for example {', '.join(sorted(known)[:SHOWN])}"
        )

    def _short(self, name: str) -> str:
        """Return the name that begins with the run that a longer one leads through."""
        parts = name.split(".")
        for size in range(len(parts) - 1, 1, -1):
            found = find(self.root, ".".join(parts[:size]))
            if isinstance(found, Method):
                return ".".join([found.name, *parts[size:]])
        return name

    def _other(self, name: str, value: Any) -> Number | None:
        """Return a number that is not measured."""
        top, script = name.partition(".")[0], ("scripts/render_paper.py",)
        for start, path in CONSTANTS.items():
            if name == start or name.startswith(f"{start}."):
                return Number(name, value, (*script, path), (path,), note="a constant")
        if top in CONFIGURATION:
            return Number(name, value, script, ("manifest.json",), note="of the configuration")
        if top in LITERATURE:
            return Number(name, value, script, ("paper/literature.yaml",), note="published")
        if top == "statement":
            return Number(name, value, script, ("manifest.json",), note="of the manifest")
        if top == "ledger":
            return self._judged(name, value, self.verdicts, "counted over verdicts on claims")
        return None

    def _judged(self, name: str, value: Any, rows: pd.DataFrame, note: str) -> Number:
        """Return a number of the ledger: the runs that its claims read are in the verdicts."""
        runs = {part.partition("/")[0] for words in rows["runs"] for part in words.split()}
        called = {call for text in rows["expression"] if text
                  for call in expressions.functions(text)}  # fmt: skip
        read = {OF_FUNCTION[call] for call in called if call in OF_FUNCTION}
        there = [table for table in OF_CLAIMS if table in read]
        return Number(
            name, value, ("scripts/judge_claims.py", "scripts/render_paper.py"),
            ("config/claims.yaml",), tuple(there), tuple(sorted(runs)), note=note,
        )  # fmt: skip

    def _measured(self, name: str, value: Any) -> Number:
        """Return a number that follows from the tables of measurements."""
        tables, settings = self.sources.tables, self.sources.settings
        script, (top, *rest) = ("scripts/render_paper.py",), name.split(".")
        if top in {method.name for method in self.methods}:
            return Number(
                name, value, script, (), OF_RUNS, (BASE, top), only(tables, [BASE, top]),
                lambda some: find({m.name: m for m in methods(some, settings)}, name),
            )  # fmt: skip
        part = self.parts[top]
        if part == "results":
            return self._compared(name, value, rest)
        runs: tuple[str, ...] | None = None
        if part == "before":
            # With one other run, since the tasks are those that some run went through.
            runs, tables = (BASE,), only(tables, [BASE, self.methods[0].name])
        return Number(
            name, value, script, (), OF_PART[part], runs, tables,
            lambda some: find(context.PARTS[part](some, settings, self.methods), name),
        )  # fmt: skip

    def _compared(self, name: str, value: Any, rest: list[str]) -> Number:
        tables, settings = self.sources.tables, self.sources.settings
        pair = find(self.root, ".".join(name.split(".")[:2])) if rest else None
        if hasattr(pair, "reference") and not CORRECTED.search(name):
            runs = tuple(dict.fromkeys([BASE, pair.reference.name, pair.method.name]))

            def value_of(some: Tables) -> Any:
                found = methods(some, settings)
                return find(context.PARTS["results"](some, settings, found), name)

            part = only(tables, [*runs, transfer_tables.reference_method(tables.metrics)])
            script = ("scripts/render_paper.py",)
            return Number(name, value, script, (), OF_RUNS[:2], runs, part, value_of)
        note = "depends on every run: it is counted or corrected over all of them"
        return Number(
            name, value, ("scripts/render_paper.py",), (), OF_RUNS[:2], None, note=note
        )  # fmt: skip

    def _cell(self, name: str) -> Number:
        """Return the number of a cell of a printed table."""
        table = name.split(".")[1]
        if table not in (*printed_tables.MADE, *printed_tables.CLAIMS):
            known = [*printed_tables.MADE, *printed_tables.CLAIMS]
            raise UserError(f"number '{name}': no table '{table}'{nearest(table, known)}")
        for needed in OF_TABLE.get(table, ()):
            if getattr(self.sources.tables, needed) is None:
                if needed == "card":
                    raise UserError(f"number '{name}': {CARD} holds nothing yet, which it is of")
                raise UserError(f"number '{name}': this study has no {needed}.csv, which it is of")
        cell = self.cells(table).get(name)
        if cell is None:
            raise UserError(f"number '{name}': not in the paper{self._nearest(name)}")
        scripts = (f"notebooks/{table}.ipynb", "scripts/render_paper.py")
        if table in printed_tables.CLAIMS:
            rows = self.verdicts[self.verdicts["id"] == cell.row]
            note = f"claim {cell.row}: {rows['expression'].iloc[0]}"
            found = self._judged(name, cell.value, rows, note)
            return replace(found, scripts=("scripts/judge_claims.py", *scripts))
        runs, part, again = None, self.sources.tables, None
        method = cell.row.split(".")[0]
        # The methods of a card are measured by themselves: no run of the study is theirs.
        of_run = OF_TABLE[table] != ("card",)
        if of_run and method in [*summaries.adapted(part.metrics), BASE]:
            runs = (BASE, method)
            if table in ("effects", "transfer"):
                runs = tuple(dict.fromkeys([*runs, transfer_tables.reference_method(part.metrics)]))
            part = only(part, [*runs, self.methods[0].name])
        if not CORRECTED.search(cell.column):
            again = _again(table, cell)
        else:
            runs = None
        return Number(
            name, cell.value, scripts, (), OF_TABLE[table], runs, part, again
        )  # fmt: skip


def _again(table: str, cell: printed_tables.Cell) -> Callable[[Tables], Any]:
    """Return what computes a cell again from other tables."""

    def value_of(some: Tables) -> Any:
        frame = printed_tables.make(table, some)
        return printed_tables.value(
            frame, printed_tables.keys(table, frame).index(cell.row), cell.column
        )

    return value_of
