"""Read a Llama-shaped model and its tokenizer from a GGUF file, whatever its quantisation.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Tensor names and the order of
the rows of query and key matrices are llama.cpp's (convert_hf_to_gguf.py, `permute`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from jadapt.core.errors import UserError, nearest

_LAYER = re.compile(r"blk\.(\d+)\.(\w+)\.weight")
_WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_OF_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
# How a text is cut before the merges, by the name that llama.cpp gives it.
_GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
_DIGITS = {"type": "Digits", "individual_digits": True}
PRE_TOKENIZERS = {
    "gpt-2": _GPT2,
    "smollm": {"type": "Sequence", "pretokenizers": [_DIGITS, _GPT2]},
}
# gguf.TokenType: special tokens are CONTROL or USER_DEFINED.
_SPECIAL = (3, 4)


class GgufFile:
    """An open GGUF file of a Llama-shaped model.

    Raises:
        UserError: it is not a GGUF file, or its model or tokenizer is not supported.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._reader = gguf.GGUFReader(path)
        except (OSError, ValueError, IndexError) as error:
            raise UserError(f"{path}: not a GGUF file ({error})") from error
        architecture = self._value("general.architecture")
        if architecture != "llama":
            raise UserError(
                f"{path}: its model is '{architecture}'; only Llama-shaped models "
                "(general.architecture: llama) are read from GGUF"
            )

    def config(self) -> LlamaConfig:
        """Return the configuration of the model, with the key-value cache off (for training)."""
        heads = self._value("llama.attention.head_count")
        width = self._value("llama.embedding_length")
        head = self._value("llama.attention.key_length", width // heads)
        self._refuse_unknown(head)
        return LlamaConfig(
            vocab_size=int(self._tensor("token_embd.weight").shape[1]),
            hidden_size=width,
            intermediate_size=self._value("llama.feed_forward_length"),
            num_hidden_layers=self._value("llama.block_count"),
            num_attention_heads=heads,
            num_key_value_heads=self._value("llama.attention.head_count_kv", heads),
            head_dim=head,
            max_position_embeddings=self._value("llama.context_length"),
            rope_theta=self._value("llama.rope.freq_base", 10000.0),
            rms_norm_eps=self._value("llama.attention.layer_norm_rms_epsilon"),
            tie_word_embeddings=not self._has("output.weight"),
            torch_dtype="float32",
            use_cache=False,
        )

    def model(self) -> LlamaForCausalLM:
        """Return the model with the file's weights, dequantised to float32."""
        config = self.config()
        weights = {}
        for tensor in self._reader.tensors:
            name = self._target(tensor.name)
            values = torch.from_numpy(
                np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type), np.float32)
            )
            if name.endswith("q_proj.weight"):
                values = _half_by_half(values, config.num_attention_heads)
            elif name.endswith("k_proj.weight"):
                values = _half_by_half(values, config.num_key_value_heads)
            weights[name] = values
        with torch.device("meta"):
            model = LlamaForCausalLM(config)
        model = model.to_empty(device="cpu")
        # `to_empty` leaves the rotary frequencies undefined, and they are not stored in the file.
        model.model.rotary_emb = type(model.model.rotary_emb)(config)
        try:
            missing, _ = model.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise UserError(f"{self.path}: a tensor does not fit the model: {reason}") from error
        tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
        if lost := sorted(set(missing) - tied):
            raise UserError(f"{self.path}: not Llama-shaped: it has no tensor for {lost[0]}")
        model.tie_weights()
        return model

    def tokenizer(self) -> dict:
        """Return the tokenizer as the content of a Hugging Face ``tokenizer.json``."""
        kind = self._value("tokenizer.ggml.model")
        if kind != "gpt2":
            raise UserError(f"{self.path}: its tokenizer is '{kind}'; only byte-level BPE is read")
        cut = self._value("tokenizer.ggml.pre", "gpt-2")
        if cut not in PRE_TOKENIZERS:
            raise UserError(
                f"{self.path}: unknown pre-tokenizer '{cut}'{nearest(cut, PRE_TOKENIZERS)}"
            )
        tokens = self._value("tokenizer.ggml.tokens")
        types = self._value("tokenizer.ggml.token_type")
        special = [
            {
                "id": number, "content": token, "single_word": False, "lstrip": False,
                "rstrip": False, "normalized": False, "special": True,
            }
            for number, (token, type_) in enumerate(zip(tokens, types, strict=True))
            if type_ in _SPECIAL
        ]  # fmt: skip
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": special,
            "normalizer": None,
            "pre_tokenizer": PRE_TOKENIZERS[cut],
            "post_processor": None,
            "decoder": {**_GPT2, "add_prefix_space": True},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {token: number for number, token in enumerate(tokens)},
                "merges": [merge.split(" ") for merge in self._value("tokenizer.ggml.merges")],
            },
        }

    def _value(self, key: str, default: Any = None) -> Any:
        field = self._reader.get_field(key)
        if field is not None:
            content = field.contents()
            # The file holds float32; 9.999999747378752e-06 was meant as 1e-05.
            return float(str(np.float32(content))) if isinstance(content, float) else content
        if default is None:
            raise UserError(f"{self.path}: '{key}' is missing; it is not a whole Llama model")
        return default

    def _has(self, name: str) -> bool:
        return any(tensor.name == name for tensor in self._reader.tensors)

    def _tensor(self, name: str) -> gguf.gguf_reader.ReaderTensor:
        for tensor in self._reader.tensors:
            if tensor.name == name:
                return tensor
        raise UserError(f"{self.path}: not Llama-shaped: it has no tensor {name}")

    def _refuse_unknown(self, head: int) -> None:
        """Raise a `UserError` for features of Llama files that `config` cannot represent."""
        turned = self._value("llama.rope.dimension_count", head)
        if turned != head:
            raise UserError(f"{self.path}: rotary positions turn {turned} of {head} dimensions")
        if self._reader.get_field("llama.rope.scaling.type") is not None:
            raise UserError(f"{self.path}: scaled rotary positions are not read")
        if self._reader.get_field("llama.expert_count") is not None:
            raise UserError(f"{self.path}: a mixture of experts is not read")

    def _target(self, name: str) -> str:
        found = _LAYER.fullmatch(name)
        if found and found[2] in _OF_LAYER:
            return f"model.layers.{found[1]}.{_OF_LAYER[found[2]]}.weight"
        if name in _WHOLE:
            return _WHOLE[name]
        raise UserError(f"{self.path}: not Llama-shaped: tensor {name} has no place in the model")


def _half_by_half(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Undo llama.cpp's permutation of the rows of a query or key matrix.

    llama.cpp places the two rows of a rotary pair next to each other, transformers at a distance
    of half a head. ``weight`` has shape (heads * head_dim, width).
    """
    half = weight.shape[0] // heads // 2
    return weight.view(heads, half, 2, -1).transpose(1, 2).reshape(weight.shape)
