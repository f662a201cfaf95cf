"""Resources of a cluster by stage: profiles/slurm/local.yaml.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, create_model

from jadapt.config.fields import Section, Text, matching, refused

# A year; no cluster lets a job run as long.
_YEAR = 366 * 24 * 60
_Minutes = Annotated[int, Field(ge=1, le=_YEAR), Tag("minutes")]


def _clock(text: str) -> str:
    if not re.fullmatch(r"\d{1,4}:[0-5]\d:[0-5]\d", text) or not 1 <= minutes(text) <= _YEAR:
        raise refused(f"{text!r} is no time; write whole minutes, or 'HH:MM:SS' in quotes")
    return text


_Clock = Annotated[str, AfterValidator(_clock), Tag("clock")]


class EveryStage(Section):
    """What the jobs of all stages ask for, unless the stage says otherwise."""

    slurm_account: Text | None = None
    """sbatch -A."""
    slurm_partition: Text | None = None
    """sbatch -p."""
    qos: Text | None = None
    """sbatch --qos."""
    constraint: Text | None = None
    """sbatch -C, a feature of nodes."""
    slurm_extra: Text | None = None
    """Other options of sbatch, in one string."""
    gres: matching(r"[A-Za-z0-9_]+(:[A-Za-z0-9_.]+)?") | None = None
    """GPUs as this cluster names them, gpu or gpu:TYPE, where it takes --gres and not --gpus; the
    number is added."""
    mem_mb: Annotated[int, Field(ge=0, le=10**9)] | None = None
    """Memory in MB, 0 where the cluster wants no --mem; the second attempt asks for twice, the
    third for three times as much."""
    runtime: (
        Annotated[
            _Minutes | _Clock,
            Discriminator(lambda value: "clock" if isinstance(value, str) else "minutes"),
        ]
        | None
    ) = None
    """Time limit in minutes, or 'HH:MM:SS' in quotes; grows in the same way."""


class Resources(EveryStage):
    """What the jobs of a stage ask for."""

    # SLURM takes a type of letters, digits and underscores; Snakemake refuses any other.
    gpu_model: matching(r"[A-Za-z0-9_.]+") | None = None
    """Type of the GPUs, as in --gpus=TYPE:COUNT; only for stages that use GPUs."""


STAGES = {
    "corpus": "Cleaning and splitting a domain.",
    "purity": "Comparing the text that measures with the text that is trained on.",
    "tokenizer": "Training the tokenizer.",
    "tokens": "Encoding a split of a domain.",
    "segmenter": "Training a word segmenter.",
    "segmentation": "Measuring the word segmenters.",
    "raw_corpus": "A domain without the cleaning that the tokenization study does without.",
    "study_tokenizer": "A tokenizer of the tokenization study.",
    "study_models": "Training and evaluating the models of the tokenization study.",
    "initial_model": "Preparing the model to start from.",
    "base": "Pre-training the base model.",
    "search": "The grid of learning rates of a run.",
    "front": "A run at every rate and strength.",
    "ablation": "An ablation: the values of one setting.",
    "adapt": "Training a run, all of its tasks and as many seeds as `seeds_per_job`.",
    "evaluate": "Evaluating the models of a run; several are grouped into one job.",
    "task_data": "Preparing the items of a downstream task.",
    "baselines": "Fitting unigrams and n-grams to the study's text.",
}
_FIELDS: dict[str, Any] = {
    name: (Resources | None, Field(default=None, description=text)) for name, text in STAGES.items()
}
Cluster = create_model(
    "Cluster",
    __base__=Section,
    __doc__="Resources of a cluster by stage, profiles/slurm/local.yaml.",
    every_stage=(
        EveryStage | None,
        Field(
            default=None,
            description="What the jobs of all stages ask for, unless the stage says otherwise.",
        ),
    ),
    **_FIELDS,
)


def minutes(runtime: int | str) -> int:
    """Return a time limit in minutes, begun ones counted."""
    if isinstance(runtime, int):
        return runtime
    hours, rest, seconds = map(int, runtime.split(":"))
    return hours * 60 + rest + (seconds > 0)
