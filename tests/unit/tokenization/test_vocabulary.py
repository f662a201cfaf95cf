"""An extended vocabulary: old ids stay, new pieces are used, their embeddings are means."""

from __future__ import annotations

import json
import random

import pytest
import tokenizers as library
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, trainers

import tiny_model
from jadapt.core.errors import UserError
from jadapt.models.extension import extend_embeddings
from jadapt.models.tokenizer_making import Materials, make
from jadapt.tokenization import huggingface, vocabulary
from jadapt.tokenization.tokenizers import load


def _texts(words, letters):
    """Texts of words, with random names that give a vocabulary more to learn."""
    draw = random.Random(1)
    return ["".join([*draw.choices(words, k=6), *draw.choices(letters, k=3)]) for _ in range(300)]


ENGLISH = _texts(["the ", "cat ", "drinks ", "coffee ", "in ", "a ", "park "], "abcdefgh")
JAPANESE = _texts(
    ["東京で", "コーヒーを", "飲みます", "。", "猫が", "好き", "です"], "あいうえおかき"
)


def sentencepiece(domain, size):
    return {
        "kind": "sentencepiece", "model_type": "unigram", "vocabulary_size": size,
        "domains": [domain],
    }  # fmt: skip


@pytest.fixture(scope="module")
def materials(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpora")
    corpora = {}
    for domain, field, texts in (("english", "en", ENGLISH), ("everyday", "ja", JAPANESE)):
        path = root / f"{domain}.jsonl"
        lines = (json.dumps({field: text}, ensure_ascii=False) + "\n" for text in texts)
        path.write_text("".join(lines), encoding="utf-8")
        corpora[domain] = (field, path)
    return Materials(corpora)


def byte_level(folder):
    """Write a small tokenizer as published ones are."""
    made = library.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet,
        show_progress=False,
    )  # fmt: skip
    made.train_from_iterator(ENGLISH, trainer)
    huggingface.write(folder, json.loads(made.to_str()), "<|endoftext|>", "made here")
    return folder


@pytest.fixture(scope="module", params=["sentencepiece", "huggingface"])
def extended(request, materials, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sentencepiece":
        pieces = sentencepiece("everyday", 310)
        make(
            {"kind": "extended", "base": sentencepiece("english", 300), "pieces": pieces},
            materials,
            folder / "new",
        )
    else:
        make(sentencepiece("everyday", 310), materials, folder / "pieces")
        vocabulary.extend(byte_level(folder / "base"), folder / "pieces", folder / "new")
    return folder / "new"


def test_old_ids_keep_their_meaning_and_english_its_tokens(extended):
    old, new = load(extended / "base"), load(extended)
    assert new.vocabulary_size > old.vocabulary_size
    assert new.token_bytes()[: old.vocabulary_size] == old.token_bytes()
    assert (new.start_id, new.end_id, new.pad_id) == (old.start_id, old.end_id, old.pad_id)
    assert new.encode_batch(ENGLISH[:3]) == old.encode_batch(ENGLISH[:3])
    assert new.sha256 != old.sha256


def test_japanese_takes_fewer_tokens_by_the_new_pieces(extended):
    old, new = load(extended / "base"), load(extended)
    (before,), (after,) = (each.encode_batch(JAPANESE[:1]) for each in (old, new))
    assert len(after) < len(before) / 2
    assert max(after) >= old.vocabulary_size


@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
def test_an_extended_tokenizer_is_lossless(extended, text):
    tokenizer = load(extended)
    (ids,) = tokenizer.encode_batch([text])
    assert tokenizer.decode(ids) == text


def test_new_embeddings_are_means_of_the_old_ones(extended):
    spelt = vocabulary.old_pieces(extended)
    old, new = load(extended / "base"), load(extended)
    assert len(spelt) == new.vocabulary_size - old.vocabulary_size
    for ids, piece in zip(spelt, new.token_bytes()[old.vocabulary_size :], strict=True):
        assert old.decode(ids).encode() == piece


@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_grow_by_means(tied):
    model = tiny_model.build()
    if not tied:
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach() * 2)
    before = model.get_input_embeddings().weight.detach().clone()
    output = model.get_output_embeddings().weight.detach().clone()
    size = tiny_model.VOCABULARY
    extend_embeddings(model, size, [[5, 7], [9]])
    for weight, old in (
        (model.get_input_embeddings().weight, before),
        (model.get_output_embeddings().weight, output),
    ):
        assert weight.shape[0] == size + 2 == model.config.vocab_size
        assert torch.equal(weight[:size], old)
        torch.testing.assert_close(weight[size], old[[5, 7]].mean(dim=0))
        assert torch.equal(weight[size + 1], old[9])


def test_what_cannot_be_extended_is_refused(materials, tmp_path):
    base, pieces = sentencepiece("english", 300), sentencepiece("everyday", 310)
    with pytest.raises(UserError, match=r"tokenizer.pieces.model_type: bpe pieces"):
        wrong = {**pieces, "model_type": "bpe"}
        make({"kind": "extended", "base": base, "pieces": wrong}, materials, tmp_path)
    with pytest.raises(UserError, match="no Japanese piece"):
        make({"kind": "extended", "base": base, "pieces": base}, materials, tmp_path)
    with pytest.raises(UserError, match="no corpus of 'evryday'; did you mean 'everyday'"):
        make(sentencepiece("evryday", 300), materials, tmp_path)
    assert not list(tmp_path.iterdir())
