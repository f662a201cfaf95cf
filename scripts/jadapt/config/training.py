"""The recipe of training, which every run shares and may change for itself.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, Discriminator, Field, Tag, create_model

from jadapt.config.fields import (
    Count,
    CountOrNone,
    LearningRate,
    Name,
    NotNegative,
    Positive,
    PositiveShare,
    Rates,
    Section,
    Seed,
    Share,
    ShareBelowOne,
    refused,
)

# What a study may say of a run's rate: one, or several to choose from.
Rate = Annotated[
    Annotated[LearningRate, Tag("one")] | Annotated[Rates, Tag("several")],
    Discriminator(lambda value: "several" if isinstance(value, list) else "one"),
]


# The model that each model of changes is about, by name: it explains the keys.
CHANGED: dict[str, type[Section]] = {}


def _all_or_several(value: int) -> int:
    if value in (0, 1):
        raise refused(f"{value} draws nothing; use -1 for all segmentations, or 2 and more")
    return value


class Fast(Section):
    """What makes training faster and smaller; a key left out is off."""

    cross_entropy_chunk: CountOrNone = 0
    """Positions whose logits exist at once; 0 computes all of them, as transformers does."""
    compile_layers: bool = False
    """Compile each layer of the model; takes seconds once a process."""
    activation_budget: PositiveShare = 1.0
    """Share of the activations that compiled layers keep for the backward pass; what else it needs
    is computed again, cheap operations first."""
    fuse_projections: bool = False
    """One matrix product for projections of the same input, LoRA's updates within it; with
    precision 32-true or bf16-true."""
    cuda_graphs: bool = False
    """Record a micro-batch's forward and backward pass once and replay them; needs a GPU, not with
    fsdp2, and not for DEN, which changes the model while it trains."""
    fused_optimiser: bool = False
    """AdamW as one kernel for many tensors."""
    deterministic: bool = False
    """Keep to kernels that give the same digits in every run."""
    flash_attention: bool = False
    """Kernels that take no mask: for rows that hold one document each, and, in 16 bits on a GPU,
    for packed documents."""


class SubwordRegularisation(Section):
    """Training texts come in segmentations drawn at random (Kudo 2018), evaluation never."""

    alpha: PositiveShare
    """Exponent of a segmentation's probability: the smaller, the more even the draw. For BPE: the
    share of merges that are left out."""
    nbest_size: Annotated[int, Field(ge=-1, le=10**6), AfterValidator(_all_or_several)]
    """Draw among so many best segmentations; -1 is all of them. Means nothing for BPE."""


class Training(Section):
    """The recipe that every run shares; a method may set any of these keys for itself."""

    accelerator: Literal["cpu", "gpu"]
    """What NeMo's trainer runs on."""
    devices: Annotated[int, Field(ge=1, le=1024)]
    """Accelerators of one machine that one run uses, or processes on a CPU; each takes its share of
    the rows of a step."""
    parallelism: Literal["ddp", "fsdp2"] = "ddp"
    """With several devices: ddp, the default, keeps the whole model on each; fsdp2 divides weights,
    gradients and optimiser among them."""
    threads: Annotated[int, Field(ge=1, le=1024)]
    """CPU threads of one run; part of the recipe, since sums in another order give other digits."""
    precision: Literal["32-true", "bf16-true", "bf16-mixed", "16-mixed"]
    """Lightning's precision setting."""
    sequence_length: Annotated[int, Field(ge=2, le=10**7)]
    """Tokens per row; documents are packed into rows and do not see each other."""
    global_batch_size: Count
    """Rows per optimiser step, over all devices and micro-batches."""
    micro_batch_size: Count
    """Rows that a device holds at once."""
    steps: Count
    """Optimiser steps per task."""
    tokens: dict[Name, Count] | None = None
    """Tokens that a task is trained on, in place of `steps`; the warm-up takes the share of them
    that it has of `steps`. Tasks that are not named take `steps`."""
    warmup_steps: CountOrNone
    """Steps over which the learning rate rises linearly."""
    minimum_learning_rate_ratio: Share
    """End of the cosine decay as a share of the peak rate."""
    weight_decay: NotNegative
    """AdamW's decay of matrices; vectors do not decay."""
    beta1: ShareBelowOne
    """AdamW's first moment decay."""
    beta2: ShareBelowOne
    """AdamW's second moment decay."""
    gradient_clip: Positive
    """Largest global gradient norm."""
    log_interval: Count
    """Steps between two lines of train.jsonl."""
    validation_interval: Count
    """Steps between two validations."""
    validation_tokens: Count
    """Tokens of each validation split that are scored."""
    checkpoint_interval: Count
    """Steps between two checkpoints."""
    fast: Fast = Fast()
    """What makes training faster and smaller; a key left out is off."""
    subword_regularisation: SubwordRegularisation | None = None
    """Training texts come in segmentations drawn at random (Kudo 2018), evaluation never; null for
    none. Needs a SentencePiece tokenizer."""


def changes(base: type[Section], name: str, document: str, **own: Any) -> type[Section]:
    """Return the model of settings that change some keys of another, and have keys of their own.

    Args:
        base: the model whose keys may be set again, each with the same type.
        name: the name of the new model.
        document: what it is.
        own: its own fields, as for `pydantic.create_model`.
    """
    types = get_type_hints(base, include_extras=True)
    fields: dict[str, Any] = {key: (types[key], None) for key in base.model_fields}
    made = create_model(name, __base__=Section, __doc__=document, **{**own, **fields})
    CHANGED[name] = base
    return made


class Mixture(Section):
    """A little of the new language among the base model's text, as real English corpora have it."""

    domain: Name
    """Domain in the language to be learned."""
    share: Annotated[float, Field(gt=0, le=0.5)]
    """Share of the rows."""
    reserved_share: Annotated[float, Field(gt=0, le=0.5)]
    """Share of the domain's training documents that these rows are made of. Nothing else is trained
    on them, nor remembers them; enough that few rows repeat."""


Pretraining = changes(
    Training,
    "Pretraining",
    "How the base model comes to know its language; any key of `training` may be set again.",
    domain=(Name, Field(description="Domain the base model learns first; retention is measured "
                                    "on it.")),
    seed=(Seed, Field(description="Seed of the base model.")),
    learning_rate=(LearningRate, Field(default=None, description="Peak learning rate.")),
    mixture=(Mixture, Field(default=None, description="A little of the new language among the "
             "base model's text, as real English corpora have it; left out: none.")),
)  # fmt: skip

TokenizationTraining = changes(
    Training,
    "TokenizationTraining",
    "What differs from `training`, with the learning rate.",
    learning_rate=(LearningRate, Field(description="Peak learning rate.")),
)
