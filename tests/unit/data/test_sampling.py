"""Sampled rows: deterministic by place, true to the text, and nothing that evaluation would see."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from torch.utils.data import DataLoader

from jadapt.data.encoding import encode_corpus
from jadapt.data.loading import PackedRows, RowsFrom
from jadapt.data.packing import PackedStream
from jadapt.data.sampling import BLOCK_ROWS, Regularisation, SampledStream
from jadapt.data.tokens import TokenFile
from jadapt.tokenization.sentencepiece_training import TokenizerSettings, train
from jadapt.tokenization.tokenizers import load

LENGTH = 16
DRAWN = Regularisation(alpha=0.3, nbest_size=-1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tokenizer and the tokens of 600 short texts and of one that is longer than a block."""
    path = tmp_path_factory.mktemp("sampling")
    generator = np.random.default_rng(0)
    words = ["東京", "京都", "コーヒー", "飲む", "ました", "です", "the ", "cat", "。"]
    texts = ["".join(generator.choice(words, 12)) for _ in range(600)]
    for name, some in (("train", texts), ("long", ["".join(generator.choice(words, 9000))])):
        lines = (json.dumps({"ja": text}, ensure_ascii=False) + "\n" for text in some)
        (path / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    train(TokenizerSettings(310), [("ja", path / "train.jsonl")], path / "tokenizer")
    for name in ("train", "long"):
        encode_corpus(path / "tokenizer", path / f"{name}.jsonl", "ja", path / name)
    return path


def stream(folder, name="train", seed=7, kind=SampledStream):
    tokenizer, tokens = load(folder / "tokenizer"), TokenFile(folder / name)
    if kind is PackedStream:
        return PackedStream(tokens, LENGTH, seed, tokenizer.start_id, tokenizer.end_id)
    return SampledStream(tokens, LENGTH, seed, tokenizer, DRAWN)


def rows(made, numbers):
    return {n: {k: v.tolist() for k, v in made.row(n).items()} for n in numbers}


def test_a_row_depends_on_its_number_alone(folder):
    numbers = [0, 5, BLOCK_ROWS - 1, BLOCK_ROWS, 2 * BLOCK_ROWS + 3]
    epoch = stream(folder).rows_per_epoch
    numbers += [epoch - 1, epoch, epoch + BLOCK_ROWS]
    forwards = rows(stream(folder), numbers)
    assert rows(stream(folder), reversed(numbers)) == forwards
    assert rows(stream(folder, seed=8), numbers) != forwards
    assert forwards[0] != forwards[epoch]


def test_there_are_as_many_rows_as_without_sampling(folder):
    plain = stream(folder, kind=PackedStream)
    assert stream(folder).rows_per_epoch == plain.rows_per_epoch
    assert rows(stream(folder), range(20)) != rows(plain, range(20))


def test_rows_hold_whole_texts_in_the_order_of_the_epoch(folder):
    made, tokenizer = stream(folder), load(folder / "tokenizer")
    begins = [made.row(n) for n in range(BLOCK_ROWS)]
    inputs = np.concatenate([row["input_ids"] for row in begins])
    labels = np.concatenate([row["labels"] for row in begins])
    # Labels are the inputs of the next slot, and the end where a text ends.
    inside = labels[:-1] != tokenizer.end_id
    assert (labels[:-1][inside] == inputs[1:][inside]).all()
    assert (inputs[1:][~inside] == tokenizer.start_id).all()
    texts = (
        tokenizer.decode(labels.tolist()),
        [
            tokenizer.decode(TokenFile(folder / "train").document(made._order[place]).tolist())
            for place in range(40)
        ],
    )
    joined = "".join(texts[1])
    assert texts[0][: len(joined)] == joined
    for row in begins:
        assert row["position_ids"][0] == 0
        restarts = row["input_ids"] == tokenizer.start_id
        assert (row["position_ids"][restarts] == 0).all()
        steps = np.diff(row["position_ids"])
        assert (steps[~restarts[1:]] == 1).all()


def test_a_text_longer_than_a_block_is_gone_on_with(folder):
    made, tokenizer = stream(folder, "long"), load(folder / "tokenizer")
    assert made.rows_per_epoch > 2 * BLOCK_ROWS
    later = made.row(BLOCK_ROWS + 3)
    text = tokenizer.decode(TokenFile(folder / "long").document(0).tolist())
    assert tokenizer.decode(later["labels"].tolist()) in text
    assert tokenizer.start_id not in later["input_ids"]


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_give_the_same_batches_whatever_their_workers(folder, workers):
    made = stream(folder)
    loader = DataLoader(
        PackedRows(made, 80), sampler=RowsFrom(60, 80), batch_size=4, num_workers=workers
    )
    batches = [batch["input_ids"].tolist() for batch in loader]
    expected = [made.row(n)["input_ids"].tolist() for n in range(60, 80)]
    assert [row for batch in batches for row in batch] == expected


def test_a_stream_can_be_sent_to_another_process(folder):
    made = stream(folder)
    assert rows(pickle.loads(pickle.dumps(made)), [3]) == rows(made, [3])
