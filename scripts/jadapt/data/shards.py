"""Byte-range shards of a corpus, encoded by a few processes with bounded memory.

A shard owns the lines that start inside its bytes. A process reads its shards line by line and
encodes them in small batches, so memory depends neither on the corpus nor on the number of shards,
only on the longest document. Processes load the tokenizer themselves and inherit nothing, which
makes them safe under every start method.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jadapt.core.errors import UserError
from jadapt.data.tokens import OFFSET_TYPE, token_type
from jadapt.tokenization.tokenizers import Tokenizer, document_text, load

_BATCH_BYTES = 1 << 18
_BATCH_DOCUMENTS = 1024


@dataclass(frozen=True)
class Job:
    """The parameters that a process needs to encode shards of a corpus."""

    tokenizer: str
    corpus: str
    language: str
    directory: str
    shard_bytes: int
    corpus_bytes: int

    @property
    def shards(self) -> int:
        """The number of shards, at least one."""
        return max(1, -(-self.corpus_bytes // self.shard_bytes))

    def tokens_path(self, shard: int) -> Path:
        """Where a shard's tokens go: a flat array of the vocabulary's type."""
        return Path(self.directory, f"shard{shard:08d}.tokens")

    def counts_path(self, shard: int) -> Path:
        """Where a shard's document counts go: int64 rows of tokens, bytes, characters."""
        return Path(self.directory, f"shard{shard:08d}.counts")


class BadLine(Exception):
    """A line that is not a document: the byte at which it starts, and what is wrong."""


def encode_shard(job: Job, shard: int, tokenizer: Tokenizer) -> None:
    """Write the tokens and document counts of one shard."""
    dtype = token_type(tokenizer.vocabulary_size)
    with (
        open(job.corpus, "rb") as corpus,
        open(job.tokens_path(shard), "wb") as tokens,
        open(job.counts_path(shard), "wb") as counts,
    ):
        begin = shard * job.shard_bytes
        for texts in _batches(corpus, begin, begin + job.shard_bytes, job.language):
            encoded = tokenizer.encode_batch(texts)
            lengths = [len(ids) for ids in encoded]
            flat = np.fromiter(chain.from_iterable(encoded), dtype, count=sum(lengths))
            rows = [
                (length, len(text.encode("utf-8")), len(text))
                for length, text in zip(lengths, texts, strict=True)
            ]
            tokens.write(flat.tobytes())
            counts.write(np.array(rows, OFFSET_TYPE).tobytes())


def _batches(stream: BinaryIO, begin: int, end: int, language: str) -> Iterator[list[str]]:
    """Yield the texts of the lines that start in [begin, end), in small batches."""
    texts, size = [], 0
    for position, line in _lines(stream, begin, end):
        try:
            texts.append(document_text(line, language))
        except ValueError as error:
            raise BadLine(position, str(error)) from error
        size += len(line)
        if size >= _BATCH_BYTES or len(texts) == _BATCH_DOCUMENTS:
            yield texts
            texts, size = [], 0
    if texts:
        yield texts


def _lines(stream: BinaryIO, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
    position = begin
    if begin:
        # The line that holds the byte before this shard belongs to an earlier shard.
        stream.seek(begin - 1)
        position = begin - 1 + len(stream.readline())
    while position < end and (line := stream.readline()):
        yield position, line
        position += len(line)


def encode_shards(job: Job, workers: int) -> Iterator[int]:
    """Encode all shards; yield the number of each when it is done.

    Raises:
        UserError: a line is broken (named by its number), or a process died.
    """
    workers = min(workers, job.shards)
    if workers == 1:
        yield from _encode_here(job)
        return
    context = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = []
    channels: dict[Connection, BaseProcess] = {}
    try:
        for worker in range(workers):
            receiver, sender = context.Pipe(duplex=False)
            shards = range(worker, job.shards, workers)
            process: BaseProcess = context.Process(
                target=_work, args=(job, shards, sender), daemon=True
            )
            process.start()
            sender.close()  # so that the end of the process is the end of the channel
            processes.append(process)
            channels[receiver] = process
        yield from _collect(job, channels)
    finally:
        for started in processes:
            started.kill()
            started.join()


def _encode_here(job: Job) -> Iterator[int]:
    tokenizer = load(job.tokenizer)
    for shard in range(job.shards):
        try:
            encode_shard(job, shard, tokenizer)
        except BadLine as error:
            raise _line_error(job, *error.args) from error
        yield shard


def _collect(job: Job, channels: dict[Connection, BaseProcess]) -> Iterator[int]:
    """Yield finished shards until every process has reported that it is done."""
    while channels:
        ready = wait(list(channels))
        for channel in [each for each in channels if each in ready]:
            try:
                kind, *values = channel.recv()
            except EOFError:
                raise _death(job, channels[channel]) from None
            if kind == "shard":
                yield values[0]
            elif kind == "end":
                del channels[channel]
            elif kind == "bad line":
                raise _line_error(job, *values)
            else:
                raise UserError(values[0])


def _work(job: Job, shards: range, sender: Connection) -> None:
    """Encode some shards (in a child process) and report each over the channel."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its processes
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        tokenizer = load(job.tokenizer)
        for shard in shards:
            encode_shard(job, shard, tokenizer)
            sender.send(("shard", shard))
        sender.send(("end",))
    except BadLine as error:
        sender.send(("bad line", *error.args))
    except UserError as error:
        sender.send(("error", str(error)))
    except OSError as error:
        sender.send(("error", f"{error.filename or job.directory}: {error.strerror}"))


def _end_with_parent() -> None:
    """End this process when its parent has ended, even by SIGKILL, so that no orphan writes on."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _death(job: Job, process: BaseProcess) -> UserError:
    process.join()
    code = process.exitcode or 0
    cause = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
    return UserError(
        f"{job.corpus}: an encoding process {cause} (out of memory?); "
        "nothing was written, run again with fewer workers"
    )


def _line_error(job: Job, position: int, reason: str) -> UserError:
    """Return the error for the line at a byte position, whose line number is only counted here."""
    number, left = 1, position
    with open(job.corpus, "rb") as stream:
        while left and (block := stream.read(min(left, 1 << 20))):
            number += block.count(b"\n")
            left -= len(block)
    return UserError(f"{job.corpus}:{number}: {reason}")
