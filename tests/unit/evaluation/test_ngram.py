"""n-gram models: against an independent computation, and as distributions."""

import math
from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jadapt.evaluation.ngram import CHARACTERS, NGram, bits_per_byte, code_points

START, END = "start", "end"
ALPHABET = 5
DOCUMENTS = st.lists(st.lists(st.integers(0, 3), max_size=6), min_size=1, max_size=6)


def slow(documents, order, alphabet):
    """The formula as it stands, in fractions, on tuples."""
    after = defaultdict(Counter)
    for document in documents:
        symbols = [START, *document, END]
        for place in range(1, len(symbols)):
            for length in range(min(order, place + 1)):
                after[tuple(symbols[place - length : place])][symbols[place]] += 1

    def probability(symbol, context):
        context = context[len(context) - min(len(context), order - 1) :]
        shorter = Fraction(1, alphabet + 1)
        for length in range(len(context) + 1):
            seen = after.get(context[len(context) - length :])
            if seen:
                total = sum(seen.values()) + len(seen)
                shorter = (seen[symbol] + len(seen) * shorter) / total
        return shorter

    return probability


def arrays(documents):
    return [np.array(document, np.int64) for document in documents]


@settings(deadline=None)
@given(DOCUMENTS, DOCUMENTS, st.integers(1, 5))
def test_probabilities_are_those_of_the_formula(training, other, order):
    model, probability = NGram(arrays(training), order, ALPHABET), slow(training, order, ALPHABET)
    # Symbol 4 was never seen.
    other = [*other, [4, 0, 4]]
    for document, nats in zip(other, model.nats(arrays(other)), strict=True):
        expected = [
            -math.log(probability(symbol, (START, *document[:place])))
            for place, symbol in enumerate(document)
        ]
        assert nats == pytest.approx(expected, rel=1e-12)


@settings(deadline=None)
@given(DOCUMENTS, st.lists(st.integers(0, 4), max_size=5), st.integers(1, 4))
def test_the_probabilities_of_what_may_follow_sum_to_one(training, context, order):
    model = NGram(arrays(training), order, ALPHABET)
    known, other, end = model.distribution(np.array(context))
    assert known.sum() + (ALPHABET - len(known)) * other + end == pytest.approx(1, abs=1e-12)
    assert min([*known, other, end]) > 0


@settings(deadline=None)
@given(DOCUMENTS, DOCUMENTS, st.integers(1, 4))
def test_a_part_of_a_long_model_is_the_short_model(training, other, order):
    long, short = (NGram(arrays(training), size, ALPHABET) for size in (5, order))
    for one, two in zip(long.nats(arrays(other), order), short.nats(arrays(other)), strict=True):
        assert one.tolist() == two.tolist()


def test_all_characters_have_a_share():
    model = NGram([code_points(text) for text in ("猫は猫。", "犬は犬。")], 3, CHARACTERS)
    known, other, end = model.distribution(code_points("猫は"))
    assert len(known) == 4
    assert known.sum() + (CHARACTERS - 4) * other + end == pytest.approx(1, abs=1e-9)
    # 猫 follows 猫は; an emoji nothing.
    assert known[sorted("猫は。犬").index("猫")] > 0.5
    [nats] = model.nats([code_points("😀")])
    assert bits_per_byte(nats.sum(), len("😀".encode())) > 5


def test_more_context_and_more_text_help_on_text_with_structure():
    generator = np.random.default_rng(0)
    letters = generator.integers(0, 20, (200, 30))
    letters[:, 1::2] = (letters[:, ::2] * 7 + 3) % 20  # every second follows from the one before

    def bits(documents, order):
        nats = NGram(list(documents), order, 20).nats(list(letters[150:]))
        return sum(each.sum() for each in nats) / letters[150:].size / math.log(2)

    assert bits(letters[:150], 1) > 4.2
    # A bigram does not know which of the two places it is at: half of what follows a letter is one
    # letter, half is any, of 20.
    one, any_other = 0.5 + 0.5 / 20, 0.5 / 20
    entropy = -one * math.log2(one) - 19 * any_other * math.log2(any_other)
    assert bits(letters[:150], 2) == pytest.approx(entropy, abs=0.15)
    assert bits(letters[:10], 2) > bits(letters[:150], 2)


@pytest.mark.parametrize(("documents", "order"), [([], 1), ([[1]], 0), ([[5]], 1), ([[-1]], 1)])
def test_what_makes_no_model_is_refused(documents, order):
    with pytest.raises(ValueError, match=r"order|alphabet"):
        NGram(arrays(documents), order, ALPHABET)
