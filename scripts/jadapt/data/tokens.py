"""The token files of one split: memory-mapped, checked against their meta file, never loaded whole.

A directory holds ``tokens.bin`` (little-endian uint16, or uint32 for more than 65,535 entries),
``offsets.bin`` (little-endian int64, documents + 1), ``sizes.bin`` (little-endian int64, documents
x 2: raw UTF-8 bytes and characters) and ``meta.json``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jadapt.core import checksums
from jadapt.core.errors import UserError
from jadapt.core.files import read_json

FORMAT_VERSION = 1
TOKENS_NAME, OFFSETS_NAME, SIZES_NAME, META_NAME = FILE_NAMES = (
    "tokens.bin",
    "offsets.bin",
    "sizes.bin",
    "meta.json",
)
OFFSET_TYPE = np.dtype("<i8")
_TOKEN_TYPES: dict[str, np.dtype] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
_META_COUNTS = ("tokens", "documents", "bytes", "characters")
_META_TEXTS = ("tokenizer_sha256", "tokens_sha256", "offsets_sha256", "sizes_sha256")


def token_type(vocabulary_size: int) -> np.dtype:
    """Return the type of a token file for a vocabulary of this size."""
    return _TOKEN_TYPES["uint16" if vocabulary_size <= 65_535 else "uint32"]


class TokenFile:
    """Read access to the tokens of a split; opening costs a few system calls.

    A missing, truncated or foreign file is a `UserError` that names it. Pickling passes the path
    only, so that loader processes map the files themselves.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.meta = self._read_meta()
        documents, tokens = self.meta["documents"], self.meta["tokens"]
        self.offsets = self._map(OFFSETS_NAME, OFFSET_TYPE, (documents + 1,))
        self.sizes = self._map(SIZES_NAME, OFFSET_TYPE, (documents, 2))
        self._tokens = self._map(TOKENS_NAME, _TOKEN_TYPES[self.meta["dtype"]], (tokens,))
        if self.offsets[0] != 0 or self.offsets[-1] != tokens:
            raise self._broken(OFFSETS_NAME, f"does not lead from 0 to {tokens} tokens")

    def __reduce__(self) -> tuple:
        """Pickle the path, not the arrays."""
        return TokenFile, (self.directory,)

    def __len__(self) -> int:
        """Return the number of documents."""
        return self.meta["documents"]

    @property
    def tokens(self) -> int:
        """The number of tokens of all documents, without start and end tokens."""
        return self.meta["tokens"]

    @property
    def lengths(self) -> np.ndarray:
        """The number of tokens of each document: int64, (documents,)."""
        return np.diff(self.offsets)

    def document(self, index: int) -> np.ndarray:
        """Return the tokens of a document: a read-only view, (tokens,), of the file's type."""
        if not 0 <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        return self._tokens[self.offsets[index] : self.offsets[index + 1]]

    def check(self, tokenizer_sha256: str) -> None:
        """Raise a `UserError` unless this tokenizer made the tokens and no byte has changed since.

        Reads every file once per process.
        """
        if self.meta["tokenizer_sha256"] != tokenizer_sha256:
            raise UserError(
                f"{self.directory}: encoded with another tokenizer (sha256 "
                f"{self.meta['tokenizer_sha256'][:12]}…, not {tokenizer_sha256[:12]}…); "
                f"{self._remedy}"
            )
        self.verify()

    def verify(self) -> None:
        """Compare the checksum of every file with the meta file."""
        for name in (TOKENS_NAME, OFFSETS_NAME, SIZES_NAME):
            if checksums.digest(self.directory / name) != self.meta[f"{Path(name).stem}_sha256"]:
                raise self._broken(name, f"its sha256 is not the one in {META_NAME}")

    def _read_meta(self) -> dict:
        meta = read_json(self.directory / META_NAME)
        if not isinstance(meta, dict) or meta.get("format_version") != FORMAT_VERSION:
            raise self._broken(META_NAME, f"not of format version {FORMAT_VERSION}")
        for key in _META_COUNTS:
            if not isinstance(meta.get(key), int) or meta[key] < 0:
                raise self._broken(META_NAME, f"'{key}' is not a count")
        for key in _META_TEXTS:
            if not isinstance(meta.get(key), str):
                raise self._broken(META_NAME, f"'{key}' is missing")
        if meta.get("dtype") not in _TOKEN_TYPES:
            raise self._broken(META_NAME, f"unknown dtype {meta.get('dtype')!r}")
        return meta

    def _map(self, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        path = self.directory / name
        expected = int(np.prod(shape)) * dtype.itemsize
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise self._broken(name, "no such file") from None
        if size != expected:
            raise self._broken(name, f"{size} bytes, but {META_NAME} says {expected}")
        if not expected:
            return np.empty(shape, dtype)  # an empty file cannot be mapped
        return np.memmap(path, dtype, mode="r", shape=shape).view(np.ndarray)

    def _broken(self, name: str, reason: str) -> UserError:
        return UserError(f"{self.directory / name}: {reason}; {self._remedy}")

    @property
    def _remedy(self) -> str:
        return f"delete {self.directory} and run the same command again"
