"""A model small enough for unit tests, of the same family as the study's."""

import torch

from jadapt.core import checksums
from jadapt.models import scratch

SETTINGS = {
    "kind": "scratch",
    "architecture": "qwen2",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rope_theta": 10000.0,
    "initializer_range": 0.2,
    "tie_word_embeddings": True,
}
VOCABULARY = 61
SPECIAL_IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def build(seed=0, **changes):
    torch.manual_seed(seed)
    return scratch.build(SETTINGS | changes, VOCABULARY, SPECIAL_IDS).eval()


def save(directory, seed=0):
    scratch.prepare(SETTINGS, VOCABULARY, SPECIAL_IDS, seed, directory)
    checksums.seal_folder(directory)
    return directory
