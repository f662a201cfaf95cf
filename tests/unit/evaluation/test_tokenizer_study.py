"""The tokenization study: what is measured, equal compute, raw bytes, and a killed process."""

from __future__ import annotations

import json
import random

import pytest
from transformers import Qwen2Config

from jadapt.evaluation import tokenizer_models, tokenizer_study
from jadapt.evaluation.tokenizer_models import TokenizerModels, flops_per_token
from jadapt.models import scratch
from jadapt.models.tokenizer_making import Materials
from jadapt.tokenization.fertility import Fertility, WholeWords
from jadapt.tokenization.tokenizers import load
from tiny_study import SETTINGS

WORDS = ["東京", "京都", "コーヒー", "飲む", "ました", "です", "ﾒﾛﾝ", "「猫」", "ＡＢＣ", "。"]
SPLITS = {"train": 200, "validation": 10, "test": 20}
STUDY = {
    "maximum_documents": 100, "test_documents": 15, "words": "unidic_lite", "normalisation": "none",
    "languages": {"everyday": "ja"},
}  # fmt: skip
ENTRIES = {
    "small": {"kind": "sentencepiece", "model_type": "bpe", "vocabulary_size": 310},
    "large": {"kind": "sentencepiece", "model_type": "bpe", "vocabulary_size": 340},
    "raw_nfkc": {
        "kind": "sentencepiece", "model_type": "bpe", "vocabulary_size": 310,
        "normalisation": "nfkc",
    },
}  # fmt: skip
MODEL = {
    "kind": "scratch", "architecture": "qwen2", "hidden_size": 16, "intermediate_size": 32,
    "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
    "max_position_embeddings": 64, "rope_theta": 10000.0, "initializer_range": 0.02,
    "tie_word_embeddings": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """The splits of a domain; its texts are not in NFKC."""
    folder = tmp_path_factory.mktemp("everyday")
    draw = random.Random(0)
    for split, count in SPLITS.items():
        lines = (
            json.dumps({"ja": "".join(draw.choices(WORDS, k=8))}, ensure_ascii=False) + "\n"
            for _ in range(count)
        )
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def prepared(texts, tmp_path_factory):
    """Each tokenizer's folder and measures."""
    root = tmp_path_factory.mktemp("tokenizers")
    materials = Materials({"everyday": ("ja", texts / "train.jsonl")})
    splits = {"everyday": {split: texts / f"{split}.jsonl" for split in SPLITS}}
    return {
        name: (root / name, tokenizer_study.prepare(entry, materials, splits, STUDY, root / name))
        for name, entry in ENTRIES.items()
    }


def test_measures_are_of_raw_text(prepared, texts):
    lines = (texts / "test.jsonl").read_text(encoding="utf-8").splitlines()[:15]
    raw = [json.loads(line)["ja"] for line in lines]
    for name, (_, rows) in prepared.items():
        found = {(script, metric): (value, n) for _, script, metric, value, _, n, *_ in rows}
        assert found["all", "tokens_per_character"][1] == sum(map(len, raw))
        assert found["all", "tokens_per_byte"][1] == sum(len(text.encode()) for text in raw)
        assert found["all", "vocabulary_size"][0] == ENTRIES[name]["vocabulary_size"]
        assert found["all", "encoding_speed"][0] > 0
        assert found["all", "library_encoding_speed"][0] > 0
        by_script = [(value, n) for (script, m), (value, n) in found.items()
                     if m == "tokens_per_character" and script != "all"]  # fmt: skip
        assert sum(n for _, n in by_script) == sum(map(len, raw))
    fertility = [{(row[1], row[2]): row[3] for row in rows} for _, rows in prepared.values()]
    key = ("all", "tokens_per_character")
    assert fertility[1][key] <= fertility[0][key]


class Fixed:
    """Cuts any text into three tokens."""

    def __init__(self, normalisation="none"):
        self.normalisation = normalisation

    def encode_batch(self, texts):
        return [[0, 1, 2]]


PIECES = ["東京に".encode(), "行き".encode(), "ます".encode()]


def test_words_are_whole_where_no_token_ends_within_them(prepared):
    folder, _ = prepared["small"]
    tokenizer = load(folder / "tokenizer")
    counts = Fertility()
    counts.add(Fixed(), PIECES, "東京に行きます")
    assert dict(counts.tokens)["kanji"] == pytest.approx(2 / 3 + 1 / 2)
    assert counts.broken == 0
    words = WholeWords()
    words.add(Fixed(), PIECES, ["東京", "に", "行", "きま", "す"])
    assert (words.words, words.whole) == (2, 1)
    assert list(words.measures()) == [("all", "words_kept_whole", 1 / 2, "share", 2)]
    plain = Fertility()
    plain.add(tokenizer, tokenizer.token_bytes(), "鬱\x00")
    assert plain.broken == 3
    plain.add(tokenizer, tokenizer.token_bytes(), "")
    assert sum(plain.characters.values()) == 2
    words.add(Fixed(), PIECES, [])
    assert words.words == 2


def test_words_are_brought_to_the_form_of_the_text_and_of_the_tokenizer():
    pieces = ["カフェ".encode(), b"12", "で".encode()]
    for form, own in (("nfkc", "none"), ("none", "nfkc")):
        words = WholeWords()
        words.add(Fixed(own), pieces, ["ｶﾌｪ", "１", "２", "で"], form)
        assert (words.words, words.whole) == (1, 1)
    # The mark belongs to the letter of the word before, so where one ends is not known.
    words = WholeWords()
    words.add(Fixed("nfkc"), pieces, ["か", "\u3099い"])
    assert words.words == 0 and list(words.measures()) == []


def whole_words(rows):
    return [row for row in rows if row[2] == "words_kept_whole"]


def test_words_are_gold_where_gold_was_reached(prepared, texts, tmp_path):
    """The treebank's words are of its own text; MeCab's, of the test text, take their place."""
    (domain, _, _, _, _, n, *whose) = whole_words(prepared["small"][1])[0]
    assert (domain, whose) == ("everyday", ["unidic_lite", "false"]) and n > 15

    def measured(gold):
        folder = tmp_path / str(gold)
        folder.mkdir()
        (folder / "reference.json").write_text(json.dumps({"gold": gold, "name": "Treebank"}))
        line = json.dumps({"words": ["東京", "で", "コーヒー", "を", "飲む"]})
        (folder / "test.jsonl").write_text(line + "\n")
        materials = Materials({"everyday": ("ja", texts / "train.jsonl")})
        splits = {"everyday": {split: texts / f"{split}.jsonl" for split in SPLITS}}
        return tokenizer_study.prepare(
            ENTRIES["small"], materials, splits, STUDY, folder / "out", folder
        )

    ((domain, script, _, value, unit, n, *whose),) = whole_words(measured(True))
    assert (domain, script, unit, n) == ("treebank", "all", "share", 3)
    assert whose == ["Treebank", "true"] and 3 * value in (0, 1, 2, 3)
    assert whole_words(measured(False)) == whole_words(prepared["small"][1])


def test_operations_are_six_a_weight_and_those_of_attention():
    settings = {k: v for k, v in MODEL.items() if k not in ("kind", "architecture")}
    config = Qwen2Config(vocab_size=310, **settings)
    model = scratch.build(MODEL, 310, {})
    matrices = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    assert flops_per_token(config, 10) == 6 * matrices + 12 * 1 * 16 * 10


@pytest.fixture(scope="module")
def settings():
    training = {**SETTINGS, "learning_rate": 0.01, "steps": 8, "warmup_steps": 1}
    return {
        "training": training, "model": MODEL, "reference": "small", "seeds": [1],
        "regularisation": {
            "tokenizer": "small", "variants": {"drawn": {"alpha": 0.3, "nbest_size": -1}},
            "seeds": [1],
        },
        "batch_size": 8,
    }  # fmt: skip


def test_models_are_compared_at_equal_compute_and_a_killed_study_goes_on(
    prepared, settings, tmp_path, monkeypatch
):
    folders = {name: folder for name, (folder, _) in prepared.items()}
    rows = list(TokenizerModels(settings, folders, tmp_path / "whole").run())
    found = {}
    for point, (domain, metric, value, _, n) in rows:
        found.setdefault((point.tokenizer, point.variant), {})[domain, metric] = value, n
    assert set(found) == {("small", ""), ("large", ""), ("raw_nfkc", ""), ("small", "drawn")}
    assert found["small", ""]["text", "steps"][0] == 8
    assert found["large", ""]["text", "steps"][0] <= 8
    # NFKC makes texts shorter; what is divided by is the text before.
    sizes = {cell["everyday", "bits_per_byte"][1] for cell in found.values()}
    assert len(sizes) == 1
    bits = {key: cell["everyday", "bits_per_byte"][0] for key, cell in found.items()}
    assert all(0 < value < 8 for value in bits.values())
    assert bits["small", ""] != bits["small", "drawn"]

    # Stopped before the last model; what was trained is not trained again.
    original, trained = tokenizer_models.Run.train, []

    def train(self):
        trained.append(self.settings["run"])
        if len(trained) == 4:
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(tokenizer_models.Run, "train", train)
    with pytest.raises(KeyboardInterrupt):
        list(TokenizerModels(settings, folders, tmp_path / "killed").run())
    again = list(TokenizerModels(settings, folders, tmp_path / "killed").run())
    assert trained == ["small", "large", "raw_nfkc", "small", "small"]
    assert again == rows
