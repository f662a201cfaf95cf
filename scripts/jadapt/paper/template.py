"""The Jinja2 dialect of the paper, and Typst's compiler.

``<< … >>`` injects, ``<% … %>`` decides and ``<# … #>`` comments, since Typst uses braces and
hashes itself. Injected words are escaped; numbers must name how they are rounded.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import typst

from jadapt.analysis.labels import lower_first
from jadapt.analysis.markup import escape_typst
from jadapt.analysis.printing import count, fixed, plain, significant
from jadapt.analysis.statistics import Estimate
from jadapt.core.errors import UserError


class Typst(str):
    """Typst markup that is injected as it stands."""

    __slots__ = ()


def _finalize(value: Any) -> str:
    if isinstance(value, Typst | jinja2.Undefined):
        # The string of an undefined value raises an error that names it.
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"{type(value).__name__} {value!r} has no form in the text")
    if isinstance(value, float):
        raise TypeError(f"the number {value!r} needs a rounding filter (fixed, significant, …)")
    return escape_typst(count(value) if isinstance(value, int) else value)


def estimated(value: Estimate, digits: int = 3) -> str:
    """Return ``mean ± half-width``, or the mean alone when one seed gives no interval."""
    mean = fixed(value.mean, digits)
    # Unbreakable spaces keep the interval on the line of its mean.
    return f"{mean}\u00a0±\u00a0{fixed(value.half_width, digits)}" if value.has_interval else mean


def percent(share: float, digits: int = 1) -> str:
    """Return a share from 0 to 1 in per cent."""
    return f"{fixed(100 * share, digits)}\u00a0%"


def estimated_percent(value: Estimate, digits: int = 2) -> str:
    """Return the `estimated` form of a share from 0 to 1, in per cent."""
    hundredfold = replace(value, mean=100 * value.mean, half_width=100 * value.half_width)
    return f"{estimated(hundredfold, digits)}\u00a0%"


def p_value(p: float) -> Typst:
    """Return a p value as it stands in a sentence; a small one only as smaller than a bound."""
    sign = "<" if p < 0.0005 else "="
    return Typst(f"#box($p {sign} {max(p, 0.001):.3f}$)")


def code(words: str) -> Typst:
    """Return words set in the fixed-width font, exactly as they are."""
    quoted = words.replace("\\", "\\\\").replace('"', '\\"')
    return Typst(f'#raw("{quoted}")')


def environment(
    folder: Path, kind: type[jinja2.Environment] = jinja2.Environment
) -> jinja2.Environment:
    """Return the environment for templates in ``folder``."""
    made = kind(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    made.filters |= {
        "code": code,
        "count": count,
        "estimate": estimated,
        "estimated_percent": estimated_percent,
        "fixed": fixed,
        "lower_first": lower_first,
        "markup": Typst,
        "p_value": p_value,
        "percent": percent,
        "plain": plain,
        "significant": significant,
    }
    made.globals["sqrt"] = math.sqrt
    made.globals["names_of"] = lambda methods: [lower_first(method.label) for method in methods]
    return made


def render(
    template: Path, context: dict[str, Any], within: jinja2.Environment | None = None
) -> str:
    """Render a template; its faults become a `UserError` that names the file and line."""
    try:
        within = within or environment(template.parent)
        return within.get_template(template.name).render(context)
    except jinja2.TemplateNotFound as error:
        raise UserError(f"{template.parent / str(error)}: no such template") from None
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"{error.filename or template}:{error.lineno}: {error.message}") from error
    except (jinja2.UndefinedError, TypeError, ZeroDivisionError, IndexError) as error:
        raise UserError(f"{_place(error, template)}: {error}") from error


def _place(error: BaseException, template: Path) -> str:
    """Return ``file:line`` of the deepest traceback entry that lies in a template."""
    place, step = str(template), error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename
        if Path(name).suffix == ".j2":
            place = f"{name}:{step.tb_lineno}"
        step = step.tb_next
    return place


def compile_pdf(source: Path) -> bytes:
    """Compile a Typst file, with images and bibliography beside it, to the bytes of a PDF.

    Only bundled fonts are used and no date is written: equal input gives equal bytes everywhere.
    """
    return _compile(source, format="pdf", timestamp=0)[0]


def compile_pages(source: Path, *, ppi: float = 80) -> list[bytes]:
    """Compile a Typst file to one PNG per page."""
    return _compile(source, format="png", ppi=ppi)


def _compile(source: Path, **options: Any) -> list[bytes]:
    import matplotlib_fontja  # loads matplotlib, which nothing else of the text needs

    try:
        compiler = typst.Compiler(
            source,
            root=source.parent,
            font_paths=[matplotlib_fontja.get_font_path()],
            ignore_system_fonts=True,
        )
        pages: Any = compiler.compile(**options)
    except typst.TypstError as error:
        details = re.sub(r"\x1b\[[0-9;]*m", "", getattr(error, "diagnostic", "") or str(error))
        raise UserError(f"{source.name} does not compile: {details}") from error
    return pages if isinstance(pages, list) else [pages]
