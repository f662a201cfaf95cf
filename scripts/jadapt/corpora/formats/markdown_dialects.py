"""What pages of documentation have beside Markdown, brought to plain Markdown or taken out.

Front matter, comments, imports and exports of MDX, shortcodes of Hugo and Jekyll, includes, tags of
HTML and JSX, and the boxes of MkDocs, whose content is indented.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from jadapt.corpora.formats.held import Held
from jadapt.corpora.formats.tags import ATTRIBUTES, BLOCK, BLOCKS

CODE, TAG = "\ue002", "\ue003"
"""Stand before a held piece of code, and for lines that are nothing but tags."""

_FENCE = re.compile(r"(\s*(?:>\s*)*)(?:[-*+]\s+|\d+[.)]\s+)?(`{3,}|~{3,})(.*)$")
_RAW_TAG = re.compile(r"\s*<(pre|script|style)(?=[\s>])", re.IGNORECASE)
_RAW_END = re.compile(r"</(?:pre|script|style)\s*>(.*)", re.IGNORECASE)
_HIGHLIGHT = re.compile(r"\s*(?:\{\{[<%]|\{%-?)\s*(highlight|raw)\b")
_FRONT = {"---": re.compile(r"---|\.\.\."), "+++": re.compile(r"\+\+\+")}
_KEY = re.compile(r"\s*(?:#|[\"']?[\w.-]+[\"']?\s*[:=]|[-\[])")
_IMPORT = re.compile(
    r"import\s*(?:\{|[\"']|\*\s*as\s|[\w$]+\s*,|[\w$]+\s+from\s*[\"'])"
    r"|export\s*(?:\{|\*|(?:default|const|let|var|function|class|async|type|interface)\b)"
)
_STRING = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`")
_CODE_SPAN = r"(?P<code>(?<!`)(?P<ticks>`+)(?!`)(?:(?!\n[ \t]*\n).)+?(?<!`)(?P=ticks)(?!`))"
_COMMENT = re.compile(
    rf"{_CODE_SPAN}|<!--.*?-->|\{{/\*(?!\s*[\w.-]+\s*\*/\}}\s*$).*?\*/\}}",
    re.DOTALL | re.MULTILINE,
)
_SHORTCODE = re.compile(
    rf"{_CODE_SPAN}|\{{\{{[<%](?:(?!\n[ \t]*\n).)*?[%>]\}}\}}", re.DOTALL | re.MULTILINE
)
_SHOWN = re.compile(r"\stext=(?:\"([^\"]*)\"|'([^']*)')")
_TAGS = re.compile(
    rf"^([ \t]*(?:>[ \t]?)*)(?:<(?:/?[A-Za-z][\w.-]*(?=[\s/>]){ATTRIBUTES})?/?>[ \t]*)+$",
    re.MULTILINE,
)
_COMPONENT = re.compile(r"\{/\*|^[ \t]*</?[A-Z][\w.]*[\s/>]", re.MULTILINE)
_HTML = re.compile(rf"\s*(?:{TAG}|</?(?:{BLOCKS})(?=[\s/>]))", re.IGNORECASE)
_PARTING = re.compile(rf"{_CODE_SPAN}|{TAG}|{BLOCK.pattern}", re.IGNORECASE)
_QUOTE = re.compile(r"\s*(?:>\s?)+")
_BOX = re.compile(r"(?:!!!|\?\?\?\+?)\s*(?:[\w\"]|$)|===[!+]?\s+[\"']")
_MARKUP = re.compile(
    r"(?:///|:::+)(?:[\s\w\"{/].*)?|\{[!*].*[!*]\}|\{%.*%\}|\[![A-Za-z]+\][+-]?\s*"
)
# Not the library's: it takes `[^1]: 注釈です。` for a link, and leaves it out.
_LINK = re.compile(r"\[(?!\^)[^\[\]]+\]:\s*(?:<[^<>]*>|[!-~]+|(?:\w+://|[./#])\S+)(?:\s+[\"'(].*)?")
_FOOTNOTE = re.compile(r"\[\^[^\[\]]+\]:\s*")
_STEP = 4
"""Columns by which the content of a box is indented."""


def is_mdx(text: str) -> bool:
    """Tell whether a page is MDX, in which indentation means nothing."""
    return bool(_COMPONENT.search(text))


def plain_markdown(lines: list[str], held: Held) -> list[str]:
    """Return the lines of a page as CommonMark with tables.

    Each piece of code becomes a paragraph: `CODE` and what ``held`` gives for it.
    """
    lines = _without_imports(_with_code_held(_without_front(lines), held))
    text = _outside_code(_COMMENT, lambda match: "", "\n".join(lines))
    text = _outside_code(_SHORTCODE, _shown, text)
    text = _TAGS.sub(rf"\1{TAG}", text)
    return list(_by_line(text.split("\n")))


def _without_front(lines: list[str]) -> list[str]:
    """Leave out front matter: YAML between ``---``, TOML between ``+++``."""
    closing = _FRONT.get(lines[0].rstrip()) if lines else None
    if closing is None:
        return lines
    ends = (n for n, line in enumerate(lines[1:], 1) if closing.fullmatch(line.rstrip()))
    end = next(ends, 0)
    inside = [line for line in lines[1:end] if line.strip()]
    # A page may begin with a rule.
    return lines[end + 1 :] if end and (not inside or _KEY.match(inside[0])) else lines


def _with_code_held(lines: list[str], held: Held) -> list[str]:
    """Return the lines with each piece of code as a paragraph of its own."""
    result, at = [], 0
    while at < len(lines):
        indent, start, end = _code_at(lines, at)
        if end == at:
            result.append(held.prepared(lines[at]))
            at += 1
            continue
        code = "\n".join(line.strip() for line in lines[start : end - 1])
        result += ["", indent + CODE + held.hold(code), ""]
        if start == at and (behind := _RAW_END.search(lines[end - 1])):
            result.append(held.prepared(behind[1]))
        at = end
    return result


def _code_at(lines: list[str], at: int) -> tuple[str, int, int]:
    """Return indentation, first line and end of the code that begins at a line; no end if none."""
    line = lines[at]
    if (fence := _FENCE.match(line)) and not (fence[2][0] == "`" and "`" in fence[3]):
        closing = re.compile(rf"\s*(?:>\s*)*{fence[2][0]}{{{len(fence[2])},}}\s*$")
        end = _first(closing.match, lines, at + 1)
        return fence[1].split(">")[0], at + 1, min(end, len(lines)) + 1
    if raw := _RAW_TAG.match(line):
        closing = re.compile(rf"</{raw[1]}\s*>", re.IGNORECASE)
    elif raw := _HIGHLIGHT.match(line):
        closing = re.compile(rf"(?:\{{\{{[<%]\s*/|\{{%-?\s*end){raw[1]}\b")
    else:
        return "", at, at
    end = _first(closing.search, lines, at)
    return ("", at, end + 1) if end < len(lines) else ("", at, at)


def _first(test: Callable[[str], object], lines: list[str], start: int) -> int:
    """Return the first line from ``start`` on that passes ``test``, else the number of lines."""
    return next((n for n in range(start, len(lines)) if test(lines[n])), len(lines))


def _without_imports(lines: list[str]) -> list[str]:
    """Leave out imports and exports of MDX: from the start of a paragraph until brackets close."""
    result, at, begins = [], 0, True
    while at < len(lines):
        if begins and _IMPORT.match(lines[at]):
            at = _import_end(lines, at)
            continue
        begins = not lines[at].strip()
        result.append(lines[at])
        at += 1
    return result


def _import_end(lines: list[str], start: int) -> int:
    depth = 0
    for at in range(start, len(lines)):
        code = _STRING.sub("", lines[at])
        depth += sum(code.count(char) for char in "([{") - sum(code.count(char) for char in ")]}")
        if depth <= 0:
            return at + 1
    return _first(lambda line: not line.strip(), lines, start)


def _outside_code(pattern: re.Pattern, replacement: Callable, text: str) -> str:
    """Replace what ``pattern`` finds, but leave its group ``code`` as it is."""
    return pattern.sub(lambda match: match["code"] or replacement(match), text)


def _shown(match: re.Match) -> str:
    """Return the text that a shortcode shows."""
    shown = _SHOWN.search(match[0])
    return (shown[1] or shown[2] or "") if shown else ""


def _by_line(lines: list[str]) -> Iterator[str]:
    """Yield the lines without boxes, quotes, includes and tags of blocks."""
    boxes: list[int] = []
    quoted, html = False, None
    for line in lines:
        bare = line.lstrip()
        if not bare:
            quoted, html = False, None
            yield ""
            continue
        line = line[: len(line) - len(bare)].expandtabs(_STEP) + bare
        indent = len(line) - len(bare)
        if boxes and indent <= boxes[-1]:
            boxes = [box for box in boxes if box < indent]
            yield ""
        line = line[min(indent, _STEP * len(boxes)) :]
        if _BOX.match(bare):
            boxes.append(indent)
            yield ""
            continue
        quote = _QUOTE.match(line)
        if quote:
            line = line[quote.end() :]
            if not quoted:
                yield ""
        quoted = bool(quote)
        if html is None and _HTML.match(line):
            html = len(line) - len(line.lstrip())
        if note := _FOOTNOTE.match(bare):
            line = bare[note.end() :]
            yield ""
        if _MARKUP.fullmatch(line.strip()) or _LINK.fullmatch(line.strip()):
            yield ""
        elif html is None:
            yield line
        else:
            yield from _html_line(line, html)


def _html_line(line: str, indent: int) -> Iterator[str]:
    """Yield what is between the tags of a line within a block of HTML, as paragraphs."""
    parts = [part.strip() for part in _outside_code(_PARTING, lambda tag: "\0", line).split("\0")]
    for number, part in enumerate(parts):
        if number:
            yield ""
        if part:
            own = len(line) - len(line.lstrip())
            yield " " * min(own, indent) + part
