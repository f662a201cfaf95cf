"""Byte-level BPE tokenizers of published models, in the file format of Hugging Face tokenizers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import tokenizers

from jadapt.core.errors import UserError, nearest
from jadapt.core.files import sha256_file, write_json, write_text
from jadapt.tokenization.lossless import LosslessTokenizer

FILE_NAME = "tokenizer.json"
KIND = "huggingface"

# Valid UTF-8 never holds these, and published vocabularies leave them out.
_NOT_IN_UTF8 = {0xC0, 0xC1, *range(0xF5, 0x100)}


def byte_characters() -> dict[str, int]:
    """Return the printable character that stands for each byte in GPT-2's byte-level vocabulary."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {
        **{chr(byte): byte for byte in printable},
        **{chr(256 + place): byte for place, byte in enumerate(others)},
    }


class HuggingFaceTokenizer(LosslessTokenizer):
    """A byte-level BPE model: ids of a text, joined as bytes, are its UTF-8 bytes.

    Names of special tokens within a text are text. A byte that the vocabulary lacks is a
    `UserError` where it is met, as dropping it would make bits per byte wrong.
    """

    def __init__(self, directory: str | Path, meta: dict) -> None:
        path = Path(directory) / FILE_NAME
        if not path.is_file():
            raise UserError(f"{path}: no such file; prepare the tokenizer again")
        self.sha256 = sha256_file(path)
        if self.sha256 != meta.get("sha256"):
            raise UserError(
                f"{path}: its sha256 is not the one in tokenizer_meta.json; "
                f"delete {directory} and prepare the tokenizer again"
            )
        self._path = path
        self.normalisation = "none"
        self._model = tokenizers.Tokenizer.from_file(str(path))
        self._model.encode_special_tokens = True
        self.vocabulary_size = self._model.get_vocab_size(with_added_tokens=True)
        self.start_id, self.end_id, self.pad_id = (
            meta[f"{name}_id"] for name in ("start", "end", "pad")
        )

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without start and end tokens."""
        encodings = self._model.encode_batch_fast(list(texts), add_special_tokens=False)
        encoded = [encoding.ids for encoding in encodings]
        if self._missing:
            for text in texts:
                lost = self._missing.intersection(text.encode("utf-8"))
                if lost:
                    raise UserError(
                        f"{self._path}: the vocabulary has no token for byte 0x{min(lost):02X}; "
                        "clean it out of the corpus or choose another tokenizer"
                    )
        return encoded

    def sample_batch(
        self, texts: Sequence[str], *, alpha: float, nbest_size: int, seed: int
    ) -> list[list[int]]:
        """Refuse: the library's BPE-dropout takes no seed."""
        raise UserError(
            "training.subword_regularisation: needs a SentencePiece tokenizer; the random numbers "
            "of the `tokenizers` library cannot be repeated. Set it to null"
        )

    @cached_property
    def _bytes(self) -> list[bytes]:
        bytes_of = byte_characters()
        added = self._model.get_added_tokens_decoder()
        pieces = []
        for token in range(self.vocabulary_size):
            piece = self._model.id_to_token(token)
            if token in added and not added[token].special:
                # A piece that a vocabulary was extended with is in the text as it stands.
                pieces.append(added[token].content.encode("utf-8"))
            elif piece is None or token in added:
                pieces.append(b"")
            else:
                pieces.append(bytes(bytes_of[character] for character in piece))
        return pieces

    @cached_property
    def _missing(self) -> frozenset[int]:
        single = {piece[0] for piece in self._bytes if len(piece) == 1}
        return frozenset(set(range(256)) - single - _NOT_IN_UTF8)


def write(directory: str | Path, model: dict, boundary: str, origin: str) -> dict:
    """Write a tokenizer folder from the content of a ``tokenizer.json``; return its description.

    Args:
        directory: gets ``tokenizer.json`` and ``tokenizer_meta.json``.
        model: the content; a normaliser is left out, because it would make another text of the
            text whose bytes are counted.
        boundary: the special token that parts documents in the model's own training.
        origin: what to name in messages.

    Raises:
        UserError: the tokenizer is not byte-level BPE, or lacks the token.
    """
    if model["model"]["type"] != "BPE" or "ByteLevel" not in json.dumps(model["pre_tokenizer"]):
        raise UserError(f"{origin}: not a byte-level BPE tokenizer, the only kind that is lossless")
    content = {**model, "normalizer": None, "post_processor": None}
    names = {token["content"]: token["id"] for token in model["added_tokens"]}
    if boundary not in names:
        raise UserError(
            f"{origin}: the tokenizer has no special token '{boundary}'{nearest(boundary, names)}"
        )
    directory = Path(directory)
    path = directory / FILE_NAME
    write_text(path, json.dumps(content, ensure_ascii=False))
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    meta = {
        "kind": KIND,
        "sha256": sha256_file(path),
        "vocabulary_size": tokenizer.get_vocab_size(with_added_tokens=True),
        # The one token between documents both begins and ends them.
        **{f"{name}_id": names[boundary] for name in ("start", "end", "pad")},
        "origin": origin,
    }
    write_json(directory / "tokenizer_meta.json", meta)
    return meta
