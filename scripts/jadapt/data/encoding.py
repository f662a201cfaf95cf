"""From a corpus file to token files: encode shards in parallel, then join them in order."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from jadapt.core.errors import UserError
from jadapt.core.files import sha256_file, write_json
from jadapt.data.shards import Job, encode_shards
from jadapt.data.tokens import (
    FILE_NAMES,
    FORMAT_VERSION,
    META_NAME,
    OFFSET_TYPE,
    OFFSETS_NAME,
    SIZES_NAME,
    TOKENS_NAME,
    token_type,
)
from jadapt.tokenization.tokenizers import load

SHARD_BYTES = 16 << 20
_ROW_BYTES = 3 * OFFSET_TYPE.itemsize
_BLOCK_BYTES = 40_000 * _ROW_BYTES


def encode_corpus(
    tokenizer: str | Path,
    corpus: str | Path,
    language: str,
    output: str | Path,
    workers: int = 1,
    shard_bytes: int = SHARD_BYTES,
) -> dict:
    """Write the token files of a corpus file into the directory ``output``; return their meta.

    The result does not depend on ``workers`` or ``shard_bytes``. The files appear together, by a
    rename of their directory, or not at all.
    """
    if workers < 1:
        raise UserError(f"--workers {workers}: expected at least 1")
    try:
        corpus_bytes = Path(corpus).stat().st_size
        loaded = load(tokenizer)
        with _whole_directory(Path(output)) as directory:
            job = Job(
                str(tokenizer), str(corpus), language, str(directory), shard_bytes, corpus_bytes
            )
            progress = tqdm(total=job.shards, desc=str(corpus), unit="shard", disable=None)
            with progress:
                for _ in encode_shards(job, workers):
                    progress.update()
            meta = {
                "format_version": FORMAT_VERSION,
                "dtype": token_type(loaded.vocabulary_size).name,
                "vocabulary_size": loaded.vocabulary_size,
                "language": language,
                **_join(job, directory),
                "tokenizer_sha256": loaded.sha256,
                "corpus_sha256": sha256_file(corpus),
            }
            write_json(directory / META_NAME, meta)
    except OSError as error:
        raise UserError(f"{error.filename or output}: {error.strerror}") from error
    return meta


@contextmanager
def _whole_directory(output: Path) -> Iterator[Path]:
    """Yield a temporary directory that replaces ``output`` on success and is removed on failure."""
    foreign = sorted(p.name for p in output.glob("[!.]*") if p.name not in FILE_NAMES)
    if foreign:
        raise UserError(f"{output}: holds {foreign[0]}, no token file; give another directory")
    # A fixed name, so that the next run removes what a killed one has left.
    temporary = output.with_name(f".{output.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        shutil.rmtree(output, ignore_errors=True)
        os.replace(temporary, output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _Sink:
    """A file being written, with its SHA-256."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._hash = stream, hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self._hash.update(data)

    def close(self) -> str:
        """Bring the file to the disk and return its checksum."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        return self._hash.hexdigest()


def _join(job: Job, directory: Path) -> dict:
    """Concatenate the shards into the token files; return counts and checksums."""
    with (
        open(directory / TOKENS_NAME, "wb") as tokens_stream,
        open(directory / OFFSETS_NAME, "wb") as offsets_stream,
        open(directory / SIZES_NAME, "wb") as sizes_stream,
    ):
        tokens, offsets, sizes = map(_Sink, (tokens_stream, offsets_stream, sizes_stream))
        totals = np.zeros(3, OFFSET_TYPE)
        documents = 0
        offsets.write(totals[:1].tobytes())
        for shard in range(job.shards):
            for block in _consume(job.tokens_path(shard)):
                tokens.write(block)
            for block in _consume(job.counts_path(shard)):
                counts = np.frombuffer(block, OFFSET_TYPE).reshape(-1, 3)
                offsets.write((totals[0] + np.cumsum(counts[:, 0])).astype(OFFSET_TYPE).tobytes())
                sizes.write(np.ascontiguousarray(counts[:, 1:]).tobytes())
                totals += counts.sum(axis=0)
                documents += len(counts)
        return {
            "documents": documents,
            **dict(zip(("tokens", "bytes", "characters"), totals.tolist(), strict=True)),
            "tokens_sha256": tokens.close(),
            "offsets_sha256": offsets.close(),
            "sizes_sha256": sizes.close(),
        }


def _consume(path: Path) -> Iterator[bytes]:
    """Yield a shard's file in blocks of whole rows, then delete it, so that disk use stays low."""
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block
    path.unlink()
