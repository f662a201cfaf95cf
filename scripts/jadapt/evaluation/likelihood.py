"""Bits per byte, perplexity and next-character accuracy of a model on held-out documents.

Metrics by script attribute bits to characters. The surprisal of a token is divided equally among
the characters that it spells, so that a piece of three kana gives each a third; a token that spells
only part of a character, such as a byte token, gives that character all of its surprisal
(`jadapt.tokenization.attribution`). The shares of a text sum to its surprise, so the bits of the
scripts, weighted by their characters, sum to ``bits_per_character``. The rule is a definition of
this project: a model of pieces assigns no probability to the single characters within a piece.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator

import numpy as np
from transformers import PreTrainedModel

from jadapt.corpora.scripts import NAMES, script_classes
from jadapt.data.evaluation_rows import UNSCORED
from jadapt.evaluation.metrics.base import ScriptMetric, TextMetric
from jadapt.evaluation.metrics.registry import of_kind
from jadapt.evaluation.tally import REPORTED_SCRIPTS, Tally
from jadapt.models.scoring import batches, score
from jadapt.tokenization.attribution import character_shares, character_starts

# Labels, predictions and surprises in nats of a stretch of one document, each of shape (tokens,).
Part = tuple[np.ndarray, np.ndarray, np.ndarray]


def text_rows(
    tally: Tally, *, told: bool = False, wanted: Container[str] | None = None
) -> Iterator[tuple[str, float, str, int]]:
    """Yield (metric, value, unit, number of items averaged over) of every registered metric.

    Those of the whole text come first, then those of each script that the text has.

    Args:
        tally: the sums over the text.
        told: whether the model was told the task of the text, if it keeps something of each.
        wanted: keys of the metrics of the whole text that are reported, and none by script; left
            out: all of both.
    """
    for metric in of_kind(TextMetric):
        if wanted is not None and metric.key not in wanted:
            continue
        found = metric.value(tally) if metric.told == told else None
        if found is not None:
            value, count = found
            yield metric.key, value, metric.unit, count
    for script in () if told or wanted is not None else REPORTED_SCRIPTS:
        for of_script in of_kind(ScriptMetric) if tally.characters[script] else ():
            found = of_script.value(tally, script)
            if found is not None:
                value, count = found
                yield of_script.key.format(script=script), value, of_script.unit, count


def evaluate(
    model: PreTrainedModel,
    rows: Iterable[dict[str, np.ndarray]],
    token_bytes: list[bytes],
    batch_size: int,
    *,
    by_character: bool = True,
) -> Tally:
    """Score packed documents.

    Args:
        model: in evaluation mode.
        rows: of `jadapt.data.packing.evaluation_rows`; each holds ``input_ids``, ``labels``,
            ``position_ids`` and ``document``, of shape (T,).
        token_bytes: the UTF-8 bytes that each vocabulary entry stands for.
        batch_size: rows a forward pass.
        by_character: whether characters are counted, by script, which takes the host longer than
            a GPU needs for the passes.

    Returns:
        The sums over all scored tokens.
    """
    tally = Tally()
    predictions: dict[int, list[Part]] = {}
    for batch in batches(rows, batch_size):
        nats, predicted = score(model, batch)
        scored = batch["labels"] != UNSCORED
        tally.nats += float(nats[scored].sum())
        tally.tokens += int(scored.sum())
        for row in range(len(scored)):
            arrays = (batch["labels"][row], predicted[row], nats[row])
            for document, part in _documents(batch["document"][row], arrays, scored[row]):
                predictions.setdefault(document, []).append(part)
    sizes = np.array([len(piece) for piece in token_bytes])
    for document, parts in predictions.items():
        before = tally.bytes
        if by_character:
            _count_characters(parts, token_bytes, tally)
        else:
            tally.bytes += sum(int(sizes[gold].sum()) for gold, *_ in parts)
        bits = sum(float(nats.sum()) for *_, nats in parts) / math.log(2)
        tally.documents.append((document, bits, tally.bytes - before))
    return tally


def _documents(
    document: np.ndarray, arrays: Part, scored: np.ndarray
) -> Iterator[tuple[int, Part]]:
    """Split one row into the scored labels, predictions and surprisals of its documents."""
    edges = np.flatnonzero(np.diff(document)) + 1
    for start, stop in zip([0, *edges], [*edges, len(document)], strict=True):
        keep = scored[start:stop]
        if document[start] >= 0 and keep.any():
            gold, guess, nats = (array[start:stop][keep] for array in arrays)
            yield int(document[start]), (gold, guess, nats)


def _count_characters(parts: list[Part], token_bytes: list[bytes], tally: Tally) -> None:
    """Add one document's characters, by script, their surprise and how many were predicted.

    Next-character accuracy: let the model choose its most probable next token at every token
    boundary of the text. A byte of the true token counts as predicted if the chosen token agrees
    with the true one on this byte and on all bytes before it in the token; a character counts as
    predicted if all its bytes do. The definition is the same for pieces of several characters and
    for characters spelt as several byte tokens.
    """
    pieces: list[bytes] = []
    hits: list[bool] = []
    for gold, guess, _ in parts:
        for true_id, guessed_id in zip(gold.tolist(), guess.tolist(), strict=True):
            true = token_bytes[true_id]
            common = len(true) if true_id == guessed_id else _common(true, token_bytes[guessed_id])
            pieces.append(true)
            hits += [True] * common + [False] * (len(true) - common)
    text = b"".join(pieces)
    tally.bytes += len(text)
    starts = character_starts(text)
    if not len(starts):
        return
    correct = np.logical_and.reduceat(np.array(hits), starts)
    nats = character_shares(pieces, np.concatenate([nats for *_, nats in parts]))
    scripts = script_classes(text.decode("utf-8"))
    for index, name in enumerate(NAMES):
        mask = scripts == index
        reported = name if name in REPORTED_SCRIPTS else "other"
        tally.characters[reported] += int(mask.sum())
        tally.correct[reported] += int(correct[mask].sum())
        tally.script_nats[reported] += float(nats[mask].sum())


def _common(left: bytes, right: bytes) -> int:
    """Length of the longest common prefix."""
    length = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        length += 1
    return length
