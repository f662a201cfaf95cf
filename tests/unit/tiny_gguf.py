"""A small Llama-shaped model as llama.cpp would write it, for tests."""

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from jadapt.tokenization.huggingface import byte_characters

SPECIAL = ["<|endoftext|>", "<|im_start|>"]
MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("ã", "ģ"), ("ãģ", "Ĥ")]
TOKENS = [*SPECIAL, *byte_characters(), *("".join(merge) for merge in MERGES)]


def model(tied=True):
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(TOKENS), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, initializer_range=0.2, use_cache=False,
            max_position_embeddings=64, rope_theta=5000.0, rms_norm_eps=1e-5,
            tie_word_embeddings=tied,
        )
    ).eval()  # fmt: skip


def _interleaved(weight, heads):
    """llama.cpp's convert_hf_to_gguf.py, LlamaModel.permute."""
    return (
        weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
        .swapaxes(1, 2)
        .reshape(weight.shape)
    )


def write(path, source, architecture="llama", quantised=False, left_out=(), pre="smollm"):
    shape = source.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(shape.num_hidden_layers)
    writer.add_context_length(shape.max_position_embeddings)
    writer.add_embedding_length(shape.hidden_size)
    writer.add_feed_forward_length(shape.intermediate_size)
    writer.add_head_count(shape.num_attention_heads)
    writer.add_head_count_kv(shape.num_key_value_heads)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types([3 if token in SPECIAL else 1 for token in TOKENS])
    writer.add_token_merges([" ".join(merge) for merge in MERGES])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, shape.num_hidden_layers)
    for name, tensor in source.state_dict().items():
        if name == "lm_head.weight" and shape.tie_word_embeddings:
            continue
        target = names.get_name(name, try_suffixes=(".weight",))
        if target in left_out:
            continue
        values = tensor.numpy()
        if "q_proj" in name:
            values = _interleaved(values, shape.num_attention_heads)
        if "k_proj" in name:
            values = _interleaved(values, shape.num_key_value_heads)
        kind = None
        if quantised and values.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q4_1
            values = gguf.quants.quantize(np.ascontiguousarray(values), kind)
        writer.add_tensor(target, np.ascontiguousarray(values), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
