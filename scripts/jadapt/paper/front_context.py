"""What the paper's template may say of a study whose fronts alone were made."""

from __future__ import annotations

from typing import Any

import pandas as pd

from jadapt.analysis import findings, front_findings
from jadapt.analysis.adapted_models import setter
from jadapt.analysis.labels import LANGUAGES, join_words
from jadapt.paper import context


def of_fronts(measures: pd.DataFrame, settings: dict, literature: dict) -> dict[str, Any]:
    """Return what the template may name of a study whose fronts alone were made."""
    fronts = front_findings.context(measures, settings)
    found = [entry.run for entry in fronts["methods"]]
    return {
        **context.configured(settings, found),
        "setting": setter(settings),
        "fronts_only": True,
        "fronts": fronts,
        "home": LANGUAGES["en"],
        "tasks": fronts["tasks"],
        "seeds": fronts["seeds"],
        "findings": findings.Findings(),
        "literature": literature,
        "names": context.names_of(literature),
        "join": join_words,
    }
