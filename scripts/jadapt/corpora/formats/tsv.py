"""Tables of tab-separated columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jadapt.core.errors import UserError
from jadapt.corpora.documents import Document, Member, Reading, decoded_lines


def extract(members: Sequence[Member], settings: dict, reading: Reading) -> Iterator[Document]:
    """Yield one document a line that has text in the domain's language.

    Settings: ``width`` (columns of every line), ``columns`` (language to column, from 0),
    ``missing`` (what stands for no value). There is no quoting: a quotation mark is a character.
    """
    width, missing = settings["width"], settings.get("missing", "")
    for language, column in settings["columns"].items():
        if not 0 <= column < width:
            raise UserError(
                f"source {reading.source}: extract.columns.{language}: {column}, but its lines "
                f"have {width} columns, 0 to {width - 1}; correct it in config/corpora.yaml"
            )
    for member in members:
        for number, line in enumerate(decoded_lines(member, reading), 1):
            if not line.strip():
                continue
            reading.records += 1
            if reading.undecodable(line):
                continue
            fields = line.split("\t")
            if len(fields) != width:
                reason = f"{len(fields)} columns, expected {width}"
                reading.add_broken(member.name, number, reason)
                continue
            texts = {
                language: fields[column]
                for language, column in settings["columns"].items()
                if fields[column] not in ("", missing)
            }
            if reading.language not in texts:
                reading.counts[f"no_{reading.language}"] += 1
                continue
            yield reading.document(**texts)
