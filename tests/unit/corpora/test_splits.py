import json

from hypothesis import given, settings
from hypothesis import strategies as st

from jadapt.corpora.documents import Document
from jadapt.corpora.splits import SPLITS, leaks, normalised, placement, split_of

SHARES = {"validation": 0.2, "test": 0.2}
TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
DOCUMENTS = st.builds(
    Document, st.sampled_from(["a", "b"]), st.none() | TEXT, st.none() | TEXT, st.none() | TEXT
)


def split(document, seed=0):
    return split_of(placement(document, seed).share, SHARES)


@given(TEXT, st.lists(DOCUMENTS))
def test_one_english_string_is_in_one_split(english, documents):
    for document in documents:
        document.en = english
    assert len({split(document) for document in documents}) <= 1


@given(TEXT)
def test_case_width_and_spaces_do_not_part_an_english_string(english):
    same = [english, f" {english}\n", english.casefold()]
    assert len({normalised(text) for text in same}) == 1
    assert len({split(Document("a", "文", text)) for text in same if normalised(text)}) <= 1


@given(DOCUMENTS)
def test_placement_depends_on_nothing_but_the_document_and_the_seed(document):
    assert placement(document, 3) == placement(document, 3)
    assert 0 <= placement(document).share < 1


def test_a_work_stays_whole_but_is_spread_in_the_order():
    places = [placement(Document("a", f"段落{number}", key="work")) for number in range(50)]
    assert len({place.share for place in places}) == 1
    assert len({place.order for place in places}) == 50


def test_shares_are_met_and_prefixes_are_unbiased():
    places = [placement(Document("a", en=f"sentence {number}")) for number in range(20000)]
    counts = dict.fromkeys(SPLITS, 0)
    for place in sorted(places, key=lambda place: place.order)[:10000]:
        counts[split_of(place.share, SHARES)] += 1
    assert abs(counts["test"] - 2000) < 200
    assert abs(counts["validation"] - 2000) < 200


def test_another_seed_gives_other_splits():
    documents = [Document("a", en=f"sentence {number}") for number in range(200)]
    assert [split(each, 0) for each in documents] != [split(each, 1) for each in documents]


def write(directory, **records):
    directory.mkdir()
    for name in SPLITS:
        lines = [json.dumps(record, ensure_ascii=False) for record in records.get(name, [])]
        (directory / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return directory


def test_leaks_finds_every_kind(tmp_path):
    first = write(
        tmp_path / "first",
        train=[{"id": "1", "ja": "甲", "en": "One"}, {"id": "2", "ja": "乙", "en": "two"}],
        test=[{"id": "1", "ja": "丙", "en": "three"}, {"id": "3", "ja": "乙", "en": "four"}],
    )
    second = write(tmp_path / "second", validation=[{"id": "9", "ja": "甲", "en": "ｏｎｅ"}])
    found = leaks({"first": first, "second": second})
    assert len(found) == 3
    assert found[0].startswith("document id of first/test: 1 is also in first/train")
    assert found[1].startswith("Japanese text of first/test: 3")
    assert found[2] == "English string of second/validation: 9 is also in first/train: 1"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=30))
def test_placed_documents_do_not_leak(tmp_path_factory, pairs):
    pairs = dict(pairs)
    records = {name: [] for name in SPLITS}
    for japanese, english in pairs.items():
        place = split(Document("a", japanese, english))
        records[place].append({"id": japanese, "ja": japanese, "en": english})
    directory = write(tmp_path_factory.mktemp("corpus") / "domain", **records)
    assert leaks({"domain": directory}) == []
