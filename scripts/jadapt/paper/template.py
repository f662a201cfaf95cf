"""The Jinja2 dialect of the paper, and Typst's compiler.

``<< … >>`` injects, ``<% … %>`` decides and ``<# … #>`` comments, since Typst uses braces and
hashes itself. Injected words are escaped; numbers are printed by their names, ``n("lora.gain")``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jinja2
import typst

from jadapt.analysis.findings import Findings
from jadapt.analysis.labels import declared, lower_first
from jadapt.analysis.markup import escape_typst
from jadapt.analysis.numbers import Numbered, slug
from jadapt.core.errors import UserError

# A number in words of the configuration.
DIGITS = re.compile(r"\d+(\.\d+)?")


def upper_first(words: str) -> str:
    """Return words for the beginning of a sentence."""
    return words[:1].upper() + words[1:]


class Typst(str):
    """Typst markup that is injected as it stands."""

    __slots__ = ()


class Printed(str):
    """The printed form of a number that has a name."""

    __slots__ = ()


def _finalize(value: Any) -> str:
    if isinstance(value, Typst | jinja2.Undefined):
        # The string of an undefined value raises an error that names it.
        return str(value)
    if is_number(value):
        raise TypeError(f"the number {value!r} has no name; print it by one, as in n('lora.gain')")
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} {value!r} has no form in the text")
    return escape_typst(value)


def is_number(value: Any) -> bool:
    """Tell whether a value is a number, in digits or in words of the configuration."""
    if isinstance(value, str):
        return not isinstance(value, Printed) and DIGITS.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def quoted(words: str) -> Typst:
    """Return words as a string of Typst's."""
    return Typst('"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"')


def code(words: str) -> Typst:
    """Return words set in the fixed-width font, exactly as they are."""
    return Typst(f"#raw({quoted(words)})")


def _opening_names(methods: Iterable[Any]) -> list[str]:
    """Return names for the beginning of a sentence: the first keeps its capital."""
    first, *rest = (method.label for method in methods)
    return [first, *map(lower_first, rest)]


def by_name(numbers: Numbered) -> Callable[..., Printed]:
    """Return the function ``n`` of the templates.

    ``n("lora.gain")`` and ``n(method, "gain")`` print a number of ``numbers.csv``: the name is made
    of the parts, of which one may be anything that has a ``name``.
    """

    def printed(*parts: Any) -> Printed:
        return Printed(numbers.printed(".".join(str(getattr(p, "name", p)) for p in parts)))

    return printed


def speaking(numbers: Numbered, found: Findings) -> dict[str, Callable[..., str]]:
    """Return what a template prints with: ``n`` for numbers and ``say`` for findings."""

    def say(name: str) -> Printed:
        known = found.known(name)
        return Printed(known.said(numbers.printed) if known else "")

    return {"n": by_name(numbers), "say": say}


def environment(folder: Path) -> jinja2.Environment:
    """Return the environment for templates in ``folder``."""
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.FileSystemLoader(folder), jinja2.FunctionLoader(_declared_paragraph)]
        ),
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
        "lower_first": lower_first,
        "upper_first": upper_first,
        "markup": Typst,
        "quoted": quoted,
        "slug": slug,
    }
    made.globals["is_number"] = is_number
    made.globals["names_of"] = lambda methods: [lower_first(method.label) for method in methods]
    made.globals["opening_names_of"] = _opening_names
    return made


def _declared_paragraph(name: str) -> tuple[str, str, None] | None:
    """Return what the class ``declared/KEY.j2`` says of itself in the paper, as a template."""
    folder, _, file = name.partition("/")
    found = declared().get(file.removesuffix(".j2"))
    if folder != "declared" or found is None:
        return None
    return inspect.cleandoc(found.paragraph) + "\n", f"{found.__module__}.{name}", None


def render(template: Path, context: dict[str, Any]) -> str:
    """Render a template; its faults become a `UserError` that names the file and line."""
    try:
        return environment(template.parent).get_template(template.name).render(context)
    except jinja2.TemplateNotFound as error:
        raise UserError(f"{template.parent / str(error)}: no such template") from None
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"{error.filename or template}:{error.lineno}: {error.message}") from error
    except (jinja2.UndefinedError, TypeError, ZeroDivisionError, IndexError, UserError) as error:
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

    Only bundled fonts are used and no time is written: equal input gives equal bytes everywhere.
    The document is tagged, and refused where a picture or formula lacks its words (PDF/UA-1).
    """
    return _compile(source, format="pdf", pdf_standards="ua-1", timestamp=0)[0]


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
