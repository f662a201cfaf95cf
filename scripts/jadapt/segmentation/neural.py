"""The BiLSTM-CRF as a segmenter: saved, loaded, and applied to many texts at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from jadapt.core.errors import UserError
from jadapt.core.files import atomic, read_json, sha256_file, write_json
from jadapt.segmentation.base import BILSTM_CRF
from jadapt.segmentation.features import (
    STARTS,
    TAGS,
    TYPES,
    Features,
    Vocabulary,
    code_points,
    is_space,
)
from jadapt.segmentation.network import Batch, BiLSTMCRF, NetworkSettings
from jadapt.segmentation.pieces import Span, from_starts, spans

WEIGHTS, META = "model.safetensors", "model.json"

LIMIT = 400
"""Longest part in characters that the network reads at once."""
CONTEXT = 32
"""Characters read beyond an edge that a word may go across."""
BATCH_CHARACTERS = 8192
"""Characters of a batch, padding included: enough to fill the machine's vector units."""


class BiLSTMCRFSegmenter:
    """A trained network; the words of a text do not depend on the texts beside it."""

    name = BILSTM_CRF

    def __init__(self, model: BiLSTMCRF, vocabulary: Vocabulary) -> None:
        self._model, self._vocabulary = model.eval(), vocabulary
        crf = model.crf
        parts = (crf.start_transitions, crf.transitions, crf.end_transitions)
        self._crf = [part.detach().numpy().copy() for part in parts]

    def segment(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the words of each text; see `jadapt.segmentation.base.Segmenter`."""
        starts = [np.zeros(len(text), dtype=bool) for text in texts]
        parts = [(n, span) for n, text in enumerate(texts) for span in spans(text, LIMIT)]
        windows = [_window(span, len(texts[n])) for n, span in parts]
        lengths = np.array([end - begin for begin, end in windows])
        for group in _groups(lengths):
            features = [
                self._vocabulary.features(texts[parts[place][0]][slice(*windows[place])])
                for place in group
            ]
            for place, found in zip(group, self._starts(features), strict=True):
                (number, span), (begin, _) = parts[place], windows[place]
                starts[number][span.begin : span.end] = found[span.begin - begin :][
                    : span.end - span.begin
                ]
                if span.safe_begin:
                    starts[number][span.begin] = True
        for text, each in zip(texts, starts, strict=True):
            _part_spaces(text, each)
        return [from_starts(text, each) for text, each in zip(texts, starts, strict=True)]

    def _starts(self, features: list[Features]) -> list[np.ndarray]:
        """Return where words begin, for each text of a batch."""
        batch = Batch.of(features)
        with torch.inference_mode():
            scores = self._model.scores(batch).numpy()
        best = viterbi(scores, batch.lengths.numpy(), *self._crf)
        return [
            STARTS[row[: len(each.characters)]] for row, each in zip(best, features, strict=True)
        ]

    def save(self, folder: str | Path, facts: dict) -> None:
        """Write weights and description, each whole; ``facts`` (JSON) joins the description."""
        folder = Path(folder)
        (folder / META).unlink(missing_ok=True)
        weights = {name: tensor.contiguous() for name, tensor in self._model.state_dict().items()}
        with atomic(folder / WEIGHTS) as temporary:
            save_file(weights, temporary)
        write_json(
            folder / META,
            {
                **facts,
                "kind": BILSTM_CRF,
                "sha256": sha256_file(folder / WEIGHTS),
                "network": asdict(self._model.settings),
                "tags": list(TAGS),
                "types": list(TYPES),
                "characters": "".join(map(chr, self._vocabulary.characters)),
                "bigrams": [
                    [int(pair) >> 32, int(pair) & 0xFFFFFFFF] for pair in self._vocabulary.bigrams
                ],
            },
        )

    @classmethod
    def load(cls, folder: str | Path) -> BiLSTMCRFSegmenter:
        """Load a saved segmenter; one that is missing, changed or outdated is a `UserError`."""
        folder = Path(folder)
        meta = read_json(folder / META)
        remedy = f"delete {folder} and train the segmenter again"
        try:
            if sha256_file(folder / WEIGHTS) != meta["sha256"]:
                raise UserError(
                    f"{folder / WEIGHTS}: its sha256 is not the one in {META}; {remedy}"
                )
            if meta["types"] != list(TYPES) or meta["tags"] != list(TAGS):
                raise UserError(f"{folder / META}: made with other character classes; {remedy}")
            characters = np.array([ord(c) for c in meta["characters"]], dtype=np.uint32)
            pairs = np.array(meta["bigrams"], dtype=np.int64).reshape(-1, 2)
            model = BiLSTMCRF(NetworkSettings(**meta["network"]), len(characters), len(pairs))
            model.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise UserError(f"{folder}: not a whole segmenter ({error}); {remedy}") from error
        return cls(model, Vocabulary(characters, pairs[:, 0] << 32 | pairs[:, 1]))


def viterbi(
    scores: np.ndarray,
    lengths: np.ndarray,
    start: np.ndarray,
    transitions: np.ndarray,
    end: np.ndarray,
) -> np.ndarray:
    """Return the best tags of every text of a batch, shape (texts, T); garbage in the padding.

    The same as `torchcrf.CRF.decode`, whose loop over texts and characters in Python takes longer
    than the network.

    Args:
        scores: of every tag, shape (texts, T, tags).
        lengths: of the texts, at least 1, shape (texts,).
        start, transitions, end: the CRF's, shapes (tags,), (tags, tags) from × to, (tags,).
    """
    texts, width, _ = scores.shape
    came_from = np.empty((width, *scores.shape[::2]), dtype=np.int8)
    total = start + scores[:, 0]
    final = total.copy()
    for place in range(1, width):
        candidates = total[:, :, None] + transitions
        came_from[place] = candidates.argmax(1)
        total = candidates.max(1) + scores[:, place]
        final[lengths > place] = total[lengths > place]
    best = np.empty((texts, width), dtype=np.int8)
    tag, rows = (final + end).argmax(1), np.arange(texts)
    for place in range(width - 1, -1, -1):
        best[:, place] = tag
        if place:
            tag = np.where(place < lengths, came_from[place, rows, tag], tag)
    return best


def _window(span: Span, length: int) -> tuple[int, int]:
    begin = span.begin if span.safe_begin else max(0, span.begin - CONTEXT)
    end = span.end if span.safe_end else min(length, span.end + CONTEXT)
    return begin, end


def _groups(lengths: np.ndarray) -> list[np.ndarray]:
    """Return batches of places with similar lengths."""
    order = np.argsort(lengths, kind="stable")
    groups, begin = [], 0
    while begin < len(order):
        # Lengths rise, so the last one decides how much padding there is.
        end = begin + 1
        while end < len(order) and (end + 1 - begin) * lengths[order[end]] <= BATCH_CHARACTERS:
            end += 1
        groups.append(order[begin:end])
        begin = end
    return groups


def _part_spaces(text: str, starts: np.ndarray) -> None:
    """Begin a piece wherever white space begins or ends, and nowhere within it."""
    if not text or not (spaces := is_space(code_points(text))).any():
        return
    changes = spaces[1:] != spaces[:-1]
    starts[1:][changes] = True
    starts[1:][spaces[1:] & ~changes] = False
