"""Tokenizers behind one small protocol, and the corpus lines that they read.

A tokenizer is a directory: the model's own files, and ``tokenizer_meta.json`` with its ``kind``.
(``tokenizer.json`` is used for Hugging Face's own format only, which its loaders expect there.)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import sentencepiece

from jadapt import segmentation
from jadapt.core.errors import UserError, nearest
from jadapt.core.files import read_json, sha256_file
from jadapt.tokenization.huggingface import HuggingFaceTokenizer
from jadapt.tokenization.lossless import LosslessTokenizer
from jadapt.tokenization.normalisation import normalise

META_NAME = "tokenizer_meta.json"
MODEL_NAME = "tokenizer.model"

# SentencePiece writes a space as this character (U+2581), in pieces and therefore in ids.
SPACE_MARK = "\u2581"


class Tokenizer(Protocol):
    """What the rest of the package knows of a tokenizer; ids are 0 … ``vocabulary_size`` - 1.

    What it encodes is the text after its ``normalisation``, which decoding gives back.
    """

    vocabulary_size: int
    normalisation: str
    start_id: int
    end_id: int
    pad_id: int
    sha256: str

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without start and end tokens."""

    def sample_batch(
        self, texts: Sequence[str], *, alpha: float, nbest_size: int, seed: int
    ) -> list[list[int]]:
        """Return the ids of each text in a segmentation drawn at random, the same for a seed."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``; special tokens are empty, broken UTF-8 becomes U+FFFD."""

    def token_bytes(self) -> list[bytes]:
        """Return the UTF-8 bytes that each id stands for; ``b""`` for special tokens."""


class SentencePieceTokenizer(LosslessTokenizer):
    """A lossless SentencePiece model: ids of a text, joined as bytes, are its UTF-8 bytes.

    Its meta may name a ``normalisation`` that comes before, and ``words``, the segmenter whose
    words no token goes across.
    """

    def __init__(self, directory: str | Path, meta: dict) -> None:
        self.sha256 = checked_model(Path(directory) / MODEL_NAME, meta)
        model = Path(directory) / MODEL_NAME
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model.read_bytes())
        self.vocabulary_size = self._processor.vocab_size()
        self.pad_id = self._processor.pad_id()
        self.start_id = self._processor.bos_id()
        self.end_id = self._processor.eos_id()
        self.normalisation = meta.get("normalisation", "none")
        self._words: Any = meta.get("words")

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without start and end tokens."""
        return self._encode(texts)

    def sample_batch(
        self, texts: Sequence[str], *, alpha: float, nbest_size: int, seed: int
    ) -> list[list[int]]:
        """Return the ids of each text in a segmentation drawn at random (Kudo, ACL 2018).

        A segmentation is drawn in proportion to its probability to the power of ``alpha``, among
        the ``nbest_size`` most probable ones, or among all where that is negative. In a BPE model
        ``alpha`` is the probability that a merge is left out (BPE-dropout, Provilkov et al., ACL
        2020), and ``nbest_size`` means nothing.

        The draws follow from ``seed`` (32 bits) and the texts alone. The library keeps a generator
        a thread; encoding a batch starts a new thread, whose generator takes up the seed set last.
        """
        sentencepiece.set_random_generator_seed(seed)
        return self._encode(texts, enable_sampling=True, alpha=alpha, nbest_size=nbest_size)

    def _encode(self, texts: Sequence[str], **options: Any) -> list[list[int]]:
        texts = [normalise(text, self.normalisation) for text in texts]
        if self._words is None:
            return self._encode_parts(texts, **options)
        words = [with_spaces(parts) for parts in self._segmenter.segment(texts)]
        encoded = iter(self._encode_parts(list(chain.from_iterable(words)), **options))
        return [[token for _ in parts for token in next(encoded)] for parts in words]

    def _encode_parts(self, texts: list[str], **options: Any) -> list[list[int]]:
        """Encode, but spell U+2581 of the text itself, which SentencePiece would make a space."""
        if not any(SPACE_MARK in text for text in texts):
            return self._processor.encode(texts, out_type=int, num_threads=1, **options)
        parts = [text.split(SPACE_MARK) for text in texts]
        encoded = iter(self._encode_parts(list(chain.from_iterable(parts)), **options))
        mark = [
            self._processor.piece_to_id(f"<0x{byte:02X}>") for byte in SPACE_MARK.encode("utf-8")
        ]
        found = []
        for pieces in parts:
            ids = list(next(encoded))
            for _ in pieces[1:]:
                ids += mark + next(encoded)
            found.append(ids)
        return found

    @cached_property
    def _segmenter(self) -> segmentation.Segmenter:
        return segmentation.load(self._words)

    @cached_property
    def _bytes(self) -> list[bytes]:
        return [self._piece_bytes(token) for token in range(self.vocabulary_size)]

    def _piece_bytes(self, token: int) -> bytes:
        if self._processor.is_control(token) or self._processor.is_unknown(token):
            return b""
        piece = self._processor.id_to_piece(token)
        if self._processor.is_byte(token):
            return bytes([int(piece[len("<0x") : -len(">")], 16)])
        return piece.replace(SPACE_MARK, " ").encode("utf-8")


def checked_model(model: Path, meta: dict) -> str:
    """Return the checksum of a tokenizer's model; a missing or changed one is a `UserError`."""
    if not model.is_file():
        raise UserError(f"{model}: no such file; train the tokenizer again")
    found = sha256_file(model)
    if found != meta.get("sha256"):
        raise UserError(
            f"{model}: its sha256 is not the one in {META_NAME}; "
            f"delete {model.parent} and train the tokenizer again"
        )
    return found


def with_spaces(words: Sequence[str]) -> list[str]:
    """Join each single space to the word after it, as SentencePiece's own pieces have it."""
    joined: list[str] = []
    space = ""
    for word in words:
        if word == " ":
            joined += [space] if space else []
            space = word
        else:
            joined.append(space + word)
            space = ""
    return [*joined, space] if space else joined


# The one place to register another kind: a class or function of (directory, meta).
KINDS: dict[str, Callable[[str | Path, dict], Tokenizer]] = {
    "sentencepiece": SentencePieceTokenizer,
    "huggingface": HuggingFaceTokenizer,
}


def load(directory: str | Path) -> Tokenizer:
    """Load the tokenizer of a directory; a missing, changed or unknown one is a `UserError`."""
    path = Path(directory) / META_NAME
    meta = read_json(path)
    kind = meta.get("kind") if isinstance(meta, dict) else None
    if kind not in KINDS:
        raise UserError(f"{path}: unknown tokenizer kind {kind!r}{nearest(str(kind), KINDS)}")
    return KINDS[kind](directory, meta)


def document_text(line: bytes, language: str) -> str:
    """Return the text of one line of a corpus file; a `ValueError` says what is wrong with it.

    ``language`` is the field that holds the text. A lone surrogate (``"\\ud800"``) is valid JSON
    but has no UTF-8 bytes, so it is refused like a broken byte.
    """
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"invalid UTF-8 at byte {error.start + 1} of the line") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON ({error.msg})") from error
    text = record.get(language) if isinstance(record, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"no text in the field '{language}'")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"invalid UTF-8: a lone surrogate in the field '{language}'") from error
    return text
