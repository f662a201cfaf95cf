"""Works of literature in the markup of Aozora Bunko (Shift_JIS).

A file has a header (title, author, and a legend between two lines of hyphens), the body, and a
footer that begins with 底本. Each line of the body is a paragraph and becomes a document.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from jadapt.corpora.documents import Document, Member, Reading, decoded_lines
from jadapt.corpora.formats.aozora_accents import composed
from jadapt.corpora.formats.held import Held

GETA = "〓"
"""The printer's mark for a missing type: stands for a character that no code names."""

# No line has one: half a surrogate pair that marks of undecodable bytes do not use.
_UNNAMED = "\udffe"

_RULE = re.compile(r"-{20,}")
_FOOTER = re.compile(r"底本[：:]")
_GAIJI = re.compile(r"※［＃([^］]*)］")
_JIS = re.compile(r"(?<![0-9-])([12])-(\d{1,2})-(\d{1,2})(?![0-9-])")
_UNICODE = re.compile(r"U\+([0-9A-Fa-f]{4,6})(?![0-9A-Fa-f])")
_LAST = 0x10FFFF
_ANNOTATION = re.compile(r"［＃[^］]*］")
_RUBY = re.compile(r"《[^》]*》|｜")


def extract(members: Sequence[Member], settings: dict, reading: Reading) -> Iterator[Document]:
    """Yield one document a paragraph; the key is the work, so that no work crosses splits."""
    for member in members:
        work = PurePosixPath(member.name).stem.split("_")[0]
        for line in _body(member, reading):
            text, unnamed = _plain(line)
            if not text:
                continue
            reading.records += 1
            if reading.undecodable(line):
                continue
            if unnamed:
                reading.counts["unnamed_characters"] += unnamed
            yield reading.document(ja=text, key=work)


def _body(member: Member, reading: Reading) -> Iterator[str]:
    """Yield the lines between the second rule of the header and the footer."""
    rules = 0
    for line in decoded_lines(member, reading, "shift_jis"):
        if rules < 2:
            rules += bool(_RULE.fullmatch(line.strip()))
        elif _FOOTER.match(line):
            return
        else:
            yield line
    if rules < 2:
        reading.records += 1
        reading.add_broken(member.name, 1, "no header between two lines of hyphens")


def _plain(line: str) -> tuple[str, int]:
    """Return the line without ruby and annotations, and how many of its characters have no code.

    The characters that are written as notes come in last, for some of them are marks of the markup.
    """
    held = Held()

    def character(match: re.Match) -> str:
        return held.hold(_character(match[1]) or _UNNAMED)

    text = _GAIJI.sub(character, held.prepared(line))
    text = composed(_RUBY.sub("", _ANNOTATION.sub("", text)))
    text = held.restored(text.replace("／″＼", "〲").replace("／＼", "〱"))
    return text.replace(_UNNAMED, GETA).strip(), text.count(_UNNAMED)


def _character(description: str) -> str | None:
    """Return the character of a note by its code in Unicode or JIS X 0213, None without one."""
    if match := _UNICODE.search(description):
        code = int(match[1], 16)
        if _is_character(code):
            return chr(code)
    if match := _JIS.search(description):
        plane, row, cell = (int(number) for number in match.groups())
        try:
            return bytes([0x8F] * (plane == 2) + [row + 0xA0, cell + 0xA0]).decode("euc_jis_2004")
        except ValueError:  # also of `bytes`: a row or cell beyond 95
            return None
    return None


def _is_character(code: int) -> bool:
    """Tell whether a code point can be a character: no half of a pair, control or noncharacter."""
    if code > _LAST or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE:
        return False
    return unicodedata.category(chr(code)) not in ("Cc", "Cs")
