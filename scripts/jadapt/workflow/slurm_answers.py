"""What SLURM answers when it does not take a job: its own reason, and what to change.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jadapt.workflow.slurm import SITE_FILE

PROFILE = "profiles/slurm/config.yaml"
MINE = "sacctmgr show assoc user=$USER, sacctmgr show qos"


@dataclass(frozen=True)
class Remedy:
    """What to change: the key of a file, if it is one, and how."""

    key: str | None
    advice: str
    file: str = SITE_FILE

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.advice}" if self.key else self.advice


# A part of SLURM's answer and what to do; the first that fits. The names of limits stand first:
# the sentence after them ("job submit limit, user's size and/or time limits") is always the same.
REMEDIES = tuple(
    (re.compile(pattern, re.IGNORECASE), remedy)
    for pattern, remedy in (
        (r"(QOS|Assoc)\w*Submit", Remedy(
            "jobs", f"have fewer jobs in the queue at a time than the limit ({MINE})", PROFILE)),
        (r"(QOS|Assoc)\w*(Wall|TimeLimit)|PartitionTimeLimit", Remedy(
            "runtime", f"ask for fewer minutes than the limit ({MINE})")),
        (r"(QOS|Assoc)\w*(Minutes|RunMins|Billing)", Remedy(
            "slurm_account", "the time of this account is used up or the job asks for more than is "
            f"left; name another, or ask for a shorter runtime ({MINE})")),
        (r"(QOS|Assoc)\w*(GRES|Gpu)", Remedy(
            "qos", "name one that allows as many GPUs, or train on fewer (training.devices of the "
            f"study; {MINE})")),
        (r"(QOS|Assoc)\w*Mem", Remedy("mem_mb", f"ask for less than the limit ({MINE})")),
        (r"(QOS|Assoc)\w*Cpu", Remedy(
            "qos", "name one that allows as many processors, or use fewer (training.threads of the "
            f"study; {MINE})")),
        (r"(QOS|Assoc)\w*Node", Remedy("qos", f"name one that allows another node ({MINE})")),
        (r"(QOS|Assoc)\w*(MaxJobs|GrpJobs|Jobs?Limit)", Remedy(
            "jobs", f"have fewer jobs at a time than the limit ({MINE})", PROFILE)),
        (r"unable to contact|connect failure|socket timed out|zero bytes were transmitted|"
         r"unexpected message|protocol authentication|invalid authentication credential|"
         r"temporarily unable to accept|resource temporarily unavailable|slurm_persist_conn|"
         r"connection (refused|reset)|no route to host|slurmctld|slurmdbd", Remedy(
            None, "SLURM does not answer; run the same command again when `sinfo` does")),
        (r"QOS not permitted", Remedy(
            "qos", "name one that this partition allows (scontrol show partition)")),
        (r"account not permitted|allowaccount|denyaccount", Remedy(
            "slurm_account", "name one that this partition allows (scontrol show partition)")),
        (r"group not permitted|permission denied|not permitted to use this partition", Remedy(
            "slurm_partition", "name one that you may use (sinfo -s)")),
        (r"account.*invalid|invalid account", Remedy(
            "slurm_account", "name an account of yours (sacctmgr show assoc user=$USER)")),
        (r"invalid partition|partition.*(not available|inactive|drain)", Remedy(
            "slurm_partition", "name a partition of this cluster that is up (sinfo -s)")),
        (r"(unrecogni[sz]ed|invalid|unknown) option.*--gpus|use --gres", Remedy(
            "gres", "this cluster knows no --gpus; write gpu, or gpu:TYPE (sinfo -o '%P %G')")),
        (r"--mem\b.*(not|n't)|(not|n't) (use|specify|set|request).*(--mem\b|memory)|"
         r"(unrecogni[sz]ed|invalid|unknown) option.*--mem", Remedy(
            "mem_mb", "this cluster wants no --mem; write 0")),
        (r"memory (specification|required)|more memory", Remedy(
            "mem_mb", "ask for less, or name a slurm_partition whose nodes have as much "
            "(sinfo -o '%P %m')")),
        (r"generic resource|\bgres\b|trackable resource|node configuration is not available|"
         r"node count specification|more processors|cpu count|invalid gpu model", Remedy(
            "slurm_partition", "name a partition whose nodes have that many processors and GPUs, "
            "of that type (sinfo -o '%P %c %G'), or ask for less in the study: training.devices, "
            "training.threads, or training.accelerator: cpu")),
        # Without the name of a limit, it may be any of them.
        (r"accounting/QOS policy", Remedy(
            "qos", "a limit of this account or quality of service, which SLURM does not name; "
            f"compare jobs, minutes, memory and GPUs with yours ({MINE})")),
        (r"time ?limit", Remedy("runtime", "ask for fewer minutes (sinfo -o '%P %l')")),
        (r"qos", Remedy("qos", "name a quality of service of yours (sacctmgr show qos)")),
        (r"feature|constraint", Remedy(
            "constraint", "name a feature of this cluster (sinfo -o '%P %f')")),
        (r"reservation", Remedy("slurm_extra", "name a reservation of yours (scontrol show res)")),
        (r"disk quota|no space left", Remedy(
            None, "the disk of the scripts of jobs is full; free some room, or tell who runs it")),
    )
)  # fmt: skip
_UNKNOWN = Remedy("slurm_partition", "see `man sbatch` for the answer")
_REFUSED = (
    re.compile(r"SLURM sbatch failed\. The error message was '(?P<answer>.*?)'\.\s*$", re.M | re.S),
    re.compile(
        r"message: Job submission failed with exception: (?P<answer>.*?)"
        r"(?=For further error details|^    \w+: )",
        re.M | re.S,
    ),
)
_RULE = re.compile(r"^Error in (?:rule|group) (?P<rule>\w+)[^:\n]*:?$", re.M)


def remedy(answer: str) -> Remedy:
    """Return what to do about an answer of SLURM's."""
    found = (remedy for pattern, remedy in REMEDIES if pattern.search(answer))
    return next(found, _UNKNOWN)


def refusals(log: str) -> Iterator[tuple[str, str, Remedy]]:
    """Find the jobs that SLURM refused in the text of Snakemake's log.

    Yields:
        Rule, SLURM's answer and what to do; each combination once.
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
                yield rule, answer, remedy(answer)


def explain(log_files: Iterable[str | Path]) -> list[str]:
    """Return a line for each rule whose jobs SLURM refused: its answer and what to do.

    Args:
        log_files: the logs of one Snakemake, as its hook ``onerror`` gets them.
    """
    logs = [Path(path).read_text(encoding="utf-8", errors="replace") for path in log_files]
    return [
        f"error: SLURM refused a job of rule {rule}: {answer}; {found}"
        for rule, answer, found in refusals("\n".join(logs))
    ]
