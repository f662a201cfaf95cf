import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_model
from jadapt.evaluation import likelihood
from jadapt.evaluation.likelihood import Tally, _count_characters


def counted(gold, guess, pieces, nats=None):
    """Tally one document given as lists of pieces."""
    ids = {piece: index for index, piece in enumerate(pieces)}
    nats = np.ones(len(gold)) if nats is None else np.array(nats)
    parts = [(np.array([ids[p] for p in gold]), np.array([ids[p] for p in guess]), nats)]
    tally = Tally()
    _count_characters(
        parts, [piece if isinstance(piece, bytes) else piece.encode() for piece in pieces], tally
    )
    return tally


def test_characters_of_a_piece_count_up_to_the_first_difference():
    pieces = ["ました", "まで", "カ", "語", "x", "語学"]
    tally = counted(["ました", "カ", "語", "x"], ["まで", "カ", "語学", "カ"], pieces)
    assert tally.characters == {"hiragana": 3, "katakana": 1, "kanji": 1, "other": 1}
    assert tally.correct == {"hiragana": 1, "katakana": 1, "kanji": 1, "other": 0}
    assert tally.bytes == len("ましたカ語x".encode())


def test_a_character_of_several_byte_tokens_needs_them_all():
    first, second, third = ("語".encode()[i : i + 1] for i in range(3))
    pieces = [first, second, third, "学"]
    right = counted([first, second, third], [first, second, third], pieces)
    wrong = counted([first, second, third], [first, third, third], pieces)
    assert right.correct["kanji"] == right.characters["kanji"] == 1
    assert wrong.correct["kanji"] == 0
    assert wrong.characters["kanji"] == 1


@given(st.lists(st.sampled_from(["あ", "カナ", "漢", "a1", "。", "👨‍👩‍👧"]), min_size=1))
def test_perfect_predictions_score_every_character(gold):
    pieces = ["あ", "カナ", "漢", "a1", "。", "👨‍👩‍👧"]
    tally = counted(gold, gold, pieces)
    assert tally.correct == tally.characters
    assert sum(tally.characters.values()) == len("".join(gold))
    assert tally.bytes == len("".join(gold).encode())


def test_the_surprise_of_a_piece_is_shared_by_its_characters():
    first, rest = "語".encode()[:1], "語".encode()[1:]
    pieces = ["カあ", first, rest, "漢字a", "。"]
    tally = counted(["カあ", first, rest, "漢字a", "。"], pieces, pieces, [2.0, 5.0, 1.0, 3.0, 4.0])
    assert tally.script_nats == pytest.approx(
        {"katakana": 1, "hiragana": 1, "kanji": 5 + 1 + 2, "other": 1 + 4}
    )


def test_metrics_follow_from_the_sums():
    tally = Tally(nats=30 * math.log(2), tokens=10, bytes=15)
    tally.characters.update(hiragana=4, kanji=1)
    tally.correct.update(hiragana=1)
    tally.script_nats.update({"hiragana": 24 * math.log(2), "kanji": 6 * math.log(2)})
    values = {name: value for name, value, _, _ in likelihood.text_rows(tally)}
    assert values["bits_per_byte"] == pytest.approx(2)
    assert values["bits_per_character"] == pytest.approx(6)
    assert values["perplexity"] == pytest.approx(8)
    assert values["next_character_accuracy"] == pytest.approx(0.2)
    assert values["next_character_accuracy_hiragana"] == pytest.approx(0.25)
    assert values["next_character_accuracy_kanji"] == 0
    assert values["bits_per_character_hiragana"] == pytest.approx(6)
    assert values["bits_per_character_kanji"] == pytest.approx(6)
    assert "next_character_accuracy_katakana" not in values


def test_documents_are_put_together_across_rows():
    """Two windows of one document decode as one text, here one character cut in two."""
    model = tiny_model.build()
    halves = [b"", "語".encode()[:1], "語".encode()[1:], b"a"]
    token_bytes = halves + [b"?"] * (tiny_model.VOCABULARY - len(halves))
    rows = [
        {
            "input_ids": np.array([1, 1]),
            "labels": np.array([3, 1]),
            "position_ids": np.array([0, 0]),
            "document": np.array([0, 1]),
        },
        {
            "input_ids": np.array([1, 1]),
            "labels": np.array([2, -100]),
            "position_ids": np.array([0, 0]),
            "document": np.array([1, -1]),
        },
    ]
    tally = likelihood.evaluate(model, rows, token_bytes, batch_size=2)
    assert tally.tokens == 3
    assert sum(tally.script_nats.values()) == pytest.approx(tally.nats)
    assert tally.bytes == 4
    assert +tally.characters == {"kanji": 1, "other": 1}
    assert [size for *_, size in tally.documents] == [1, 3]
    whole = likelihood.evaluate(model, rows, token_bytes, batch_size=2, by_character=False)
    assert whole.documents == tally.documents
    assert (whole.bits, whole.bytes, +whole.characters) == (tally.bits, tally.bytes, {})
    keys = [key for key, *_ in likelihood.text_rows(whole, wanted=["bits_per_byte"])]
    assert keys == ["bits_per_byte"]
