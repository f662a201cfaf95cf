"""What a release keeps of one front: a record of how it was made, and its losses by document."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from jadapt.config import runs
from jadapt.config.studies import Study
from jadapt.core.files import read_json, sha256_file
from jadapt.core.tables import FRONTS

# Released losses are multiples of so many bits: far below what sums of them are printed with.
STEP = 1 / 8
KEYS = ("strength", "learning_rate", "interpolation", "seed")


def choice_of(study: Study, run: str) -> dict[str, Any]:
    """Return the chosen point of a front and, as ``record``, what made it; neither while points are
    missing, or where it was made without."""
    path = study.front(run, "json")
    choice = read_json(path) if path.is_file() else {}
    return {**choice, "record": choice.get("record") or {}}


def record(study: Study, run: str) -> dict[str, Any]:
    """Describe the front of a run on this machine, for the manifest.

    Returns:
        ``commit``, ``lock``, ``device`` and ``versions`` (None where the run did not record them),
        ``seconds`` of training, ``points`` trained, ``diverged`` among them, ``missing`` points of
        the configuration in words, the chosen ``learning_rate`` and ``strength`` and whether it is
        an end of the grid, and checksums of the settings, the table and the losses by document.
    """
    table = FRONTS.read(study.front(run, "csv"))
    table = table[table["method"] == run]
    choice = choice_of(study, run)
    own = choice["record"]
    settings = runs.front_settings(study.config, run)
    keys = ["strength", "learning_rate", "seed"]
    there = set(table[keys].itertuples(index=False, name=None))
    wanted = [
        (variant["strength"], rate, seed)
        for variant in settings["variants"] for rate in settings["rates"]
        for seed in settings["seeds"]
    ]  # fmt: skip
    bits = table[table["evaluated_on"] != ""]
    lost = set(bits.loc[bits["value"].isna(), keys].itertuples(index=False, name=None))
    seconds = table.loc[table["metric"] == "training_seconds", "value"].sum()
    return {
        "run": run,
        **{key: own.get(key) for key in ("commit", "lock", "device", "versions")},
        "seconds": float(seconds),
        "points": len(there),
        "diverged": len(lost),
        "missing": [
            f"{f'strength {strength}, ' if strength else ''}rate {rate:g}, seed {seed}"
            for strength, rate, seed in wanted if (strength, rate, seed) not in there
        ],
        "learning_rate": choice.get("learning_rate"),
        "strength": choice.get("strength"),
        "at_end": choice.get("at_end"),
        "settings_sha256": settings_digest(study, run),
        "table_sha256": sha256_file(study.front(run, "csv")),
    }  # fmt: skip


def settings_digest(study: Study, run: str) -> str:
    """Return a checksum of all that the front of a run is told."""
    settings = runs.front_settings(study.config, run)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def compact(source: Path, target: Path, settings: dict) -> None:
    """Write losses by document so that they take little room: rounded, sorted, compressed.

    Of interpolated weights those are left out that no comparison needs: of text that is neither a
    task nor to be kept.

    The columns stay the same, so that whoever reads the one reads the other.
    """
    import pandas as pd
    import pyarrow
    from pyarrow import parquet

    table = pd.read_parquet(source)
    if table.empty:
        shutil.copyfile(source, target)
        return
    keys = [name for name in KEYS if name in table]
    if "interpolation" in table:
        compared = table["domain"].isin([*settings["sequence"], *settings["fronts"]["retention"]])
        table = table[compared | table["interpolation"].isin([0.0, 1.0])]
    for name in ("strength", "domain"):
        table = table.assign(**{name: table[name].astype(str)})
    # Models one after the other, documents in one order: what repeats is then stored once.
    table = table.sort_values([*keys, "domain", "document"], kind="stable", ignore_index=True)
    steps = (table["bits"].astype("float64") / STEP).round() * STEP
    table = table.assign(bits=steps.astype("float32"))
    whole = pyarrow.Table.from_pandas(table, preserve_index=False)
    parquet.write_table(
        whole, target, compression="zstd", compression_level=19, data_page_size=2**26,
        use_dictionary=[*keys, "domain"], column_encoding={"bits": "BYTE_STREAM_SPLIT"},
        write_statistics=False, row_group_size=2**24,
    )  # fmt: skip
