"""The tables that everything printed is made from, read with checks, and tables written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from jadapt.analysis import gpu_benchmark
from jadapt.analysis.markup import latex
from jadapt.analysis.printing import present
from jadapt.core import tables as declared
from jadapt.core.errors import UserError
from jadapt.core.files import atomic, write_text

read_metrics = declared.METRICS.read
read_efficiency = declared.EFFICIENCY.read
read_curves = declared.CURVES.read
read_grid = declared.GRID.read
read_corpora = declared.CORPORA.read
read_claims = declared.CLAIMS.read
read_segmentation = declared.SEGMENTATION.read
read_tokenizers = declared.TOKENIZERS.read

# Tables of measurements that a study may have, and what reads each.
READERS: dict[str, Callable[[str | Path], pd.DataFrame]] = {
    **{name: table.read for name, table in declared.MEASURED.items()},
    declared.FRONT_MEASURES.name: declared.FRONT_MEASURES.read,
    "card": gpu_benchmark.read,
}


def save_table(
    frame: pd.DataFrame, stem: str | Path, *, caption: str, label: str | None = None
) -> list[Path]:
    """Write ``stem.csv`` (numbers at full precision) and ``stem.tex`` (as printed, booktabs).

    ``frame`` has columns named as `jadapt.analysis.printing` describes. ``label`` defaults to
    ``tab:`` and the stem's last part.
    """
    csv, tex = Path(f"{stem}.csv"), Path(f"{stem}.tex")
    with atomic(csv) as temporary:
        frame.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")
    write_text(tex, latex(present(frame), caption=caption, label=label or f"tab:{Path(stem).name}"))
    return [csv, tex]


def load_table(path: str | Path) -> pd.DataFrame:
    """Read a table that `save_table` wrote, ready for `present`."""
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""], encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such table; run its notebook first") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise UserError(f"{path}: not a readable table ({error}); delete it") from error
