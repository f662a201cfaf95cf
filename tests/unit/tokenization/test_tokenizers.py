"""Tokenizers: losslessness, normalisation, words, random segmentations, and changed files."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jadapt import segmentation
from jadapt.core.errors import UserError
from jadapt.core.files import read_json, sha256_file
from jadapt.tokenization import normalisation
from jadapt.tokenization.sentencepiece_training import TokenizerSettings, train
from jadapt.tokenization.tokenizers import load
from tokenizer_corpora import write_corpora


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> list[tuple[str, Path]]:
    return write_corpora(tmp_path_factory.mktemp("corpora"))


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


def test_meta_says_what_the_tokenizer_was_trained_on(directory, corpora):
    meta = read_json(directory / "tokenizer_meta.json")
    assert meta["sha256"] == sha256_file(directory / "tokenizer.model") == load(directory).sha256
    assert meta["special_ids"] == {"pad": 0, "start": 1, "end": 2, "unknown": 3}
    assert [entry["sha256"] for entry in meta["trained_on"]] == [
        sha256_file(path) for _, path in corpora
    ]
    assert [entry["sentences_used"] for entry in meta["trained_on"]] == [300, 300]


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
