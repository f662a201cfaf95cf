"""Items of tasks in training text, and the tables of tasks."""

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import task_example
from jadapt.evaluation.tasks.folders import ITEMS
from jadapt.evaluation.tasks.overlap import LEAST, RUN, Index, units
from jadapt.evaluation.tasks.tables import data_table, scores_table

LONG = "吾輩は猫である。名前はまだ無い。どこで生れたか見当がつかぬ。何でも薄暗い所で泣いていた。"
SHORT = "日光浴に適しているのはどこですか"
WORDS = " ".join(f"word{number}" for number in range(30))


def found(text, document, language="ja"):
    index = Index([text], language)
    index.look_through([document])
    return index.found == {0}


def test_a_run_of_a_long_text_is_found_whatever_its_marks():
    plain = units(LONG, "ja")
    assert found(LONG, f"前置き{LONG[4:36]}あと")
    assert found(LONG, plain[3 : 3 + RUN["ja"]])
    assert not found(LONG, plain[3 : 2 + RUN["ja"]])


def test_a_short_text_is_found_as_a_whole():
    assert found(SHORT, f"問題。「{SHORT}？」")
    assert not found(SHORT, SHORT[:-1])


def test_english_counts_words():
    words = WORDS.split()
    assert found(WORDS, "Before, " + ", ".join(words[5 : 5 + RUN["en"]]).upper(), "en")
    assert not found(WORDS, " ".join(words[5 : 4 + RUN["en"]]), "en")


def test_what_is_too_short_says_nothing():
    index = Index(["猫である", LONG], "ja")
    index.look_through(["吾輩は猫である"])
    assert (index.too_short, index.found) == (1, set())


@given(st.text("あいう", min_size=LEAST["ja"], max_size=40), st.text("あいう", max_size=60))
def test_agrees_with_plain_search(text, document):
    length = min(RUN["ja"], len(text))
    runs = [text[place : place + length] for place in range(len(text) - length + 1)]
    assert found(text, document) == any(run in document for run in runs)


@pytest.fixture
def prepared(tmp_path):
    return task_example.prepare("piqa", tmp_path)[0]


def test_counts_of_items_are_tabulated_by_domain(tmp_path, prepared):
    first = json.loads((prepared / ITEMS).read_text().splitlines()[0])
    # Six words at least are looked for; those of the example are shorter.
    items = [{**first, "query": WORDS}, {**first, "query": "too short"}]
    (prepared / ITEMS).write_bytes(task_example.lines(items))
    corpora = {}
    for domain, text in {
        "english": f"So {WORDS} it was",
        "everyday": "nothing of the kind",
    }.items():
        corpora[domain] = tmp_path / f"{domain}.jsonl"
        corpora[domain].write_bytes(task_example.lines([{"id": "1", "ja": "文", "en": text}]))
    table = data_table("s", [prepared], corpora).set_index(["measure", "domain"])["value"]
    assert table["contaminated", "english"] == 1
    assert table["contaminated", "everyday"] == 0
    assert table["too_short_to_look_for", ""] == 1
    assert table["items_read", ""] == task_example.ITEMS


def test_scores_come_after_chance(tmp_path, prepared):
    header = "study,method,seed,trained_through,evaluated_on,metric,value,unit,n,standard_error\n"
    row = "s,base,1,english,piqa,accuracy,0.5208333333333334,share,48,0.07286977268414427\n"
    (tmp_path / "seed1.csv").write_text(header + row)
    table = scores_table("s", [tmp_path / "seed1.csv"], [prepared])
    assert isinstance(table, pd.DataFrame)
    text = table.to_csv(index=False, lineterminator="\n")
    chance = "s,chance,0,,piqa,{},0.5,share,48,\n"
    assert text == header + "".join(map(chance.format, ("accuracy", "accuracy_by_length"))) + row
