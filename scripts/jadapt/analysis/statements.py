"""What the paper states about its data, its code and its cost, from the manifest of the study."""

from __future__ import annotations

from typing import Any

from jadapt.analysis.labels import domain_label

HOUR = 3600
MEGABYTE = 10**6
# Stages that train; the others prepare text, evaluate and tabulate.
TRAINING = ("pretrain", "adapt")
SEARCHING = ("search", "ablations")
SHOWN = 12


def statements(manifest: dict) -> dict[str, Any]:
    """Return the values that ``sections/statements.typ.j2`` injects.

    Args:
        manifest: the manifest of the study, released or of this machine.

    Returns:
        ``packages`` (name and version), ``pinned`` and ``local`` sources, ``unreached`` domains,
        ``megabytes`` of downloads, ``commits`` and ``locks`` (shortened), ``versions`` of
        the packages that all runs share, ``devices``, ``jobs``,
        ``process_hours``, ``cpu_hours``, ``gpu_hours``, ``training_share``, ``search_share``.
    """
    sources = {
        name: source
        for corpus in manifest["corpora"].values()
        if corpus["available"]
        for name, source in corpus["sources"].items()
    }
    packages = {
        source["package"]: source.get("version")
        for source in sources.values()
        if source["kind"] == "pypi"
    }
    return {
        "packages": [" ".join(filter(None, pair)) for pair in sorted(packages.items())],
        "pinned": sorted(name for name, source in sources.items() if source["kind"] == "url"),
        "local": sorted(name for name, source in sources.items() if source["kind"] == "local"),
        "unreached": [
            domain_label(name)
            for name, corpus in manifest["corpora"].items()
            if not corpus["available"]
        ],
        "megabytes": _bytes_once(sources) / MEGABYTE,
        "commits": [_short(commit) for commit in manifest["commits"] if commit],
        "locks": [_short(lock) for lock in manifest["locks"] if lock],
        "versions": _versions(manifest["versions"]),
        **_cost(manifest),
    }


def front_statement(manifest: dict) -> dict[str, list[str]]:
    """Return the commits and devices that the fronts of a study were made by and on."""
    return {
        "commits": [_short(commit) for commit in manifest.get("commits", []) if commit],
        "devices": [device for device in manifest.get("devices", []) if device],
    }


def _versions(found: list[dict[str, str]]) -> list[str]:
    """Return name and version of each package; none where runs differ in them."""
    return [" ".join(pair) for pair in found[0].items()] if len(found) == 1 else []


def _bytes_once(sources: dict[str, dict]) -> int:
    """Sum the sizes of the files of all sources; several may read the same package."""
    sizes: dict[str, int] = {}
    for name, source in sources.items():
        files = source.get("files") or [{"file": name, "bytes": source["bytes"]}]
        sizes |= {file["file"]: file["bytes"] for file in files}
    return sum(sizes.values())


def _cost(manifest: dict) -> dict[str, Any]:
    compute = manifest["compute"]
    whole = compute["seconds"] or float("nan")

    def share(stages: tuple[str, ...]) -> float:
        return sum(compute["stages"].get(s, {}).get("seconds", 0.0) for s in stages) / whole

    return {
        "devices": manifest["devices"],
        "runs": len(manifest["runs"]),
        "jobs": compute["jobs"],
        "process_hours": compute["seconds"] / HOUR,
        "cpu_hours": compute["cpu_seconds"] / HOUR,
        "gpu_hours": compute["gpu_hours"],
        "training_share": share(TRAINING),
        "search_share": share(SEARCHING),
    }


def _short(name: str) -> str:
    words, plus, changes = name.partition("+")
    return f"{words[:SHOWN]}{plus}{changes}"
