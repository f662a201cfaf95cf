"""What segmenters are measured against: gold words, MeCab's in their place, and scores by hand."""

import json

import pytest

from jadapt.core.errors import UserError
from jadapt.segmentation import gold, reference
from jadapt.segmentation.scoring import score, word_script, words_of

CONLLU = (
    "# text = 猫が New York に\n1\t猫\t" + "_\t" * 7 + "_\n2-3\tが\t" + "_\t" * 7 + "_\n"
    "2\tか\t" + "_\t" * 7 + "_\n3\tか\t" + "_\t" * 7 + "_\n3.1\tは\t" + "_\t" * 7 + "_\n"
    "4\tNew\t" + "_\t" * 7 + "_\n5\tYork\t" + "_\t" * 7 + "_\n6\tに\t" + "_\t" * 7 + "_\n"
)


def test_gold_words_are_read_with_their_spaces(tmp_path):
    path = tmp_path / "gold"
    path.write_text(CONLLU + "\n" + CONLLU, encoding="utf-8")
    words = ["猫", "が", " ", "New", " ", "York", " ", "に"]
    assert gold.read(path, "conllu") == [words, words]
    path.write_bytes("New\tO\r\nYork\tO\r\nへ\tO\r\n\r\nF\tO\nF\tO\n".encode())
    assert gold.read(path, "words") == [["New", " ", "York", "へ"], ["F", "F"]]


@pytest.mark.parametrize(
    ("form", "content", "message"),
    [
        ("words", "東京\tO\n".encode("shift_jis"), "1: invalid UTF-8 at byte 1"),
        ("words", b"a\tO\n\tO\n", "2: the first column holds no word"),
        ("conllu", b"# text = a\n1\ta\n", "2: 2 columns, CoNLL-U has 10"),
        ("conllu", b"1\ta" + b"\t_" * 8 + b"\n", "1: a sentence without '# text ='"),
        ("conllu", b"# text = b\n1\ta" + b"\t_" * 8 + b"\n", "1: the word 'a' is not in"),
    ],
)
def test_broken_gold_is_named_with_its_line(tmp_path, form, content, message):
    path = tmp_path / "gold"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"gold:{message}"):
        gold.read(path, form)


def test_scores_by_hand():
    class Fixed:
        name = "fixed"

        def segment(self, texts):
            return [["東", "京", "は", " ", "テスト", "です"], []]

    measured = score(Fixed(), [["東京", "は", " ", "テスト", "で", "す"], []], {"東京", "は", "す"})
    rows = {(row["group"], row["metric"]): (row["value"], row["n"]) for row in measured.rows()}
    assert rows["all", "precision"] == (2 / 5, 5)
    assert rows["all", "recall"] == (2 / 5, 5)
    assert rows["all", "f1"] == (2 / 5, 5) and measured.f1() == 2 / 5
    assert rows["kanji", "precision"] == (0, 2) and rows["kanji", "recall"] == (0, 1)
    assert rows["katakana", "f1"] == (1, 1)
    assert rows["unseen", "recall"] == (1 / 2, 2)
    assert ("unseen", "precision") not in rows and ("latin", "recall") not in rows
    assert word_script("食べ") == "mixed" and word_script("ラーメン") == "katakana"
    assert words_of([["猫", " ", "猫"]]) == {"猫"}


def test_a_segmenter_that_changes_the_text_is_caught():
    class Losing:
        name = "losing"

        def segment(self, texts):
            return [["猫"] for _ in texts]

    with pytest.raises(ValueError, match="changed the text"):
        score(Losing(), [["猫", " "]])


def prepared(tmp_path, *, available):
    corpus = tmp_path / "everyday"
    corpus.mkdir()
    for split in reference.SPLITS:
        lines = [json.dumps({"ja": f"これは{split}の文です。\n二行目です。"})] * 50
        (corpus / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    source = tmp_path / "source"
    source.mkdir()
    files = []
    if available:
        from jadapt.core.files import sha256_file

        (source / "gold.words").write_text("猫\tO\nが\tO\n", encoding="utf-8")
        files = [{"file": "gold.words", "sha256": sha256_file(source / "gold.words")}]
    record = {"name": "source", "kind": "url", "available": available, "files": files}
    (source / "fetched.json").write_text(json.dumps(record | {"reason": "no network"}))
    split = {"source": "source", "file": "gold.words", "format": "words"}
    characters = {"train": 100, "validation": 20, "test": 40}
    return reference.prepare(
        {
            "gold": {"name": "Gold", "splits": dict.fromkeys(reference.SPLITS, split)},
            "fallback": {"dictionary": "unidic_lite", "characters": characters},
        },
        {"source": source / "fetched.json"},
        [corpus],
        tmp_path / "reference",
    )


def test_gold_is_used_where_it_is_reached(tmp_path):
    meta = prepared(tmp_path, available=True)
    assert meta["gold"] and meta["name"] == "Gold" and meta["segmenter"] is None
    assert reference.read(tmp_path / "reference", "test") == [["猫", "が"]]
    assert reference.describe(tmp_path / "reference") == meta


def test_without_gold_mecab_takes_its_place_and_says_so(tmp_path, capsys):
    meta = prepared(tmp_path, available=False)
    assert (
        not meta["gold"] and meta["segmenter"] == "unidic_lite" and meta["reason"] == "no network"
    )
    assert "no gold segmentation (no network)" in capsys.readouterr().err
    assert 100 <= meta["splits"]["train"]["characters"] < 120
    (first, second, *_) = reference.read(tmp_path / "reference", "train")
    assert first[:3] == ["これ", "は", "train"] and "".join(second) == "二行目です。"
