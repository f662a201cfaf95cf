"""Training SentencePiece models: what they are trained on, and mistakes named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jadapt.core.errors import UserError
from jadapt.tokenization.sentencepiece_training import TokenizerSettings, train
from jadapt.tokenization.tokenizers import document_text, load
from tokenizer_corpora import write_corpora

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "train_tokenizer.py"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> list[tuple[str, Path]]:
    return write_corpora(tmp_path_factory.mktemp("corpora"))


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_training_twice_gives_the_same_bytes(model_type, corpora, tmp_path):
    settings = TokenizerSettings(360, model_type=model_type)
    for name in ("first", "second"):
        train(settings, corpora, tmp_path / name)
    for file in ("tokenizer.model", "tokenizer_meta.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_each_file_gives_at_most_maximum_sentences_from_its_start(corpora, tmp_path):
    meta = train(TokenizerSettings(330, maximum_sentences=200), corpora, tmp_path / "all")
    assert [entry["documents_used"] for entry in meta["trained_on"]] == [200, 200]
    prefixes = []
    for language, path in corpora:
        prefix = tmp_path / language / "train.jsonl"
        prefix.parent.mkdir()
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        prefix.write_text("".join(lines[:200]), encoding="utf-8")
        prefixes.append((language, prefix))
    train(TokenizerSettings(330), prefixes, tmp_path / "prefix")
    assert load(tmp_path / "all").token_bytes() == load(tmp_path / "prefix").token_bytes()


def test_long_lines_and_documents_are_trained_on_in_parts(tmp_path):
    path = tmp_path / "train.jsonl"
    text = "\n".join(["猫が好き。" * 500, "", "東京の駅。" * 500])
    path.write_text(json.dumps({"ja": text}, ensure_ascii=False) + "\n", encoding="utf-8")
    meta = train(TokenizerSettings(275, model_type="bpe"), [("ja", path)], tmp_path / "out")
    assert meta["trained_on"][0]["documents_used"] == 1
    assert meta["trained_on"][0]["sentences_used"] == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "tokenizer.vocabulary_size: missing"),
        ({"vocabulary_size": "4k"}, "tokenizer.vocabulary_size: expected a positive integer"),
        ({"vocabulary_size": 400, "model_typ": "bpe"}, "did you mean 'model_type'"),
        ({"vocabulary_size": 400, "model_type": "bpee"}, "did you mean 'bpe'"),
        ({"vocabulary_size": 400, "byte_fallback": False}, "tokenizer.byte_fallback: must be true"),
        ({"vocabulary_size": 400, "character_coverage": 1.5}, "tokenizer.character_coverage"),
        ({"vocabulary_size": 400, "maximum_sentences": 0}, "tokenizer.maximum_sentences"),
        ({"vocabulary_size": 400, "kind": "wordpiece"}, "tokenizer.kind"),
        ({"vocabulary_size": 400, "normalisation": "nfkd"}, "tokenizer.normalisation: 'nfkd'"),
        ({"vocabulary_size": 400, "words": "unidic"}, "did you mean 'unidic_lite'"),
    ],
)
def test_settings_are_checked_and_named(settings, message):
    with pytest.raises(UserError, match=message):
        TokenizerSettings.from_mapping(settings)


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_a_vocabulary_that_does_not_fit_the_corpus_is_named(model_type, corpora, tmp_path):
    with pytest.raises(UserError, match=r"vocabulary_size: 9000 is larger .* \(at most \d+\)"):
        train(TokenizerSettings(9000, model_type=model_type), corpora, tmp_path)
    with pytest.raises(UserError, match=r"vocabulary_size: 261 has no room .*\(at least \d+\)"):
        train(TokenizerSettings(261, model_type=model_type), corpora, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"ja": "\xe7\x8c"}\n', "invalid UTF-8 at byte 9"),
        (b'{"ja": "\\ud800"}\n', "invalid UTF-8: a lone surrogate"),
        (b'{"ja": "cut', "not valid JSON"),
        (b"\n", "not valid JSON"),
        (b'{"en": "cat"}\n', "no text in the field 'ja'"),
        (b'["ja"]\n', "no text in the field 'ja'"),
        (b'{"ja": null}\n', "no text in the field 'ja'"),
    ],
)
def test_a_broken_line_is_named(line, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        document_text(line, "ja")
    path = tmp_path / "train.jsonl"
    path.write_bytes('{"ja": "猫"}\n'.encode() + line)
    with pytest.raises(UserError, match=f"train.jsonl:2: {message}"):
        train(TokenizerSettings(300), [("ja", path)], tmp_path)


def test_held_out_splits_empty_files_and_missing_files_are_refused(tmp_path):
    for name, message in [
        ("test.jsonl", "training splits only"),
        ("validation.jsonl", "training splits only"),
        ("train.jsonl", "hold no text"),
    ]:
        (tmp_path / name).touch()
        with pytest.raises(UserError, match=message):
            train(TokenizerSettings(300), [("ja", tmp_path / name)], tmp_path)
    with pytest.raises(UserError, match="no such file"):
        train(TokenizerSettings(300), [("ja", tmp_path / "absent.jsonl")], tmp_path)


def run_script(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_script_trains_with_short_log_lines(corpora, tmp_path):
    files = [f"{language}={path}" for language, path in corpora]
    settings = '{"vocabulary_size": 330, "model_type": "bpe"}'
    done = run_script("--settings", settings, "--corpus", *files, "--output", str(tmp_path / "t"))
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 3
    assert load(tmp_path / "t").vocabulary_size == 330


def test_the_script_ends_with_one_line_for_a_users_mistake(corpora, tmp_path):
    output = ("--output", str(tmp_path / "t"))
    file = f"ja={corpora[0][1]}"
    done = run_script("--settings", '{"vocabulary_size": 9000}', "--corpus", file, *output)
    assert done.returncode == 1
    assert done.stderr.startswith("error: tokenizer.vocabulary_size: 9000 is larger")
    assert len(done.stderr.splitlines()) == 1
    done = run_script("--settings", '{"vocabulary_size": 300}', "--corpus", "de=x", *output)
    assert (done.returncode, done.stderr) == (
        1,
        "error: --corpus de=x: expected ja=PATH or en=PATH\n",
    )


def test_a_line_of_megabytes_is_trained_on_and_comes_back(tmp_path):
    text = "東京でコーヒーを飲みました。A cat. " * 80_000
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"ja": text}, ensure_ascii=False) + "\n", encoding="utf-8")
    settings = TokenizerSettings(290, model_type="bpe", maximum_sentences=300)
    meta = train(settings, [("ja", path)], tmp_path / "tokenizer")
    assert meta["trained_on"][0]["sentences_used"] == 300
    tokenizer = load(tmp_path / "tokenizer")
    assert tokenizer.decode(tokenizer.encode_batch([text])[0]) == text


def test_a_corpus_in_another_encoding_is_named(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_bytes('{"ja": "東京"}\n'.encode("cp932"))
    with pytest.raises(UserError, match=r"train.jsonl:1: invalid UTF-8 at byte 9"):
        train(TokenizerSettings(300), [("ja", path)], tmp_path / "tokenizer")
    assert not (tmp_path / "tokenizer").exists()
