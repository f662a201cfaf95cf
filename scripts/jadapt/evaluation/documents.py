"""Losses of single documents, kept so that intervals cover the choice of documents too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jadapt.core.files import atomic

COLUMNS = ("interpolation", "domain", "document", "bits", "bytes")


@dataclass
class DocumentLosses:
    """The surprise of every document of the domains measured, in bits, with its UTF-8 bytes.

    Attributes:
        share: of the change from the base model, of the model that is measured now.
    """

    share: float = 1.0
    interpolation: list[float] = field(default_factory=list)
    domain: list[str] = field(default_factory=list)
    document: list[int] = field(default_factory=list)
    bits: list[float] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)

    def add(self, domain: str, document: int, bits: float, size: int) -> None:
        """Note one document; ``document`` is its place in the test split."""
        self.interpolation.append(self.share)
        self.domain.append(domain)
        self.document.append(document)
        self.bits.append(bits)
        self.bytes.append(size)

    def write(self, path: Path) -> None:
        """Write a Parquet file with the columns `COLUMNS`."""
        import pyarrow
        from pyarrow import parquet

        table = pyarrow.table(
            {
                "interpolation": pyarrow.array(self.interpolation).dictionary_encode(),
                "domain": pyarrow.array(self.domain).dictionary_encode(),
                "document": pyarrow.array(self.document, pyarrow.int32()),
                "bits": pyarrow.array(self.bits, pyarrow.float32()),
                "bytes": pyarrow.array(self.bytes, pyarrow.int32()),
            }
        )
        with atomic(path) as temporary:
            parquet.write_table(table, temporary, compression="zstd")


def gather(points: Iterable[tuple[Any, Path]], path: Path) -> None:
    """Write the losses of all points to one Parquet file, with what tells the points apart.

    Args:
        points: `jadapt.evaluation.fronts.Point` with the file that `DocumentLosses.write` wrote.
        path: the file; a front of which no point was measured gets one without rows.
    """
    import pyarrow
    from pyarrow import parquet

    tables = []
    for point, file in points:
        table = parquet.read_table(file)
        for name in ("strength", "rate", "seed"):
            value = getattr(point, name)
            column = pyarrow.array([value] * len(table))
            column = column.dictionary_encode()
            table = table.append_column("learning_rate" if name == "rate" else name, column)
        tables.append(table)
    with atomic(path) as temporary:
        whole = pyarrow.concat_tables(tables) if tables else pyarrow.table({})
        parquet.write_table(whole, temporary, compression="zstd")
