"""Tokenizers: training, losslessness, determinism, and what users get wrong."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jadapt.errors import UserError
from jadapt.files import read_json, sha256_file
from jadapt.text import normalisation
from jadapt.text.segmentation import base as segmentation
from jadapt.text.sentencepiece_training import TokenizerSettings, train
from jadapt.text.tokenizers import document_text, load

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_tokenizer.py"
WORDS = {
    "ja": [
        "猫が",
        "東京で",
        "2024年に",
        "コーヒーを",
        "飲みます。",
        "漢字と",
        "違いは",
        "何ですか？",
    ],
    "en": ["The", "cat", "drinks", "coffee", "in", "Tokyo", "since", "2024,", "doesn't", "it?"],
}


def write_corpus(path: Path, language: str, documents: int = 300) -> Path:
    path.parent.mkdir(exist_ok=True)
    generator = random.Random(language)
    with open(path, "w", encoding="utf-8") as stream:
        for _ in range(documents):
            # Random names give a unigram vocabulary more to learn than the words do.
            names = ("".join(generator.choices("あかさたなtoknea", k=3)) for _ in range(4))
            text = " ".join([*generator.choices(WORDS[language], k=8), *names])
            stream.write(json.dumps({language: text}, ensure_ascii=False) + "\n")
    return path


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> list[tuple[str, Path]]:
    root = tmp_path_factory.mktemp("corpora")
    return [(lang, write_corpus(root / lang / "train.jsonl", lang)) for lang in WORDS]


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def directory(request, corpora, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp(request.param)
    train(TokenizerSettings(360, model_type=request.param), corpora, output)
    return output


def assert_lossless(tokenizer, text: str) -> None:
    (ids,) = tokenizer.encode_batch([text])
    pieces = tokenizer.token_bytes()
    assert b"".join(pieces[token] for token in ids) == text.encode("utf-8")
    assert tokenizer.decode(ids) == text
    assert not {tokenizer.pad_id, tokenizer.start_id, tokenizer.end_id, 3} & set(ids)


@pytest.fixture(scope="module")
def tokenizer(directory):
    return load(directory)


# The module's tokenizer is only read, so hypothesis may share it between examples.
@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
@example("<s> hello </s><pad><unk><0x41>")
@example("👨‍👩‍👧 ❤️ 🇯🇵")
@example("  two  spaces\t\ttabs\r\n\n\x00\x07\x1b\x7f\ufeff ")
@example("\u2581 marks \u2581\u2581 and \u2585 blocks")
@example("　全角、ｶﾅ、か\u3099、\U00020b9f")
@example("")
def test_any_text_is_encoded_without_loss(tokenizer, text):
    assert_lossless(tokenizer, text)


def test_a_batch_equals_its_texts_one_by_one(tokenizer):
    texts = ["猫が好き", "", "a cat", "▁", "猫が好き"]
    assert tokenizer.encode_batch(texts) == [tokenizer.encode_batch([t])[0] for t in texts]
    assert tokenizer.encode_batch([]) == []


def test_ids_and_bytes_of_the_vocabulary(tokenizer):
    pieces = tokenizer.token_bytes()
    assert tokenizer.vocabulary_size == len(pieces) == 360
    assert (tokenizer.pad_id, tokenizer.start_id, tokenizer.end_id) == (0, 1, 2)
    assert pieces[:4] == [b""] * 4
    assert {bytes([byte]) for byte in range(256)} <= set(pieces)
    assert tokenizer.decode([1, *tokenizer.encode_batch(["猫"])[0], 2]) == "猫"


def test_broken_bytes_decode_to_the_replacement_character(tokenizer):
    assert tokenizer.decode([tokenizer.token_bytes().index(b"\xe3")]) == "\ufffd"


def test_frequent_words_become_pieces(tokenizer):
    (ids,) = tokenizer.encode_batch(["コーヒーを"])
    assert len(ids) < len("コーヒーを".encode()) / 2


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_training_twice_gives_the_same_bytes(model_type, corpora, tmp_path):
    settings = TokenizerSettings(360, model_type=model_type)
    for name in ("first", "second"):
        train(settings, corpora, tmp_path / name)
    for file in ("tokenizer.model", "tokenizer_meta.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_meta_says_what_the_tokenizer_was_trained_on(directory, corpora):
    meta = read_json(directory / "tokenizer_meta.json")
    assert meta["sha256"] == sha256_file(directory / "tokenizer.model") == load(directory).sha256
    assert meta["special_ids"] == {"pad": 0, "start": 1, "end": 2, "unknown": 3}
    assert [entry["sha256"] for entry in meta["trained_on"]] == [
        sha256_file(path) for _, path in corpora
    ]
    assert [entry["sentences_used"] for entry in meta["trained_on"]] == [300, 300]


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


def test_a_changed_unknown_or_missing_tokenizer_is_named(corpora, tmp_path):
    with pytest.raises(UserError, match=r"tokenizer_meta.json: no such file"):
        load(tmp_path)
    train(TokenizerSettings(330), corpora, tmp_path)
    model, meta = tmp_path / "tokenizer.model", tmp_path / "tokenizer_meta.json"
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"tokenizer.model: its sha256"):
        load(tmp_path)
    model.unlink()
    with pytest.raises(UserError, match=r"tokenizer.model: no such file"):
        load(tmp_path)
    meta.write_text('{"kind": "sentencepeice"}')
    with pytest.raises(UserError, match="did you mean 'sentencepiece'"):
        load(tmp_path)
    meta.write_text('{"kind": "x"}')
    with pytest.raises(UserError, match="known: huggingface, sentencepiece"):
        load(tmp_path)


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


@pytest.fixture(scope="module", params=["nfkc", "nfkc_punctuation"])
def normalising(request, corpora, tmp_path_factory):
    output = tmp_path_factory.mktemp(request.param)
    train(TokenizerSettings(360, normalisation=request.param), corpora, output)
    return load(output)


@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
@example("ﾊﾝｶｸ、全角ＡＢＣ。「引用」〜㌔")
@example("か\u3099▁\x00👨‍👩‍👧")
def test_decoding_gives_back_the_normalised_text(normalising, text):
    (ids,) = normalising.encode_batch([text])
    assert normalising.decode(ids) == normalisation.normalise(text, normalising.normalisation)


def test_the_normalisations_differ_in_punctuation():
    text = "「ﾒﾛﾝ」、１個。〜！"
    forms = [normalisation.normalise(text, name) for name in normalisation.NAMES]
    assert forms == [text, "「メロン」、1個。〜!", '"メロン",1個.ー!']


@pytest.fixture(scope="module")
def by_words(corpora, tmp_path_factory):
    output = tmp_path_factory.mktemp("words")
    train(TokenizerSettings(330, words="unidic_lite"), corpora, output)
    return load(output)


@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
@example("東京で  the cat\n\x00 ▁ 猫が　　飲みます。 ")
def test_a_tokenizer_over_words_is_lossless(by_words, text):
    assert_lossless(by_words, text)


def test_no_token_of_a_tokenizer_over_words_goes_across_them(by_words):
    segmenter = segmentation.load("unidic_lite")
    texts = ["東京でコーヒーを飲みます。", "漢字と違いは何ですか？"] * 3
    pieces = by_words.token_bytes()
    for ids, words in zip(by_words.encode_batch(texts), segmenter.segment(texts), strict=True):
        edges = set(itertools.accumulate(len(word.encode()) for word in words))
        ends = set(itertools.accumulate(len(pieces[token]) for token in ids))
        assert edges <= ends


@pytest.mark.parametrize("nbest_size", [-1, 8])
def test_sampled_segmentations_spell_the_text_and_follow_the_seed(directory, nbest_size):
    tokenizer = load(directory)
    texts = ["東京でコーヒーを飲みます。", "The cat drinks ▁ coffee", "", "猫が" * 30]
    draws = [
        tokenizer.sample_batch(texts, alpha=0.3, nbest_size=nbest_size, seed=seed)
        for seed in (1, 2, 1)
    ]
    assert draws[0] == draws[2]
    assert draws[0] != draws[1]
    for draw in draws:
        assert [tokenizer.decode(ids) for ids in draw] == texts
    # Sampling leaves nothing behind in plain encoding.
    assert tokenizer.encode_batch(texts) == load(directory).encode_batch(texts)


ODD = {
    "empty": "",
    "symbols": "。、！？…―♪★→",
    "emoji": "👨‍👩‍👧‍👦🏳️‍🌈🇯🇵❤️",
    "half-width": "ﾊﾝｶｸのABCと全角ＡＢＣ",
    "nul": "a\x00b\x00\x00",
    "lines": "\n\r\n\u2028\x85",
    "marks": "▁▁ ▁",
    "unassigned": "\U000e0fff\ufffe",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_text_comes_back_from_every_tokenizer(name, tokenizer, by_words, normalising):
    assert_lossless(tokenizer, ODD[name])
    assert_lossless(by_words, ODD[name])
    (ids,) = normalising.encode_batch([ODD[name]])
    expected = normalisation.normalise(ODD[name], normalising.normalisation)
    assert normalising.decode(ids) == expected
    for each in (tokenizer, by_words):
        (drawn,) = each.sample_batch([ODD[name]], alpha=0.2, nbest_size=-1, seed=1)
        assert each.decode(drawn) == ODD[name]


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
