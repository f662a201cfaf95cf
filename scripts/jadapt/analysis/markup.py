"""Printed tables, and words, in the markup of LaTeX and Typst."""

from __future__ import annotations

from jadapt.analysis.printing import Printed

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "–": "--",
    "×": r"$\times$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
} | {up: f"$^{{{down}}}$" for up, down in zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True)}


def escape_latex(text: str) -> str:
    """Return ``text`` with everything that LaTeX would interpret escaped."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def latex(table: Printed, *, caption: str, label: str) -> str:
    """Return a LaTeX ``table`` environment in the style of the booktabs package."""
    alignment = "".join("r" if numeric else "l" for numeric in table.numeric)
    head, rules = [], []
    for words, start, width in table.spans():
        if not words:
            head += [""] * width
            continue
        head.append(
            rf"\multicolumn{{{width}}}{{{'c' if width > 1 else 'r'}}}{{{escape_latex(words)}}}"
        )
        if width > 1:
            rules.append(rf"\cmidrule(lr){{{start + 1}-{start + width}}}")
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(caption)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
    ]
    if any(table.groups):
        lines += [" & ".join(head) + r" \\", " ".join(rules)]
    lines += [" & ".join(map(escape_latex, table.labels)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(escape_latex, row)) + r" \\" for row in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def escape_typst(text: str) -> str:
    """Return ``text`` with everything that Typst would interpret as markup escaped."""
    escaped = "".join(
        "\\" + letter if letter in "\\#$*_`<>@[]~=/'\"-+" else letter for letter in text
    )
    return " ".join(escaped.split("\n"))


def typst(table: Printed) -> str:
    """Return a call of ``house-table`` (see ``paper/style.typ.j2``) with the cells as content.

    The half-width of an interval stands beneath its mean, so that wide tables fit the page.
    """
    alignment = ", ".join("right" if numeric else "left" for numeric in table.numeric)
    columns = ", ".join(width or "auto" for width in table.widths)
    head, rules = [], []
    if any(table.groups):
        for words, start, width in table.spans():
            align = "center" if width > 1 else "right"
            head.append(f"table.cell(colspan: {width}, align: {align})[{escape_typst(words)}]")
            if words and width > 1:
                rules.append(f"table.hline(start: {start}, end: {start + width}, stroke: thin)")
    head += rules + [f"[{escape_typst(words)}]" for words in table.labels]
    cells = [f"[{_stacked(cell)}]" for row in table.rows for cell in row]
    return (
        f"house-table(columns: ({columns},), align: ({alignment},),\n"
        f"  table.header({', '.join(head)}, table.hline(stroke: thin)),\n"
        "  " + ", ".join(cells) + ")"
    )


def _stacked(cell: str) -> str:
    mean, plus_minus, half = cell.partition(" ± ")
    if not plus_minus:
        return escape_typst(cell)
    return f"{escape_typst(mean)} #linebreak() #interval[± {escape_typst(half)}]"
