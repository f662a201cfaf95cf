"""The text of NOTICE: licence and attribution of every source of text."""

from __future__ import annotations

import textwrap
from collections import Counter

from jadapt.core.errors import UserError, nearest
from jadapt.corpora.urls import pinned_files

WIDTH = 98
_HEAD = """\
Notices for the text that this project reads

No text of these sources is part of this repository. The workflow fetches it from the places named
in config/corpora.yaml, checks it against the checksums there, and keeps it under the results and
download directories. Whoever passes on such text, or a corpus built from it, passes on the licence
and the attribution below with it. This file is written by scripts/write_notice.py.
"""


def notice(corpora: dict) -> str:
    """Return the text of NOTICE for the content of ``config/corpora.yaml``."""
    parts = [_HEAD]
    used: dict[str, list[str]] = {name: [] for name in corpora["sources"]}
    for domain, entry in corpora["domains"].items():
        for name in entry["sources"]:
            if name not in used:
                raise UserError(f"domain {domain}: unknown source '{name}'{nearest(name, used)}")
            used[name].append(domain)
    for gold in corpora.get("gold", {}).values():
        for split, entry in gold["splits"].items():
            used[entry["source"]].append(f"word segmentation ({split})")
    for name, entry in corpora["sources"].items():
        if entry["kind"] != "local":
            parts.append(_section(name, entry, used[name]))
    return "\n".join(parts)


def _section(name: str, entry: dict, domains: list[str]) -> str:
    lines = [name, "-" * len(name)]
    fields = {
        "From": _origin(name, entry),
        "Homepage": entry["homepage"],
        "Licence": entry["licence"],
        "Attribution": entry["attribution"],
        "Domains": ", ".join(domains) or "none",
    }
    if entry["kind"] == "url":
        fields["Works"] = _works(name, entry)
    for label, value in fields.items():
        if value:
            lines.append(
                textwrap.fill(
                    f"{label}: {value}",
                    WIDTH,
                    subsequent_indent="  ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
            )
    return "\n".join(lines) + "\n"


def _origin(name: str, entry: dict) -> str:
    if entry["kind"] == "pypi":
        return f"Python package {entry['package']} {entry['version']} ({entry['file']})"
    pins = pinned_files(name, entry)
    places = Counter("/".join(pin["path"].split("/")[1:4]) for pin in pins)
    return "GitHub, " + "; ".join(f"{place} ({count} files)" for place, count in places.items())


def _works(name: str, entry: dict) -> str:
    """Return the number of works by each author, where the pin file names authors."""
    authors = Counter(pin["author"] for pin in pinned_files(name, entry) if pin.get("author"))
    counts = ", ".join(f"{author} {count}" for author, count in authors.items())
    return f"{counts}; titles in {entry['pins']}" if counts else ""
