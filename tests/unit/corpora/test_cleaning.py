import pytest
from hypothesis import given
from hypothesis import strategies as st

from jadapt.corpora.cleaning import (
    Ledger,
    clean_text,
    filter_documents,
    normalise,
    script_share,
)
from jadapt.corpora.documents import Document
from jadapt.corpora.duplicates import drop_exact, drop_near, shingles

CHARACTERS = st.characters(exclude_categories=("Cs",))
AWKWARD = st.sampled_from("かは゛゙゚ｶﾞ㌔ﷺ¨\u0301\u200d\u00ad\ufeff\u2581\u3000\r\n\t\x00 e。ー")
SETTINGS = {
    "normalisation": "nfkc",
    "min_characters": {"ja": 3, "en": 5},
    "max_characters": 20,
    "min_script_share": {"ja": 0.5, "en": 0.7},
    "length_ratio": [0.2, 2.0],
}
NEAR = {"threshold": 0.8, "shingle": {"ja": 3, "en": 5}, "permutations": 96, "bands": 16}


@given(st.text(CHARACTERS | AWKWARD), st.sampled_from(["nfkc", "none"]))
def test_cleaning_is_idempotent(text, normalisation):
    once = clean_text(text, normalisation).text
    assert clean_text(once, normalisation) == (once, 0, 0)


@given(st.text(CHARACTERS | AWKWARD))
def test_clean_text_is_one_line_without_reserved_characters(text):
    cleaned = clean_text(text).text
    assert cleaned == " ".join(cleaned.split())
    assert "\u2581" not in cleaned
    assert "\u200d" not in cleaned


def test_each_part_of_the_policy():
    assert clean_text("ＡＢＣ　１２３ ｶﾞｷﾞ").text == "ABC 123 ガギ"
    assert clean_text("ＡＢＣ", "none").text == "ＡＢＣ"
    assert clean_text("a\u200bb\x00c\u2581d") == ("ab c_d", 2, 1)
    assert clean_text("日本\n語は one\n two").text == "日本語は one two"
    assert clean_text("first\r\nsecond").text == "first second"


def test_share_of_a_script_is_among_letters():
    assert script_share("日本 123。", "ja") == 1
    assert script_share("abカナ", "ja") == 0.5
    assert script_share("123", "en") == 0


def test_every_filter_counts_what_it_drops():
    texts = ["短い", "長" * 21, "abcdef日本", "これは残る。", "", "つりあわない文です。"]
    english = [None, None, None, "This stays.", None, "No"]
    documents = [Document("x", *pair) for pair in zip(texts, english, strict=True)]
    ledger = Ledger(len(documents))
    normalise(documents, "ja", SETTINGS, ledger)
    kept = filter_documents(documents, "ja", SETTINGS, ledger)
    assert [document.ja for document in kept] == ["これは残る。"]
    removed = {step["step"]: step["removed"] for step in ledger.steps}
    assert removed == {
        "read": 0,
        "normalisation": 0,
        "empty": 1,
        "too_short": 1,
        "too_long": 1,
        "script_share": 1,
        "length_ratio": 1,
    }
    assert ledger.steps[-1]["remaining"] == 1


def test_an_english_domain_keeps_english_only():
    documents = [Document("x", "日本語", "English text")]
    normalise(documents, "en", SETTINGS, Ledger(1))
    assert documents == [Document("x", None, "English text")]


def test_exact_duplicates_keep_the_first():
    documents = [Document("x", "同じ", "one"), Document("y", "同じ", "two"), Document("x", "別")]
    assert drop_exact(documents, "ja") == [documents[0], documents[2]]


def test_near_duplicates_keep_the_first():
    base = "このボリュームは別のインスタンスに接続されているため削除できません"
    documents = [Document("x", text) for text in (base, base + "。", "まったく違う長い文です。")]
    assert drop_near(documents, "ja", NEAR) == [documents[0], documents[2]]


@pytest.mark.parametrize("language", ["ja", "en"])
def test_near_duplicates_are_those_of_the_exact_similarity(language):
    stems = ["alpha beta gamma delta", "いろはにほへとちりぬるを", "the quick brown fox jumps"]
    texts = [stem * 2 + str(number % 7) * (number % 3) for number, stem in enumerate(stems * 15)]
    texts = list(dict.fromkeys(texts))
    documents = [Document("x", **{language: text}) for text in texts]
    expected: list[set] = []
    for text in texts:
        own = shingles(text, NEAR["shingle"][language])
        if all(len(own & other) / len(own | other) < 0.8 for other in expected):
            expected.append(own)
    kept = drop_near(documents, language, NEAR)
    assert len(kept) == len(expected)


def test_a_short_text_is_its_own_shingle():
    assert shingles("ab", 3) == {"ab"}
    assert shingles("abcd", 3) == {"abc", "bcd"}
