"""A study: everything that decides what `snakemake all` computes.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from jadapt.config.fields import (
    UNIQUE,
    Count,
    Name,
    Names,
    NotNegative,
    Section,
    Seed,
    Seeds,
    ShareBelowOne,
    StudyName,
    Text,
    refused,
)
from jadapt.config.segmentation import Segmentation
from jadapt.config.tokenizers import Tokenization, Tokenizer
from jadapt.config.training import Pretraining, Rate, Training

BASE = "base"
_Part = Annotated[float, Field(gt=0, lt=0.5)]


def _not_base(methods: dict) -> dict:
    if BASE in methods:
        raise refused(f"'{BASE}' is the base model's own name; give the run another")
    return methods


class Splits(Section):
    """Shares of the documents that nothing is trained on."""

    validation: _Part
    """Share of the documents."""
    test: _Part
    """Share of the documents."""


class Corpora(Section):
    """The text of the study."""

    domains: Names
    """Domains of config/corpora.yaml that the study builds."""
    splits: Splits
    """Shares of the documents that nothing is trained on."""
    maximum_documents: dict[Name, Count] = Field(default_factory=dict)
    """Cap a domain, in the order of the hash that decides the splits."""


class Search(Section):
    """The learning-rate grid of methods that list several rates, on the first task."""

    seeds: Seeds
    """Seeds of the grid; others than those of the runs keep the choice apart from the result."""


class Fronts(Section):
    """Runs that list several rates or strengths, each through the whole sequence, with a rule that
    picks one point; `snakemake fronts` makes them."""

    seeds: Seeds
    """Seeds of every point of a front."""
    extend: Annotated[int, Field(ge=0, le=10)] = 0
    """How many rates may be added beyond an end of a grid while the best one lies there."""
    forgetting_weight: NotNegative = 1.0
    """The rule: of the bits per byte learned over the whole sequence, so many times those forgotten
    of `retention` are taken off, on validation text; the highest mean over seeds is picked."""
    interpolations: Annotated[list[ShareBelowOne], Field(max_length=20), *UNIQUE] = Field(
        default_factory=list
    )
    """Shares of the change from the base model at which interpolated weights are measured."""
    margin: NotNegative = 0.02
    """Bits per byte within which two methods count as equal, by two one-sided tests; stated before
    the study runs."""
    retention: Names
    """Domains of `evaluation.domains` in the source language on which forgetting is measured:
    nothing is trained on them, and no strategy remembers them."""


class Ablation(Section):
    """A setting of one run that is varied on the first task, each value with a grid of rates."""

    run: Text
    """The run, a key of `methods`, that is varied."""
    key: Text
    """The varied key of its entry or of `training`; dots lead into sections."""
    learning_rate: Rate | None = None
    """One rate for all values, or a grid for each. Left out: that of the run."""
    values: Annotated[list[Any], Field(min_length=1, max_length=100), *UNIQUE]
    """The values that are tried."""
    seeds: Seeds
    """Seeds of each variant."""


class Evaluation(Section):
    """What every model is measured on."""

    domains: Names
    """Domains whose test splits every model is evaluated on."""
    maximum_tokens: Count
    """Tokens of each test split that are scored."""
    batch_size: Count
    """Rows per forward pass."""
    task_ids: bool
    """Whether a model is told which task a text belongs to. Methods that keep something for each
    task need it."""
    tasks: Annotated[list[Name], Field(max_length=1000), *UNIQUE] = Field(default_factory=list)
    """Downstream tasks that every model is put to, files of config/tasks/."""
    task_items: Annotated[int, Field(ge=2, le=10**7)] | None = None
    """Items of each task, a fixed subset; null, the default, takes all."""
    task_seed: Seed = 0
    """Seed of the subset and of the examples in prompts; 0 by default."""


class StudySettings(Section):
    """Everything that decides what `snakemake all` computes."""

    extends: Text | None = None
    """Another study file, relative to this one: this one then holds only what differs, and `null`
    takes an entry away."""
    study: StudyName
    """Name of the study; results live under results/{study}/."""
    model: Text
    """A model of config/models.yaml."""
    results: Literal["recompute", "released"] = "recompute"
    """Where figures, tables and the paper take their numbers from: the runs of this machine, or the
    tables that the authors released in paper/released/{study}/. Left out: recompute."""
    tensorboard: bool = False
    """Whether training also writes event files for TensorBoard, to results/{study}/tensorboard/.
    Left out: no. Decides no result."""
    deviations: Annotated[list[Text], Field(max_length=100)] = Field(default_factory=list)
    """What was not done as planned, and what was seen of test text before the study was settled:
    one sentence each, which the paper prints. Decides no result."""
    seeds: Seeds
    """One run of every method for each seed."""
    seeds_per_job: Annotated[int, Field(ge=1, le=1000)]
    """Seeds of a run that one process trains one after another; 1 gives each a job of its own."""
    mirror: Text | None = None
    """Folder that holds copies of `url` sources; looked at before the network. JADAPT_MIRROR
    overrides it."""
    downloads: Text
    """Folder for downloaded packages, shared by all studies."""
    corpora: Corpora
    """The text of the study."""
    tokenizer: Tokenizer
    """The tokenizer of the study."""
    segmentation: Segmentation | None = None
    """Word segmentation, measured; a study without this section has no table of it."""
    tokenization: Tokenization | None = None
    """The tokenization study: tokenizers measured on the same text, a small model trained with
    each; null for none."""
    training: Training
    """The recipe that every run shares; a method may set any of these keys for itself."""
    pretraining: Pretraining
    """How the base model comes to know its language; any key of `training` may be set again."""
    sequence: Names
    """Domains that every method is adapted to, in this order."""
    methods: Annotated[
        dict[Name, dict[str, Any]],
        Field(min_length=1, max_length=10_000),
        AfterValidator(_not_base),
    ]
    """Runs by name: a method, its hyperparameters, and any key of `training`. See
    methods.schema.json."""
    search: Search
    """The learning-rate grid of methods that list several rates, on the first task."""
    fronts: Fronts | None = None
    """Runs at every rate and strength, through the whole sequence; left out: none."""
    ablations: dict[Name, Ablation] = Field(default_factory=dict)
    """Settings of one run that are varied on the first task, each value with a grid of rates of its
    own."""
    evaluation: Evaluation
    """What every model is measured on."""
