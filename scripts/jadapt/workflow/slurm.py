"""What a cluster is asked for: the resources of a stage, and what to change when it refuses a job.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
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

# A part of SLURM's answer, the key to change, and how; the first that fits.
REMEDIES = (
    (r"(?i)account.*invalid|invalid account", "slurm_account",
     "name an account of yours (sacctmgr show assoc user=$USER)"),
    (r"(?i)invalid partition", "slurm_partition",
     "name a partition of this cluster (sinfo -s)"),
    (r"(?i)memory (specification|required)", "mem_mb",
     "ask for less, or name a slurm_partition whose nodes have as much (sinfo -o '%P %m')"),
    (r"(?i)generic resource|gres|trackable resource|node configuration is not available|"
     r"node count specification", "slurm_partition",
     "name a partition whose nodes have that many processors and GPUs (sinfo -o '%P %c %G'), or "
     "ask for less in the study: training.devices, training.threads, or training.accelerator: cpu"),
    (r"(?i)time ?limit", "runtime", "ask for fewer minutes"),
    (r"(?i)qos", "qos", "name a quality of service of yours"),
    (r"(?i)feature|constraint", "constraint", "name a feature of this cluster (sinfo -o '%P %f')"),
)  # fmt: skip
_REFUSED = (
    re.compile(r"SLURM sbatch failed\. The error message was '(?P<answer>.*?)'\.\s*$", re.M | re.S),
    re.compile(
        r"message: Job submission failed with exception: (?P<answer>.*?)"
        r"(?=For further error details|^    \w+: )",
        re.M | re.S,
    ),
)
_RULE = re.compile(r"^Error in (?:rule|group) (?P<rule>\w+)[^:\n]*:?$", re.M)


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


def resources(site: dict[str, dict], stage: str, **portable: int) -> dict[str, Any]:
    """Return the resources of the jobs of a stage, for a rule's ``resources``.

    Args:
        site: what `read_site` returned.
        stage: a key of the schema.
        portable: what the rule asks for on any cluster; the user's file goes before it.

    Returns:
        Memory and minutes as functions that ask for more at every attempt, anything else as it is.
    """
    asked = {**portable, **(site.get(EVERY_STAGE) or {}), **(site.get(stage) or {})}
    asked = {key: value for key, value in asked.items() if value is not None}
    return {key: _growing(value) if key in GROWING else value for key, value in asked.items()}


def _growing(value: int) -> Callable[..., int]:
    return lambda wildcards, attempt: value * attempt


def refusals(log: str) -> Iterator[tuple[str, str, str, str]]:
    """Find the jobs that SLURM refused in the text of Snakemake's log.

    Yields:
        Rule, SLURM's answer, the key of the site file to change, and how; each combination once.
    """
    seen = set()
    for pattern in _REFUSED:
        for match in pattern.finditer(log):
            answer = " ".join(match["answer"].split())
            # Snakemake names the rule before the message of its error.
            named = list(_RULE.finditer(log, 0, match.start()))
            rule = named[-1]["rule"] if named else "?"
            if (rule, answer) not in seen:
                seen.add((rule, answer))
                yield rule, answer, *_remedy(answer)


def _remedy(answer: str) -> tuple[str, str]:
    for pattern, key, advice in REMEDIES:
        if re.search(pattern, answer):
            return key, advice
    return "slurm_partition", "see `man sbatch` for the answer"


def explain(log_files: Iterable[str | Path]) -> list[str]:
    """Return a line for each rule whose jobs SLURM refused: its answer and the key to change.

    Args:
        log_files: the logs of one Snakemake, as its hook ``onerror`` gets them.
    """
    logs = [Path(path).read_text(encoding="utf-8", errors="replace") for path in log_files]
    return [
        f"error: SLURM refused a job of rule {rule}: {answer}; {SITE_FILE}: {key}: {advice}"
        for rule, answer, key, advice in refusals("\n".join(logs))
    ]
