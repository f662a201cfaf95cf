"""Encoding: the same files for any number of workers, whole or absent, mistakes named."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from jadapt.core.errors import UserError
from jadapt.core.files import read_json, sha256_file, write_json
from jadapt.data import shards
from jadapt.data.encoding import encode_corpus
from jadapt.data.tokens import TokenFile, token_type
from jadapt.tokenization.sentencepiece_training import TokenizerSettings, train
from jadapt.tokenization.tokenizers import load

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "encode.py"
FILES = ("tokens.bin", "offsets.bin", "sizes.bin", "meta.json")
TEXTS = ["猫が好き。", "", "長い文書。\n" * 300, "▁ and 👩‍👩‍👧\x00", "東京2024"] * 20


def write_corpus(path: Path, texts: list[str]) -> Path:
    lines = (json.dumps({"id": "x", "ja": text}, ensure_ascii=False) + "\n" for text in texts)
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "train.jsonl", TEXTS)


@pytest.fixture(scope="module")
def tokenizer(corpus, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("tokenizer")
    train(TokenizerSettings(285, model_type="bpe"), [("ja", corpus)], directory)
    return directory


@pytest.fixture(scope="module")
def encoded(corpus, tokenizer, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("encoded") / "train"
    encode_corpus(tokenizer, corpus, "ja", output)
    return output


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_documents_lengths_and_sizes_are_those_of_the_corpus(encoded, tokenizer):
    tokens, loaded = TokenFile(encoded), load(tokenizer)
    assert len(tokens) == len(TEXTS)
    assert [loaded.decode(tokens.document(i)) for i in range(len(tokens))] == TEXTS
    assert tokens.lengths.tolist() == [len(ids) for ids in loaded.encode_batch(TEXTS)]
    assert tokens.sizes.tolist() == [[len(text.encode()), len(text)] for text in TEXTS]
    tokens.verify()


def test_meta_describes_the_files(encoded, corpus, tokenizer):
    meta = read_json(encoded / "meta.json")
    assert meta == TokenFile(encoded).meta
    assert sorted(path.name for path in encoded.iterdir()) == sorted(FILES)
    assert meta["dtype"] == "uint16"
    assert meta["language"] == "ja"
    assert meta["documents"] == len(TEXTS)
    assert meta["bytes"] == sum(len(text.encode()) for text in TEXTS)
    assert meta["characters"] == sum(len(text) for text in TEXTS)
    assert meta["tokens"] == (encoded / "tokens.bin").stat().st_size // 2
    assert meta["corpus_sha256"] == sha256_file(corpus)
    assert meta["tokenizer_sha256"] == load(tokenizer).sha256
    assert meta["tokens_sha256"] == sha256_file(encoded / "tokens.bin")


def test_the_files_are_little_endian(encoded):
    offsets = np.fromfile(encoded / "offsets.bin", "<i8")
    tokens = np.fromfile(encoded / "tokens.bin", "<u2")
    assert offsets[-1] == len(tokens)
    assert (TokenFile(encoded).document(2) == tokens[offsets[2] : offsets[3]]).all()


@pytest.mark.parametrize("shard_bytes", [1, 7, 100, 5000, 1 << 20])
def test_the_result_does_not_depend_on_shards(shard_bytes, encoded, tokenizer, tmp_path):
    corpus = write_corpus(tmp_path / "c.jsonl", ["猫", "", "a\nb", "東京" * 10])
    encode_corpus(tokenizer, corpus, "ja", tmp_path / "whole")
    encode_corpus(tokenizer, corpus, "ja", tmp_path / "cut", shard_bytes=shard_bytes)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.parametrize("workers", [2, 3])
def test_the_result_does_not_depend_on_workers(workers, encoded, corpus, tokenizer, tmp_path):
    encode_corpus(tokenizer, corpus, "ja", tmp_path / "train", workers, shard_bytes=4096)
    assert contents(tmp_path / "train") == contents(encoded)


def test_a_last_line_without_a_newline_counts(tokenizer, tmp_path):
    corpus = tmp_path / "c.jsonl"
    corpus.write_text('{"ja": "猫"}\n{"ja": "犬"}', encoding="utf-8")
    assert encode_corpus(tokenizer, corpus, "ja", tmp_path / "out", 1, 3)["documents"] == 2


def test_an_empty_corpus_has_no_documents(tokenizer, tmp_path):
    (tmp_path / "empty.jsonl").touch()
    encode_corpus(tokenizer, tmp_path / "empty.jsonl", "ja", tmp_path / "out", workers=2)
    tokens = TokenFile(tmp_path / "out")
    assert (len(tokens), tokens.tokens, tokens.lengths.tolist()) == (0, 0, [])
    tokens.verify()
    with pytest.raises(IndexError):
        tokens.document(0)


def test_token_type_grows_above_65535_entries():
    assert token_type(65_535) == np.dtype("<u2")
    assert token_type(65_536) == np.dtype("<u4")


def test_an_older_result_is_replaced_and_a_foreign_directory_is_not(tokenizer, encoded, tmp_path):
    corpus = write_corpus(tmp_path / "c.jsonl", ["猫"])
    output = tmp_path / "out"
    encode_corpus(tokenizer, corpus, "ja", output)
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "left by a killed run").touch()
    write_corpus(corpus, ["猫", "犬"])
    encode_corpus(tokenizer, corpus, "ja", output)
    assert len(TokenFile(output)) == 2
    assert not (tmp_path / ".out.part").exists()
    (output / "notes.txt").touch()
    with pytest.raises(UserError, match=r"out: holds notes.txt"):
        encode_corpus(tokenizer, corpus, "ja", output)
    assert (output / "notes.txt").exists()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"ja": "\xe7\x8c"}\n', "invalid UTF-8 at byte 9"),
        (b'{"ja": "\\ud800"}\n', "lone surrogate"),
        (b"\n", "not valid JSON"),
    ],
)
def test_a_broken_line_is_named_and_nothing_is_written(line, message, workers, tokenizer, tmp_path):
    corpus = write_corpus(tmp_path / "c.jsonl", ["猫"] * 9)
    with open(corpus, "ab") as stream:
        stream.write(line + b'{"ja": "x"}\n')
    with pytest.raises(UserError, match=rf"c\.jsonl:10: .*{message}"):
        encode_corpus(tokenizer, corpus, "ja", tmp_path / "out", workers, shard_bytes=64)
    assert [path.name for path in tmp_path.iterdir()] == ["c.jsonl"]


def test_missing_files_and_no_workers_are_named(tokenizer, corpus, tmp_path):
    with pytest.raises(UserError, match=r"absent.jsonl: No such file"):
        encode_corpus(tokenizer, tmp_path / "absent.jsonl", "ja", tmp_path / "out")
    with pytest.raises(UserError, match="--workers 0"):
        encode_corpus(tokenizer, corpus, "ja", tmp_path / "out", workers=0)


def start_long_run(tokenizer: Path, root: Path) -> tuple[psutil.Popen, list[psutil.Process]]:
    """Start the script on a corpus that takes seconds; return it and its two processes."""
    corpus = root / "long.jsonl"
    with open(corpus, "w", encoding="utf-8") as stream:
        line = json.dumps({"ja": "長い文書。" * 200}, ensure_ascii=False) + "\n"
        stream.writelines(line for _ in range(14_000))
    arguments = ["--tokenizer", tokenizer, "--corpus", corpus, "--language", "ja"]
    command = [sys.executable, SCRIPT, *arguments, "--output", root / "out", "--workers", "2"]
    script = psutil.Popen([str(part) for part in command], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while len(list(root.glob(".out.part/*.tokens"))) < 2:
        assert script.poll() is None, script.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workers = [child for child in script.children() if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2
    return script, workers


def test_a_killed_worker_is_an_error_and_leaves_nothing(tokenizer, tmp_path):
    script, workers = start_long_run(tokenizer, tmp_path)
    workers[1].kill()
    _, errors = script.communicate(timeout=10)
    assert script.returncode == 1
    assert "an encoding process was killed by signal 9" in errors
    assert len(errors.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["long.jsonl"]
    assert not [worker for worker in workers if worker.is_running()]


def test_a_terminated_script_leaves_nothing(tokenizer, tmp_path):
    script, workers = start_long_run(tokenizer, tmp_path)
    script.terminate()
    script.communicate(timeout=10)
    assert script.returncode == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == ["long.jsonl"]
    assert not [worker for worker in workers if worker.is_running()]


def test_workers_end_with_a_killed_script(tokenizer, tmp_path):
    script, workers = start_long_run(tokenizer, tmp_path)
    script.kill()
    script.communicate(timeout=10)
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive
    assert not (tmp_path / "out").exists()


def test_a_full_disk_in_a_worker_is_one_line(corpus, tokenizer, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, os.strerror(28), "shard")

    monkeypatch.setattr(shards, "encode_shard", fail)
    with pytest.raises(UserError, match="shard: No space left on device"):
        encode_corpus(tokenizer, corpus, "ja", tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def copy(encoded, tmp_path) -> Path:
    for name, data in contents(encoded).items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.mark.parametrize("name", ["tokens.bin", "offsets.bin", "sizes.bin"])
def test_a_truncated_changed_or_missing_file_is_named_with_a_remedy(name, copy):
    path = copy / name
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(UserError, match=f"{name}: .*delete .* and run the same command again"):
        TokenFile(copy).verify()
    path.write_bytes(data[:-1])
    with pytest.raises(UserError, match=f"{name}: {len(data) - 1} bytes, but meta.json says"):
        TokenFile(copy)
    path.unlink()
    with pytest.raises(
        UserError, match=f"{name}: no such file; delete .* and run the same command again"
    ):
        TokenFile(copy)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format_version", 2, "not of format version 1"),
        ("tokens", None, "'tokens' is not a count"),
        ("dtype", "int8", "unknown dtype 'int8'"),
        ("tokens_sha256", None, "'tokens_sha256' is missing"),
    ],
)
def test_a_broken_meta_file_is_named(key, value, message, copy):
    write_json(copy / "meta.json", {**read_json(copy / "meta.json"), key: value})
    with pytest.raises(UserError, match=f"meta.json: {message}"):
        TokenFile(copy)


def test_tokens_of_another_tokenizer_are_refused(encoded, tokenizer):
    tokens = TokenFile(encoded)
    tokens.check(load(tokenizer).sha256)
    with pytest.raises(UserError, match="encoded with another tokenizer"):
        tokens.check("0" * 64)


def test_documents_are_read_only_views_and_pickles_are_small(encoded):
    tokens = TokenFile(encoded)
    with pytest.raises(ValueError, match="read-only"):
        tokens.document(2)[0] = 1
    assert isinstance(tokens.document(2).base, np.ndarray)
    pickled = pickle.dumps(tokens)
    assert len(pickled) < 500
    assert (pickle.loads(pickled).document(2) == tokens.document(2)).all()
