"""GGUF files: the same model and a lossless tokenizer come out, and others are refused."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

import tiny_gguf
from jadapt.core.errors import UserError
from jadapt.models.gguf import GgufFile
from jadapt.tokenization import huggingface, tokenizers

IDS = torch.tensor([[0, 40, 90, 13, 221, 5, 40, 0], [0, 33, 8, 250, 2, 17, 3, 1]])


def logits(model):
    with torch.no_grad():
        return model(IDS).logits


@pytest.mark.parametrize("tied", [True, False])
def test_the_model_of_a_gguf_file_is_the_one_it_was_written_from(tmp_path, tied):
    source = tiny_gguf.model(tied)
    model = GgufFile(tiny_gguf.write(tmp_path / "m.gguf", source)).model().eval()
    assert torch.equal(logits(model), logits(source))
    assert model.config.tie_word_embeddings == tied
    model.save_pretrained(tmp_path / "checkpoint")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint").eval()
    assert torch.equal(logits(again), logits(source))


def test_quantised_weights_are_read_as_transformers_reads_them(tmp_path):
    source = tiny_gguf.model()
    path = tiny_gguf.write(tmp_path / "m.gguf", source, quantised=True)
    model = GgufFile(path).model().eval()
    other = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf").eval()
    for (name, mine), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs), name
    assert not torch.equal(logits(model), logits(source))
    assert (logits(model) - logits(source)).abs().mean() < 0.5 * logits(source).abs().mean()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gguf")
    file = GgufFile(tiny_gguf.write(folder / "m.gguf", tiny_gguf.model()))
    huggingface.write(folder / "tokenizer", file.tokenizer(), "<|endoftext|>", "m.gguf")
    return tokenizers.load(folder / "tokenizer")


@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
@example("the <|endoftext|> other <|im_start|>")
@example("👨‍👩‍👧 ❤️ 🇯🇵  two  spaces\t\r\n\x00\x7f\ufeff か\u3099 Ａ")
def test_any_text_comes_back_from_its_ids(tokenizer, text):
    (ids,) = tokenizer.encode_batch([text])
    pieces = tokenizer.token_bytes()
    assert b"".join(pieces[token] for token in ids) == text.encode("utf-8")
    assert tokenizer.decode(ids) == text
    assert not {0, 1} & set(ids)


def test_the_merges_of_the_file_are_used_and_digits_stand_alone(tokenizer):
    (ids,) = tokenizer.encode_batch(["in the あ 12"])
    assert [tokenizer.token_bytes()[token] for token in ids] == [
        b"i", b"n", b" the", b" ", "あ".encode(), b" ", b"1", b"2",
    ]  # fmt: skip
    assert tokenizer.start_id == tokenizer.end_id == tokenizer.pad_id == 0
    assert tokenizer.vocabulary_size == len(tiny_gguf.TOKENS)


def test_a_byte_without_a_token_is_refused_and_not_dropped(tmp_path):
    content = GgufFile(tiny_gguf.write(tmp_path / "m.gguf", tiny_gguf.model())).tokenizer()
    vocabulary = content["model"]["vocab"]
    vocabulary["unused"] = vocabulary.pop("Ą")  # the character of byte 0x04
    huggingface.write(tmp_path / "t", content, "<|endoftext|>", "m.gguf")
    lacking = tokenizers.load(tmp_path / "t")
    assert lacking.decode(lacking.encode_batch(["\x03"])[0]) == "\x03"
    with pytest.raises(UserError, match="no token for byte 0x04"):
        lacking.encode_batch(["\x04"])


def test_a_changed_tokenizer_file_is_noticed(tmp_path):
    content = GgufFile(tiny_gguf.write(tmp_path / "m.gguf", tiny_gguf.model())).tokenizer()
    huggingface.write(tmp_path / "t", content, "<|endoftext|>", "m.gguf")
    with open(tmp_path / "t" / "tokenizer.json", "a", encoding="utf-8") as stream:
        stream.write("\n")
    with pytest.raises(UserError, match=r"tokenizer\.json: its sha256"):
        tokenizers.load(tmp_path / "t")


def test_what_is_not_llama_shaped_is_refused_in_one_line(tmp_path):
    source = tiny_gguf.model()
    with pytest.raises(UserError, match=r"its model is 'gptneox'; only Llama-shaped"):
        GgufFile(tiny_gguf.write(tmp_path / "other.gguf", source, architecture="gptneox"))
    (tmp_path / "no.gguf").write_bytes(b"GGML" + b"\0" * 60)
    with pytest.raises(UserError, match=r"no\.gguf: not a GGUF file"):
        GgufFile(tmp_path / "no.gguf")
    left_out = ("blk.1.ffn_gate.weight",)
    path = tiny_gguf.write(tmp_path / "part.gguf", source, left_out=left_out)
    with pytest.raises(UserError, match=r"no tensor for model\.layers\.1\.mlp\.gate_proj\.weight"):
        GgufFile(path).model()
    path = tiny_gguf.write(tmp_path / "cut.gguf", source, pre="smolm")
    with pytest.raises(UserError, match=r"pre-tokenizer 'smolm'; did you mean 'smollm'"):
        GgufFile(path).tokenizer()
    path = tiny_gguf.write(tmp_path / "end.gguf", source)
    with pytest.raises(UserError, match=r"no special token '<\|end\|>'"):
        huggingface.write(tmp_path / "t", GgufFile(path).tokenizer(), "<|end|>", "end.gguf")
