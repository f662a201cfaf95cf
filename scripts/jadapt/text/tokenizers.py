"""Tokenizers behind one small protocol, and the corpus lines that they read.

A tokenizer is a directory: the model's own files, and ``tokenizer_meta.json`` with its ``kind``.
(``tokenizer.json`` is used for Hugging Face's own format only, which its loaders expect there.)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import sentencepiece

from jadapt.errors import UserError, nearest
from jadapt.files import read_json, sha256_file
from jadapt.text.huggingface import HuggingFaceTokenizer

META_NAME = "tokenizer_meta.json"
MODEL_NAME = "tokenizer.model"

# SentencePiece writes a space as this character (U+2581), in pieces and therefore in ids.
_SPACE_MARK = "\u2581"


class Tokenizer(Protocol):
    """What the rest of the package knows of a tokenizer; ids are 0 … ``vocabulary_size`` - 1."""

    vocabulary_size: int
    start_id: int
    end_id: int
    pad_id: int
    sha256: str

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without start and end tokens."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``; special tokens are empty, broken UTF-8 becomes U+FFFD."""

    def token_bytes(self) -> list[bytes]:
        """Return the UTF-8 bytes that each id stands for; ``b""`` for special tokens."""


class SentencePieceTokenizer:
    """A lossless SentencePiece model: ids of a text, joined as bytes, are its UTF-8 bytes."""

    def __init__(self, directory: str | Path, meta: dict) -> None:
        model = Path(directory) / MODEL_NAME
        if not model.is_file():
            raise UserError(f"{model}: no such file; train the tokenizer again")
        self.sha256 = sha256_file(model)
        if self.sha256 != meta.get("sha256"):
            raise UserError(
                f"{model}: its sha256 is not the one in {META_NAME}; "
                f"delete {directory} and train the tokenizer again"
            )
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model.read_bytes())
        self.vocabulary_size = self._processor.vocab_size()
        self.pad_id = self._processor.pad_id()
        self.start_id = self._processor.bos_id()
        self.end_id = self._processor.eos_id()

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without start and end tokens."""
        encoded = self._processor.encode(list(texts), out_type=int, num_threads=1)
        for index, text in enumerate(texts):
            if _SPACE_MARK in text:
                encoded[index] = self._encode_marked(text)
        return encoded

    def _encode_marked(self, text: str) -> list[int]:
        """Encode a text that has U+2581 itself, which SentencePiece would turn into a space."""
        mark = [
            self._processor.piece_to_id(f"<0x{byte:02X}>") for byte in _SPACE_MARK.encode("utf-8")
        ]
        first, *others = self._processor.encode(text.split(_SPACE_MARK), out_type=int)
        return first + [token for part in others for token in mark + part]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``; special tokens are empty, broken UTF-8 becomes U+FFFD."""
        return b"".join(self._bytes[token] for token in ids).decode("utf-8", errors="replace")

    def token_bytes(self) -> list[bytes]:
        """Return the UTF-8 bytes that each id stands for; ``b""`` for special tokens."""
        return list(self._bytes)

    @cached_property
    def _bytes(self) -> list[bytes]:
        return [self._piece_bytes(token) for token in range(self.vocabulary_size)]

    def _piece_bytes(self, token: int) -> bytes:
        if self._processor.is_control(token) or self._processor.is_unknown(token):
            return b""
        piece = self._processor.id_to_piece(token)
        if self._processor.is_byte(token):
            return bytes([int(piece[len("<0x") : -len(">")], 16)])
        return piece.replace(_SPACE_MARK, " ").encode("utf-8")


# The one place to register another kind: its class takes (directory, meta).
KINDS: dict[str, type[Tokenizer]] = {
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
