"""The layers of prefix tuning (`jadapt.methods.peft.prefix`): prefixes, and attention over them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from jadapt.core.errors import UserError

IMPLEMENTATION = "sdpa_with_prefix"


def add_prefixes(model: PreTrainedModel, length: int, std: float, hidden: int | None) -> None:
    """Freeze ``model`` and add the prefixes, in place; its attention then runs through SDPA.

    Args:
        model: of the Llama family.
        length: positions of each layer's prefix.
        std: standard deviation of the prefixes' entries at the start.
        hidden: width of the MLP that computes the prefixes; None trains them directly.

    Raises:
        UserError: the model's attention is not one that can be extended.
    """
    layers = _attention_layers(model)
    model.requires_grad_(False)
    heads, size = _key_shape(model.config)
    weight = layers[0].k_proj.weight
    place = {"device": weight.device, "dtype": weight.dtype}
    if hidden:
        encoder = PrefixEncoder(length, (len(layers), 2, heads, size), hidden, std, place)
        model.base_model.prefix_encoder = encoder
        model.base_model.register_forward_pre_hook(encoder.refresh)
        for layer, current in zip(layers, encoder.current, strict=True):
            layer.prefix = current
    else:
        for layer in layers:
            layer.prefix = LayerPrefix((length, heads, size), std, place)
    model.config._attn_implementation = IMPLEMENTATION


class LayerPrefix(nn.Module):
    """The keys and values of one layer as parameters, each (n, key_value_heads, head_dim)."""

    def __init__(self, shape: tuple[int, int, int], std: float, place: dict):
        super().__init__()
        self.keys = nn.Parameter(_normal(shape, std, place))
        self.values = nn.Parameter(_normal(shape, std, place))


class CurrentPrefix:
    """The keys and values of one layer during a forward pass, where an MLP computes them."""

    keys: torch.Tensor
    values: torch.Tensor

    def __deepcopy__(self, memo: dict) -> CurrentPrefix:
        """A copied model computes its own; tensors within a graph cannot be copied."""
        return CurrentPrefix()


class PrefixEncoder(nn.Module):
    """All layers' prefixes from one embedding and one MLP: embedding, linear, tanh, linear.

    Args:
        length: positions n.
        shape: (layers, 2 for keys and values, key_value_heads, head_dim).
        hidden: size of the MLP's hidden layer.
        std: scale of the prefixes at the start; 0 starts them at zero.
        place: device and dtype of the parameters.
    """

    def __init__(
        self, length: int, shape: tuple[int, int, int, int], hidden: int, std: float, place: dict
    ):
        super().__init__()
        layers, pair, heads, size = shape
        self.shape = (length, *shape)
        self.embedding = nn.Parameter(_normal((length, heads * size), 1.0, place))
        self.hidden = nn.Linear(heads * size, hidden, **place)
        self.output = nn.Linear(hidden, layers * pair * heads * size, **place)
        nn.init.normal_(self.output.weight, std=std * hidden**-0.5)
        nn.init.zeros_(self.output.bias)
        self.current = [CurrentPrefix() for _ in range(layers)]

    def forward(self) -> torch.Tensor:
        """Return all prefixes, of shape (n, layers, 2, key_value_heads, head_dim)."""
        return self.output(torch.tanh(self.hidden(self.embedding))).view(self.shape)

    def refresh(self, *unused: object) -> None:
        """Compute the prefixes once a forward pass, before its first layer asks for them."""
        for current, pair in zip(self.current, self().unbind(1), strict=True):
            current.keys, current.values = pair.unbind(1)


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """Attention over a layer's prefix and its tokens, by the interface of transformers.

    Args:
        module: the attention layer; ``module.prefix`` holds ``keys`` and ``values``.
        query: (B, heads, T, head_dim), rotated.
        key: (B, key_value_heads, S, head_dim), rotated.
        value: the same shape as ``key``.
        attention_mask: for the S tokens: boolean or additive, (B or 1, 1, T, S); None is causal.
        kwargs: scaling, dropout and what else transformers hands on.

    Returns:
        The heads' outputs, (B, T, heads, head_dim), and no weights.
    """
    prefix = module.prefix
    length = prefix.keys.shape[0]
    if attention_mask is None:
        reach = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device)
        attention_mask = reach.tril(key.shape[2] - query.shape[2])[None, None]
    elif attention_mask.dtype != torch.bool and attention_mask.dtype != query.dtype:
        attention_mask = attention_mask.to(query.dtype)
    visible = True if attention_mask.dtype == torch.bool else 0.0
    mask = functional.pad(attention_mask[..., : key.shape[2]], (length, 0), value=visible)
    key, value = _prepend(prefix.keys, key), _prepend(prefix.values, value)
    return sdpa_attention_forward(module, query, key, value, mask, **kwargs)


def _prepend(prefix: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Put (n, heads, size) before each row of (B, heads, S, size), in the precision of the row."""
    every = prefix.to(tokens.dtype).transpose(0, 1).expand(tokens.shape[0], -1, -1, -1)
    return torch.cat([every, tokens], dim=2)


# The mask for the tokens is the one that SDPA takes; without registration there would be none, and
# packed documents would see each other. SDPA's shortcut for a causal mask (None) remains possible.
AttentionInterface.register(IMPLEMENTATION, attend)
AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)


def _attention_layers(model: PreTrainedModel) -> list[nn.Module]:
    """Return the attention layers in their order, if their attention can be extended."""
    found = [module for module in model.modules() if hasattr(module, "k_proj")]
    if not found or not model._supports_attention_backend:
        raise UserError(
            f"method prefix: the attention of {type(model).__name__} cannot take a prefix; "
            "choose a model of the Llama family"
        )
    if model.config._attn_implementation != "sdpa":
        raise UserError(
            f"method prefix: attn_implementation is '{model.config._attn_implementation}'; "
            "load the model with 'sdpa'"
        )
    return found


def _key_shape(shape: PretrainedConfig) -> tuple[int, int]:
    """Return the number of key-value heads and their size."""
    heads = shape.num_attention_heads
    size = getattr(shape, "head_dim", None) or shape.hidden_size // heads
    return getattr(shape, "num_key_value_heads", None) or heads, size


def _normal(shape: tuple[int, ...], std: float, place: dict) -> torch.Tensor:
    # In place, so that the meta device needs no generator and 0 is exact.
    return torch.empty(shape, **place).normal_(std=std) if std else torch.zeros(shape, **place)
