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

    The half-width of an interval stands in parentheses after its mean.
    """
    alignment = "".join("right, " if numeric else "left, " for numeric in table.numeric)
    widths = "".join(f"{width or 'auto'}, " for width in table.widths)
    spans = "".join(
        f"([{escape_typst(words)}], {start}, {width}), " for words, start, width in table.spans()
    )
    rows = "".join(f"    ({_cells(row)}),\n" for row in table.rows)
    return (
        f"house-table(align: ({alignment}), widths: ({widths}),\n"
        f"  spans: ({spans if any(table.groups) else ''}),\n"
        f"  labels: ({_cells(table.labels)}),\n"
        f"  rows: (\n{rows}  ))"
    )


def _cells(words: list[str]) -> str:
    return "".join(f"[{escape_typst(in_parentheses(cell))}], " for cell in words)


def in_parentheses(cell: str) -> str:
    """Return a printed cell with the half-width of its interval in parentheses.

    ``0.412 ± 0.005 %`` becomes ``0.412 (0.005) %``; unbreakable spaces keep it on one line.
    """
    mean, plus_minus, rest = cell.partition(" ± ")
    if not plus_minus:
        return cell
    half, space, after = rest.partition(" ")
    # What is no half-width, such as a mark, follows the parenthesis.
    digits = half.rstrip("*†‡")
    return f"{mean}\u00a0({digits}){half[len(digits) :]}{space}{after}"
