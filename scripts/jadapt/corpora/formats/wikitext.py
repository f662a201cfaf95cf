"""WikiText: articles of Wikipedia that were cut into words, with rare words written ``<unk>``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from jadapt.corpora.documents import Document, Member, Reading

UNKNOWN = "<unk>"

_HEADING = re.compile(r"=(?P<deeper>(?: =)*) .* =(?: =)*")
_QUOTED = re.compile(r'(?<!\S)" ([^"]*?) "(?!\S)')
_SENTENCE = re.compile(r"(?:(?<= [.!?])|(?<= [.!?]\")) (?=[\"'A-Z(\[<])")
_PATTERNS = (
    (re.compile(r" @([-,.])@ "), r"\1"),
    (re.compile(r"(?<=\d) – (?=\d)"), "–"),
    # "the players ' hats" comes from "players'"; "' s" and the like from "'s".
    (re.compile(r" (?=n't\b|'(?:s|S|t|re|ve|ll|d|m)\b)"), ""),
    (re.compile(r"(?<=s) '(?= [a-z])"), "'"),
    (_QUOTED, r'"\1"'),
    (re.compile(r" (?=[,.;:!?%)\]}]|°)"), ""),
    (re.compile(r"(?<=[(\[{$£€¥#]) "), ""),
    (re.compile(r"(?<=\S) / (?=\S)"), "/"),
)


def extract(members: Sequence[Member], settings: dict, reading: Reading) -> Iterator[Document]:
    """Yield the runs of sentences of a paragraph in which no word is missing, as plain text.

    A record is a heading, or a longest run of sentences that all have, or all lack, an ``<unk>``.
    Runs with one are left out and counted, for nobody knows the words; so the text that remains is
    of somewhat more common words than Wikipedia. The key is the article.
    """
    for member in members:
        article = ""
        for number, raw in enumerate(member.data.split(b"\n"), 1):
            try:
                line = raw.decode().strip()
            except UnicodeDecodeError as error:
                reading.records += 1
                byte = f"byte 0x{raw[error.start]:02x} at column {error.start + 1}"
                reading.add_broken(member.name, number, f"not valid utf-8 ({byte})")
                continue
            if heading := _HEADING.fullmatch(line):
                article = article if heading["deeper"] else line
                reading.records += 1
                reading.counts["headings"] += 1
            elif line:
                yield from _runs(line, article, reading)


def _runs(paragraph: str, article: str, reading: Reading) -> Iterator[Document]:
    # Before it is cut: a quotation may have several sentences.
    sentences = _SENTENCE.split(_QUOTED.sub(r'"\1"', paragraph))
    for unknown, run in groupby(sentences, lambda sentence: UNKNOWN in sentence):
        reading.records += 1
        if unknown:
            reading.counts["unknown_words"] += 1
        else:
            text = joined(" ".join(run))
            yield reading.document(**{reading.language: text}, key=article or None)


def joined(text: str) -> str:
    """Return ``text`` as it was before it was cut into words, as far as its marks tell.

    >>> joined('weigh 0 @.@ 7 – 2 @.@ 2 kg ( up to " 13 lb " ) , it \\'s red @-@ tipped .')
    'weigh 0.7–2.2 kg (up to "13 lb"), it\\'s red-tipped.'
    """
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
