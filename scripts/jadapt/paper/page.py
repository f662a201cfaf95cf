"""The HTML page of a study: one file with everything in it, made from the study's tables."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
import numpy
import pandas as pd
from PIL import Image

from jadapt.analysis import claim_verdicts, findings, summaries
from jadapt.analysis.adapted_models import Tables
from jadapt.analysis.labels import BASE, domain_label, in_order, method_label
from jadapt.analysis.numbers import Numbers
from jadapt.analysis.printing import count, fixed, present, significant
from jadapt.analysis.tables import load_table
from jadapt.core.errors import UserError
from jadapt.figures import style
from jadapt.figures.curves import curve_titles
from jadapt.paper.context import alternative_text, licences
from jadapt.paper.front_matter import FrontMatter

# An SVG larger than this (bytes) is replaced by the PNG.
LARGEST_DRAWING = 250_000
# Findings that the page begins with.
HEADLINE = ("models_beat_ngram", "no_task_got_worse", "earlier_domains_help")
_SHOWN = re.compile(r'include "([^"]+)"|\bfigure\("(\w+)"')
POINTS = 40
FIRST, CORPORA = "results", "corpora"
# The ledger has a part of its own, with every claim.
ELSEWHERE = (FIRST, CORPORA, "claims", "claims_arithmetic")


def context(
    tables: Tables,
    claims: pd.DataFrame,
    notebooks: dict[str, dict[str, Any]],
    figures: Path,
    printed: Path,
    front: FrontMatter,
    order: Sequence[str] = (),
    links: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the context of the page's template.

    Args:
        tables: the study's tables.
        claims: the ledger, as `jadapt.analysis.claim_verdicts.judge` returns it.
        notebooks: the ``kind``, ``caption`` and ``tables`` of every notebook by name.
        figures: folder of the figures as SVG and PNG.
        printed: folder of the printed tables as CSV.
        front: title, authors and more.
        order: names of figures as the paper shows them; others follow.
        links: addresses of the measured tables, seen from the page.

    Raises:
        UserError: a figure or table is missing.
    """
    shown = {
        name: _table(printed / f"{name}.csv", name, facts)
        for name, facts in notebooks.items()
        if facts["kind"] == "table"
    }
    for name in (FIRST, CORPORA):
        if name not in shown:
            raise UserError(f"{printed / name}.csv: no such table; run its notebook first")
    return {
        "front": front,
        "headline": headline(tables),
        "links": links or {},
        "study": tables.metrics["study"].iloc[0],
        "facts": _facts(tables),
        "main": shown[FIRST],
        "corpora": shown[CORPORA],
        "tables": [shown[name] for name in shown if name not in ELSEWHERE],
        "figures": [
            {
                "name": name,
                **notebooks[name],
                **picture(figures / name),
                "alt": alternative_text(notebooks, name),
            }
            for name in ordered(
                (name for name, facts in notebooks.items() if facts["kind"] == "figure"), order
            )
        ],
        "curves": curve_data(tables.curves),
        "ledger": {"claims": len(claims)},
        "counts": {
            word: int((claims["verdict"] == word).sum()) for word in claim_verdicts.VERDICTS
        },
        "verdicts": claim_verdicts.VERDICTS,
        "claims": claim_rows(claims),
        "run_columns": RUN_COLUMNS,
        "runs": run_rows(tables),
        "licences": licences(tables.corpora),
    }


def headline(tables: Tables) -> list[str]:
    """Return what the study found, in sentences, what got worse first."""
    found, numbers = findings.find(tables), Numbers()
    said = [found.known(name) for name in HEADLINE]
    known = [finding for finding in said if finding is not None]
    for finding in known:
        finding.add_to(numbers)
    return [finding.said(numbers.by_name().printed) for finding in known]


def ordered(names: Iterable[str], order: Sequence[str]) -> list[str]:
    """Return names in a given order, those that it lacks after the others."""
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order)))


def figures_of(template: Path) -> list[str]:
    """Return the names of the figures that the paper's template shows, in its order.

    Raises:
        UserError: the template, or a part that it includes, is missing.
    """
    if not template.is_file():
        raise UserError(f"{template}: no such template")
    found: list[str] = []
    for part, figure in _SHOWN.findall(template.read_text(encoding="utf-8")):
        if part.endswith(".typ.j2"):
            found += figures_of(_root(template) / part)
        elif figure:
            found.append(figure)
    return list(dict.fromkeys(found))


def _root(template: Path) -> Path:
    return template.parent.parent if template.parent.name == "sections" else template.parent


def render(template: Path, values: dict[str, Any]) -> str:
    """Fill the page's template, with the style and the script that lie beside it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = {}
    for name, suffix in (("style", "css"), ("script", "js")):
        path = template.parent / f"page.{suffix}"
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        parts[name] = path.read_text(encoding="utf-8")
    try:
        return environment.get_template(template.name).render(values | parts)
    except jinja2.TemplateNotFound as error:
        raise UserError(f"{template.parent / str(error)}: no such template") from None
    except jinja2.TemplateError as error:
        raise UserError(f"{template}: {error}") from error


def _table(path: Path, name: str, facts: dict[str, Any]) -> dict[str, Any]:
    title = name.replace("_", " ").capitalize()
    return {"name": name, "title": title, "printed": present(load_table(path)), **facts}


def picture(stem: Path) -> dict[str, Any]:
    """Return a figure as a ``data:`` URL (SVG, or PNG where the SVG is large).

    ``size`` is (width, height) in pixels, so that the page does not jump while it loads.
    """
    drawing, pixels = stem.with_suffix(".svg"), stem.with_suffix(".png")
    for path in (drawing, pixels):
        if not path.is_file():
            raise UserError(f"{path}: no such figure; run its notebook first")
    with Image.open(pixels) as image:
        size = image.size
    small = drawing.stat().st_size <= LARGEST_DRAWING
    path, kind = (drawing, "image/svg+xml") if small else (pixels, "image/png")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return {"source": f"data:{kind};base64,{data}", "size": size}


def _facts(tables: Tables) -> list[tuple[str, str]]:
    metrics, efficiency = tables.metrics, tables.efficiency
    adapted = efficiency[efficiency["method"] != BASE]
    return [
        ("Base model", f"{count(efficiency['parameters'].min())} parameters"),
        ("Known language", domain_label(summaries.home_domain(metrics)).capitalize()),
        ("Tasks in order", ", ".join(map(domain_label, summaries.tasks(metrics)))),
        ("Methods", str(len(summaries.adapted(metrics)))),
        ("Seeds", str(metrics.loc[metrics["method"] != BASE, "seed"].nunique())),
        ("Device", ", ".join(sorted(set(adapted["device"])))),
        ("Time in all", f"{fixed(efficiency['seconds'].sum() / 3600, 2)} hours"),
    ]


def curve_data(curves: pd.DataFrame) -> dict[str, Any]:
    """Return the curves for the page's script: means over seeds with half-widths.

    A point is [tokens seen, mean, half-width or null]; a line has the position of its method in
    ``methods``. What is not finite has no point.
    """
    adapted = in_order(curves.loc[curves["method"] != BASE, "method"])
    looks = style.looks(adapted)
    losses = []
    for metric, title in curve_titles(curves).items():
        points = summaries.curve_points(curves, metric, points=POINTS)
        lines = [
            {"method": adapted.index(method), "points": _points(line)}
            for method, line in points.groupby("method", sort=False)
        ]
        if lines:
            losses.append({"title": title, "lines": lines})
    return {
        "losses": losses,
        "tasks": [[domain_label(task), end] for task, end in summaries.task_ends(curves)],
        "methods": [
            {
                "label": method_label(name),
                "colour": looks[name].colour,
                "night": on_dark(looks[name].colour),
                "dashes": _dashes(looks[name].dashes),
            }
            for name in adapted
        ],
    }


def on_dark(colour: str) -> str:
    """Return a colour such as ``#08306b``, lightened until it is visible on the dark page.

    Black becomes white, because a grey could be mistaken for the grey of another method.
    """
    if colour == style.BLACK:
        return "#ffffff"
    parts = numpy.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    share = next(share for share in numpy.linspace(0, 1, 21) if _shows(parts, share))
    return "#" + "".join(f"{round(part):02x}" for part in _mixed(parts, share))


def _mixed(parts: numpy.ndarray, share: float) -> numpy.ndarray:
    return parts + share * (255 - parts)


def _shows(parts: numpy.ndarray, share: float) -> bool:
    """Tell whether the contrast with the dark background is at least four."""
    return style.luminance(list(_mixed(parts, share) / 255)) + 0.05 >= 4 * 0.058


def _points(line: pd.DataFrame) -> list[list[float | None]]:
    line = line.sort_values("tokens")
    return [
        [int(tokens), round(mean, 4), round(half, 4) if math.isfinite(half) else None]
        for tokens, mean, half in zip(line["tokens"], line["mean"], line["half_width"], strict=True)
        if math.isfinite(mean)
    ]


def _dashes(dashes: str | tuple) -> str:
    """Return Matplotlib's dashes as an SVG ``stroke-dasharray``."""
    if isinstance(dashes, tuple):
        return " ".join(str(2 * length) for length in dashes[1])
    return {"-": "none", "--": "7 4", ":": "2 4", "-.": "8 3 2 3"}[dashes]


def claim_rows(claims: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the verdicts on claims as printed, each with its runs as (run, seeds)."""
    return [
        {
            "id": row.id,
            "statement": row.statement,
            "label": row.label,
            "kind": row.kind,
            "expression": row.expression,
            "claimed": claim_verdicts.claimed(row),
            "here": claim_verdicts.value(row),
            "verdict": row.verdict,
            "reason": row.reason,
            "runs": _runs(row.runs),
        }
        for row in claims.itertuples()
    ]


def _runs(words: str) -> list[tuple[str, list[str]]]:
    pairs = [word.split("/") for word in words.split()]
    return [
        (run, [seed for _, seed in members])
        for run, members in groupby(pairs, key=lambda pair: pair[0])
    ]


# Heading and whether the column holds numbers, in the order of the cells of `run_rows`.
RUN_COLUMNS = [
    {"title": title, "numeric": numeric}
    for title, numeric in (
        ("Method", False), ("Seed", True), ("Gain", True), ("Loss", True), ("Retention", True),
        ("Next character", True), ("Trainable", True), ("%", True), ("Tokens per second", True),
        ("Training, s", True), ("Memory, MiB", True), ("Folder", False),
    )
]  # fmt: skip


def run_rows(tables: Tables) -> list[dict[str, Any]]:
    """Return one row per run, the base model first; each cell has its text and its sort value."""
    changes = summaries.learning_and_forgetting(tables.metrics).set_index(["method", "seed"])
    home = summaries.home_domain(tables.metrics)
    study = tables.metrics["study"].iloc[0]
    rows = []
    for method in in_order(tables.metrics["method"]):
        retention = summaries.by_seed(tables.metrics, method, f"{home}_retention", home)
        accuracy = summaries.task_mean(tables.metrics, method, summaries.ACCURACY)
        costs = tables.efficiency[tables.efficiency["method"] == method].set_index("seed")
        for seed in sorted(tables.metrics.loc[tables.metrics["method"] == method, "seed"].unique()):
            cost = costs.loc[seed] if seed in costs.index else pd.Series(dtype=float)
            numbers: list[tuple[float | None, Callable[..., str]]] = [
                (changes["gain"].get((method, seed)), fixed),
                (changes["loss"].get((method, seed)), fixed),
                (retention.get(seed), fixed),
                (accuracy.get(seed), fixed),
                (cost.get("trainable_parameters"), count),
                (cost.get("trainable_percent"), significant),
                (cost.get("tokens_per_second"), count),
                (cost.get("training_seconds"), lambda value: fixed(value, 1)),
                (cost.get("peak_memory_mib"), count),
            ]
            folder = f"results/{study}/runs/{method}/seed{seed}"
            cells = [
                _word(method_label(method)),
                _number(seed, count),
                *(_number(value, show) for value, show in numbers),
                _word(folder, code=True),
            ]
            rows.append({"name": method, "seed": seed, "cells": cells})
    return rows


def _number(value: float | None, show: Callable[..., str]) -> dict[str, Any]:
    sorts = "" if value is None or not math.isfinite(value) else float(value)
    return {"words": show(value), "value": sorts, "number": True, "code": False}


def _word(words: str, *, code: bool = False) -> dict[str, Any]:
    return {"words": words, "value": words, "number": False, "code": code}
