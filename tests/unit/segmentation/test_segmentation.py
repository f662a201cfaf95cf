"""Segmenters lose nothing, whatever a text holds; what they learn and find."""

import gc
import json
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jadapt.core.errors import UserError
from jadapt.segmentation import features, load
from jadapt.segmentation.network import BiLSTMCRF, NetworkSettings
from jadapt.segmentation.neural import LIMIT, BiLSTMCRFSegmenter, viterbi
from jadapt.segmentation.pieces import restore, spans
from jadapt.segmentation.scoring import score
from jadapt.segmentation.training import TrainingSettings, cosine, train

NETWORK = NetworkSettings(
    character_size=8, bigram_size=8, type_size=4, hidden_size=16, layers=2, dropout=0.1
)
TRAINING = TrainingSettings(
    epochs=40,
    batch_characters=120,
    learning_rate=3e-2,
    warmup_share=0.1,
    weight_decay=0.0,
    gradient_clip=1.0,
    average_decay=0.8,
    unknown_characters=0.05,
    unknown_bigrams=0.1,
    least_character=1,
    least_bigram=1,
    threads=1,
)
WORDS = [
    ["猫", "が", "好き", "です", "。"],
    ["東京", "で", "コーヒー", "を", "飲み", "まし", "た", "。"],
    ["New", " ", "York", "は", "遠い", "です", "か", "?"],
    ["学校", "は", "東京", "です", "。"],
    ["コーヒー", "が", "好き", "な", "猫", "を", "見", "まし", "た", "。"],
]
NAMES = ("unidic_lite", "ipadic", "bilstm_crf")
HARD = [
    "",
    " ",
    "\u3000\n",
    "\0",
    "a\0b漢字\0",
    "\ud800",
    "漢\udfff字\ud83d",
    "。！？…〜※☆",
    "👩‍👩‍👧‍👦が🇯🇵へ👍🏽",
    "ｶﾞｷﾞｸﾞ ﾊﾟﾝ　ＡＢＣ１２３",
    "すもも\tもも\r\nもも  も\x85もも\u2028のうち",
    "Ð Ðа ÐÐ",
    "葛󠄀城市の𠮟る𩸽",
    "か\u3099き\u3099",
    "ー々〆ヶゝヾ",
]
CHARACTERS = st.one_of(
    st.characters(codec=None, exclude_categories=()),
    st.sampled_from("すもものうち東京都猫カタ ー。、\0 \u3000\t\n\r\u200d\ufe0fｶﾞÐ👩A1\ud800\udc00"),
)


@pytest.fixture(scope="module")
def trained():
    return train(WORDS, NETWORK, TRAINING, 1, validate=lambda *made: learned(*made).f1())


def learned(model, vocabulary):
    return score(BiLSTMCRFSegmenter(model, vocabulary), WORDS)


@pytest.fixture(scope="module")
def segmenters(trained):
    model, vocabulary, _ = trained
    return {
        **{name: load(name) for name in NAMES[:2]},
        "bilstm_crf": BiLSTMCRFSegmenter(model, vocabulary),
    }


@pytest.mark.parametrize("name", NAMES)
def test_hard_texts_come_back_whole(segmenters, name):
    found = segmenters[name].segment(HARD)
    assert ["".join(words) for words in found] == HARD
    assert found[0] == []
    assert all(all(words) for words in found)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, deadline=None)
@given(texts=st.lists(st.text(CHARACTERS, max_size=40), max_size=4))
def test_any_text_comes_back_whole(segmenters, name, texts):
    found = segmenters[name].segment(texts)
    assert ["".join(words) for words in found] == texts
    assert all(all(words) for words in found)


@pytest.mark.parametrize("name", NAMES)
def test_a_long_line_without_a_break_comes_back_whole(segmenters, name):
    # The benchmark does the same with a line of ten megabytes.
    for text in ("すもももももももものうち" * 2000, "漢" * 12_001, "\ud800" * 7000, " " * 9000):
        (words,) = segmenters[name].segment([text])
        assert "".join(words) == text


def test_bytes_that_are_not_utf8_come_back_whole(segmenters):
    """Shift_JIS where UTF-8 was promised, read so that every byte stays."""
    raw = "東京の天気は晴れです。\nカタカナ".encode("shift_jis")
    text = raw.decode("utf-8", "surrogateescape")
    for segmenter in segmenters.values():
        (words,) = segmenter.segment([text])
        assert "".join(words).encode("utf-8", "surrogateescape") == raw


def test_mecab_finds_words():
    unidic, ipadic = load("unidic_lite"), load("ipadic")
    text = "東京都に住んでいました。"
    assert unidic.segment([text]) == [["東京", "都", "に", "住ん", "で", "い", "まし", "た", "。"]]
    assert "".join(ipadic.segment([text])[0]) == text
    # A cut is at the end of a sentence, so a long text has the words of its sentences.
    assert unidic.segment([text * 600]) == [unidic.segment([text])[0] * 600]


@pytest.mark.parametrize("name", NAMES[:2])
@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from("すも東京AbC1。 \u3000\t\n"), max_size=30))
def test_spaces_are_put_back_where_they_were(segmenters, name, text):
    """Runs of the white space that MeCab drops are pieces, whichever way they are put back."""
    found = segmenters[name].segment([text])[0]
    words = [piece for piece in found if piece.strip(" \t\n")]
    assert found == restore(text, words)


def test_the_collector_is_left_as_it_was():
    segmenter = load("ipadic")
    assert gc.isenabled()
    with pytest.raises(TypeError):
        segmenter.segment(["猫", None])
    assert gc.isenabled()
    gc.disable()
    try:
        segmenter.segment(["猫"])
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_missing_dictionary_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipadic", None)
    with pytest.raises(UserError, match=r"'ipadic' is not installed: pip install ipadic$"):
        load("ipadic")
    with pytest.raises(UserError, match="did you mean 'ipadic'"):
        load("ipadik")
    with pytest.raises(UserError, match="name the folder"):
        load("bilstm_crf")


def test_a_broken_dictionary_is_named(monkeypatch, tmp_path):
    import ipadic

    monkeypatch.setattr(ipadic, "DICDIR", str(tmp_path))
    with pytest.raises(UserError, match="cannot open the dictionary 'ipadic'"):
        load("ipadic")


def test_the_network_learns_and_repeats(trained):
    model, vocabulary, log = trained
    assert log[-1]["loss"] < log[0]["loss"] / 4
    assert max(entry["validation"] for entry in log) == learned(model, vocabulary).f1() > 0.9
    again, _, _ = train(WORDS, NETWORK, TRAINING, 1, validate=lambda *made: learned(*made).f1())
    other, _, _ = train(WORDS, NETWORK, TRAINING, 2, validate=lambda *made: learned(*made).f1())
    state = model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())
    assert not torch.equal(other.output.weight, model.output.weight)


def test_words_do_not_depend_on_the_texts_beside(segmenters):
    segmenter = segmenters["bilstm_crf"]
    texts = ["".join(words) for words in WORDS] + HARD + ["猫が好きです。" * 100]
    alone = [segmenter.segment([text])[0] for text in texts]
    assert segmenter.segment(texts) == alone


def test_padding_changes_no_score(trained):
    model, vocabulary, _ = trained
    segmenter = BiLSTMCRFSegmenter(model, vocabulary)
    short, long = (
        vocabulary.features(text) for text in ("猫が好き", "東京でコーヒーを飲みました。")
    )
    from jadapt.segmentation.network import Batch

    with torch.no_grad():
        alone = model.scores(Batch.of([short]))
        beside = model.scores(Batch.of([short, long]))[:1, : alone.shape[1]]
    assert torch.allclose(alone, beside, atol=1e-6)
    assert segmenter.name == "bilstm_crf"


def test_viterbi_is_that_of_the_library():
    torch.manual_seed(0)
    crf = BiLSTMCRF(NETWORK, 3, 3).crf
    with torch.no_grad():
        for part in crf.parameters():
            part.normal_()
    lengths = torch.tensor([7, 1, 4, 7, 2])
    scores = torch.randn(5, 7, len(features.TAGS)) * 2
    mask = torch.arange(7) < lengths[:, None]
    parts = (crf.start_transitions, crf.transitions, crf.end_transitions)
    found = viterbi(scores.numpy(), lengths.numpy(), *(part.detach().numpy() for part in parts))
    expected = crf.decode(scores, mask)
    assert [row[:n].tolist() for row, n in zip(found, lengths.tolist(), strict=True)] == expected


def test_a_saved_segmenter_is_the_same(trained, segmenters, tmp_path):
    segmenters["bilstm_crf"].save(tmp_path, {"seed": 1})
    texts = ["".join(words) for words in WORDS]
    assert load("bilstm_crf", tmp_path).segment(texts) == segmenters["bilstm_crf"].segment(texts)
    meta = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert meta["seed"] == 1
    (tmp_path / "model.json").write_text(json.dumps(meta | {"types": ["padding"]}))
    with pytest.raises(UserError, match="other character classes"):
        load("bilstm_crf", tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(meta | {"sha256": "0"}))
    with pytest.raises(UserError, match="sha256 is not the one"):
        load("bilstm_crf", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match="not a whole segmenter"):
        load("bilstm_crf", tmp_path)
    with pytest.raises(UserError, match="no such file"):
        load("bilstm_crf", tmp_path / "none")


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(UserError, match="no text to train"):
        train([[]], NETWORK, TRAINING, 1, validate=lambda *made: 0.0)


def test_tags_and_schedule():
    assert [features.TAGS[t] for t in features.tags(["東京都", "は", "広い"])] == list("BMESBE")
    factors = [cosine(100, 0.1)(step) for step in range(101)]
    assert factors[0] == 0.1 and factors[9] == factors[10] == 1.0
    assert factors[100] == pytest.approx(0) and factors == [
        *factors[:10],
        *sorted(factors[10:])[::-1],
    ]


def test_a_long_text_is_cut_where_no_word_is():
    text = "あ" * 30 + "。" + "い" * 30 + "カ" * 30 + "う" * 200
    parts = list(spans(text, 70))
    assert "".join(text[p.begin : p.end] for p in parts) == text
    assert max(p.end - p.begin for p in parts) <= 70
    assert [(p.begin, p.end, p.safe_end) for p in parts[:3]] == [
        (0, 31, True), (31, 91, False), (91, 161, False),
    ]  # fmt: skip
    assert not parts[1].safe_end and not parts[2].safe_begin and parts[-1].safe_end
    assert list(spans("", 10)) == []


def test_what_was_dropped_is_put_back():
    assert restore(" 猫  が\0", ["猫", "が"]) == [" ", "猫", "  ", "が", "\0"]
    with pytest.raises(ValueError, match="犬"):
        restore("猫が", ["犬"])


def test_digits_letters_and_widths_are_one_to_the_network():
    def folded(text):
        return "".join(map(chr, features.fold(text)))

    assert folded("12時ＡbZé３ｶﾀー漢\ud800。") == "00時AaAa0カター漢\ud800。"
    vocabulary = features.Vocabulary.learn(["3人"], least_character=1, least_bigram=1)
    known, new = vocabulary.features("3人"), vocabulary.features("８人")
    assert (known.bigrams == new.bigrams).all() and (known.characters == new.characters).all()
    assert features.UNKNOWN not in known.bigrams


def test_spaces_and_limit_are_as_documented():
    points = np.array([ord(c) for c in " \u3000\n\x85\u2028あa\0"], dtype=np.uint32)
    assert features.is_space(points).tolist() == [True] * 5 + [False] * 3
    assert LIMIT > 100
