"""Works of literature in the markup of Aozora Bunko (Shift_JIS).

A file has a header (title, author, and a legend between two lines of hyphens), the body, and a
footer that begins with 底本. Each line of the body is a paragraph and becomes a document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from jadapt.corpora.documents import REPLACEMENT, Document, Member, Reading, decoded_lines

GETA = "〓"
"""The printer's mark for a missing type: stands for a character that no code names."""

_RULE = re.compile(r"-{20,}")
_FOOTER = re.compile(r"底本[：:]")
_GAIJI = re.compile(r"※［＃([^］]*)］")
_JIS = re.compile(r"(?<![0-9-])([12])-(\d{1,2})-(\d{1,2})(?![0-9-])")
_UNICODE = re.compile(r"U\+([0-9A-Fa-f]{4,6})")
_ANNOTATION = re.compile(r"［＃[^］]*］")
_RUBY = re.compile(r"《[^》]*》|｜")


def extract(members: Sequence[Member], settings: dict, reading: Reading) -> Iterator[Document]:
    """Yield one document a paragraph; the key is the work, so that no work crosses splits."""
    for member in members:
        work = PurePosixPath(member.name).stem.split("_")[0]
        for line in _body(member, reading):
            text = _plain(line, reading).strip()
            if text:
                reading.records += 1
                if REPLACEMENT not in text:
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


def _plain(line: str, reading: Reading) -> str:
    """Return the line without ruby and annotations, with its outside characters put in."""
    line = _GAIJI.sub(lambda match: _character(match[1], reading), line)
    line = _RUBY.sub("", _ANNOTATION.sub("", line))
    return line.replace("／″＼", "〲").replace("／＼", "〱")


def _character(description: str, reading: Reading) -> str:
    """Return the character of a note by its code in Unicode or JIS X 0213, else `GETA`."""
    if match := _UNICODE.search(description):
        return chr(int(match[1], 16))
    if match := _JIS.search(description):
        plane, row, cell = (int(number) for number in match.groups())
        code = bytes([0x8F] * (plane == 2) + [row + 0xA0, cell + 0xA0])
        try:
            return code.decode("euc_jis_2004")
        except UnicodeDecodeError:
            pass
    reading.counts["unnamed_characters"] += 1
    return GETA
