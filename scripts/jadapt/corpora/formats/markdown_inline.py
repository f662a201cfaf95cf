"""Inline Markdown, HTML and JSX to plain text."""

from __future__ import annotations

import html
import re

from jadapt.corpora.formats.held import Held
from jadapt.corpora.formats.tags import ANY, BLOCK

_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_PATTERNS = (
    (re.compile(r"<((?:https?|mailto):[^<>\s]+|[\w.+-]+@[\w.-]+)>"), r"\1"),
    (re.compile(rf"(?<=\S)(?:{BLOCK.pattern}\s*)*{BLOCK.pattern}(?=\S)", re.IGNORECASE), " "),
    (ANY, ""),
    (re.compile(r"!\[[^\]]*\](?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\]]*\])"), ""),
    (re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\([^()]*(?:\([^()]*\)[^()]*)*\)"), r"\1"),
    (re.compile(r"\[([^\[\]]+)\]\[[^\[\]]*\]"), r"\1"),
    (re.compile(r"\[\^[^\]]+\]"), ""),
    (re.compile(r"\{:?\s*(?:[.#][\w-]|\w+=)[^{}]*\}"), ""),
    (re.compile(r"\{/\*.*?\*/\}|\{\s*(?:' '|\" \")\s*\}", re.DOTALL), ""),
    (re.compile(r":(?:material|fontawesome|octicons|simple)-[\w-]+:"), ""),
    (re.compile(r"(?<!\\)\*\*(?=\S)(.+?)(?<=\S)(?<!\\)\*\*", re.DOTALL), r"\1"),
    (re.compile(r"(?<![\w\\])__(?=\S)(.+?)(?<=\S)__(?!\w)", re.DOTALL), r"\1"),
    (re.compile(r"(?<!\\)\*(?=[^\s*])(.+?)(?<=[^\s*\\])\*", re.DOTALL), r"\1"),
    (re.compile(r"(?<![\w\\])_(?=[^\s_])(.+?)(?<=[^\s_])_(?!\w)", re.DOTALL), r"\1"),
    (re.compile(r"~~(?=\S)(.+?)(?<=\S)~~", re.DOTALL), r"\1"),
    (re.compile(r"\\([!-/:-@\[-`{-~])"), r"\1"),
)


def plain(text: str) -> str:
    """Return ``text`` without markup: links, emphasis and tags give their text, pictures vanish.

    Line breaks stay for the cleaning, which knows where Japanese lines join without a space.
    """
    held = Held()
    text = _CODE.sub(lambda match: held.hold(match[2].strip()), held.prepared(text))
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return held.restored(html.unescape(text)).strip()
