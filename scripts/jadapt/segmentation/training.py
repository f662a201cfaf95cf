"""Train the BiLSTM-CRF on segmented texts; equal settings and seed give equal weights."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from jadapt.core.errors import UserError
from jadapt.segmentation.features import PADDING, UNKNOWN, Features, Vocabulary, tags
from jadapt.segmentation.network import Batch, BiLSTMCRF, NetworkSettings


@dataclass(frozen=True)
class TrainingSettings:
    """How the segmenter is trained: keys of ``segmentation.training``."""

    epochs: int
    batch_characters: int
    learning_rate: float
    warmup_share: float
    weight_decay: float
    gradient_clip: float
    average_decay: float
    unknown_characters: float
    unknown_bigrams: float
    least_character: int
    least_bigram: int
    threads: int


@dataclass(frozen=True)
class Example:
    """A segmented text as numbers."""

    features: Features
    tags: np.ndarray


def examples(vocabulary: Vocabulary, texts: Sequence[Sequence[str]]) -> list[Example]:
    """Turn texts, each a list of words, into numbers; empty ones are left out."""
    return [Example(vocabulary.features("".join(words)), tags(words)) for words in texts if words]


def train(
    texts: Sequence[Sequence[str]],
    network: NetworkSettings,
    settings: TrainingSettings,
    seed: int,
    *,
    validate: Callable[[BiLSTMCRF, Vocabulary], float],
) -> tuple[BiLSTMCRF, Vocabulary, list[dict]]:
    """Train on texts that are lists of words; return the network, its vocabulary and a log.

    The network is an exponential moving average of the weights over the steps, as it was after the
    epoch for which ``validate`` (higher is better) gave most, the last of equals. The log has a
    line for each epoch: ``epoch``, ``loss`` (nats per character), ``validation``, ``seconds``.

    Raises:
        UserError: there is nothing to learn from.
    """
    if not any(texts):
        raise UserError("segmentation: no text to train the segmenter on")
    torch.set_num_threads(settings.threads)
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    vocabulary = Vocabulary.learn(
        ["".join(words) for words in texts],
        least_character=settings.least_character,
        least_bigram=settings.least_bigram,
    )
    data = examples(vocabulary, texts)
    model = BiLSTMCRF(network, len(vocabulary.characters), len(vocabulary.bigrams))
    initialise(model)
    average = copy.deepcopy(model).requires_grad_(False).eval()
    steps = settings.epochs * len(list(batches(data, settings.batch_characters, generator)))
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, cosine(steps, settings.warmup_share))
    log, best, step = [], None, 0
    for epoch in range(1, settings.epochs + 1):
        begin, losses = time.perf_counter(), []
        model.train()
        for batch in batches(data, settings.batch_characters, generator):
            losses.append(_step(model, batch, settings, generator))
            optimiser.step()
            schedule.step()
            step += 1
            _follow(average, model, min(settings.average_decay, step / (step + 10)))
        score = validate(average, vocabulary)
        entry = {
            "epoch": epoch,
            "loss": float(np.mean(losses)),
            "validation": score,
            "seconds": time.perf_counter() - begin,
        }
        log.append(entry)
        print(
            f"epoch {epoch} of {settings.epochs}: loss {entry['loss']:.4f} nats a character, "
            f"validation F1 {score:.4f}, {entry['seconds']:.0f} s",
            file=sys.stderr,
            flush=True,
        )
        if best is None or score >= best[0]:
            best = (score, copy.deepcopy(average))
    if best is None:
        raise ValueError(f"{settings.epochs} epochs")
    return best[1], vocabulary, log


def initialise(model: BiLSTMCRF) -> None:
    """Set the start: LSTM gates as in Jozefowicz et al. (2015), forgetting little at first."""
    for table in (model.characters, model.bigrams, model.types):
        nn.init.normal_(table.weight, std=0.1)
        with torch.no_grad():
            table.weight[PADDING].zero_()
    for lstm in [*model.forwards, *model.backwards]:
        size = lstm.hidden_size
        nn.init.xavier_uniform_(lstm.weight_ih_l0)
        for gate in lstm.weight_hh_l0.data.split(size):
            nn.init.orthogonal_(gate)
        nn.init.zeros_(lstm.bias_ih_l0)
        nn.init.zeros_(lstm.bias_hh_l0)
        with torch.no_grad():
            lstm.bias_ih_l0[size : 2 * size] = 1.0


def cosine(steps: int, warmup_share: float) -> Callable[[int], float]:
    """Return the factor of the learning rate at each step: a linear rise, then a cosine to 0."""
    warmup = max(1, round(steps * warmup_share))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return factor


def batches(
    data: Sequence[Example], characters: int, generator: np.random.Generator
) -> Iterator[list[Example]]:
    """Yield batches of about so many characters, of texts of similar length, in random order."""
    lengths = np.array([len(example.tags) for example in data])
    # Noise on the lengths, so that a text meets other neighbours in every epoch.
    order = np.argsort(lengths * generator.uniform(0.9, 1.1, len(data)), kind="stable")
    groups: list[list[Example]] = []
    group: list[Example] = []
    size = 0
    for index in order:
        if group and size + lengths[index] > characters:
            groups.append(group)
            group, size = [], 0
        group.append(data[index])
        size += lengths[index]
    groups.append(group)
    for place in generator.permutation(len(groups)):
        yield groups[place]


def _step(
    model: BiLSTMCRF,
    group: list[Example],
    settings: TrainingSettings,
    generator: np.random.Generator,
) -> float:
    """Compute the gradients of one batch, clipped; return its loss."""
    batch = Batch.of([example.features for example in group])
    # Some known characters and pairs are hidden, so that the network learns what to do without.
    _hide(batch.characters, settings.unknown_characters, generator)
    _hide(batch.bigrams, settings.unknown_bigrams, generator)
    gold = np.zeros(batch.characters.shape, dtype=np.int64)
    for row, example in zip(gold, group, strict=True):
        row[: len(example.tags)] = example.tags
    model.zero_grad(set_to_none=True)
    loss = model.loss(batch, torch.from_numpy(gold))
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
    return loss.item()


def _hide(numbers: torch.Tensor, share: float, generator: np.random.Generator) -> None:
    hidden = torch.from_numpy(generator.random(tuple(numbers.shape)) < share)
    numbers[hidden & (numbers != PADDING)] = UNKNOWN


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
