"""What a cluster is asked for: the resources of the jobs of a stage.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jadapt.config import yaml_files
from jadapt.config.checking import check
from jadapt.config.cluster import Cluster, minutes
from jadapt.config.origins import Origin

# What a user's own cluster names differently; git does not track it.
SITE_FILE = "profiles/slurm/local.yaml"
EVERY_STAGE = "every_stage"
GROWING = ("mem_mb", "runtime")


def read_site(path: Path) -> dict[str, dict]:
    """Read the user's file of resources by stage; an absent one asks for nothing of its own.

    Raises:
        UserError: the file is not YAML, or breaks ``config/schemas/cluster.schema.json``.
    """
    if not path.exists():
        return {}
    document = yaml_files.read_document(path)
    places = {keys: f"{SITE_FILE}:{line}" for keys, line in document.lines.items()}
    check(document.content, Cluster, Origin(SITE_FILE, places))
    for stage in document.content.values():
        if stage and stage.get("runtime") is not None:
            stage["runtime"] = minutes(stage["runtime"])
    return document.content


def resources(
    site: dict[str, dict], stage: str, gpu: int | Callable[..., int] = 0, **portable: int
) -> dict[str, Any]:
    """Return the resources of the jobs of a stage, for a rule's ``resources``.

    Args:
        site: what `read_site` returned.
        stage: a key of the schema.
        gpu: how many GPUs a job needs, or a function of its wildcards.
        portable: what the rule asks for on any cluster; the user's file goes before it.

    Returns:
        Memory and minutes as functions that ask for more at every attempt, anything else as it is.
        Memory of 0 is not asked for at all. GPUs are ``gpu``, by number, or where the user's file
        has ``gres``, that and the number.
    """
    asked = {**portable, **(site.get(EVERY_STAGE) or {}), **(site.get(stage) or {})}
    asked = {key: value for key, value in asked.items() if value is not None}
    gres = asked.pop("gres", None)
    found = {key: _growing(value) if key in GROWING else value for key, value in asked.items()}
    if not gpu or gres is None:
        return found | ({"gpu": gpu} if gpu else {})
    return found | {"gpu": 0, "gres": _by_name(gres, gpu)}


def _by_name(gres: str, gpu: int | Callable[..., int]) -> Callable[..., str]:
    """Return GPUs as ``--gres`` names them; an empty word where a job needs none."""

    def named(wildcards: Any) -> str:
        count = gpu(wildcards) if callable(gpu) else gpu
        return f"{gres}:{count}" if count else ""

    return named


def _growing(value: int) -> Callable[..., int]:
    return lambda wildcards, attempt: value * attempt
