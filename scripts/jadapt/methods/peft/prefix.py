"""Prefix tuning (Li & Liang, ACL 2021): every layer attends to n learnt keys and values as well.

A layer's prefix has the shape (n, key_value_heads, head_dim), the shape of its own keys and values
under grouped-query attention. The keys carry no rotary rotation: a prefix has no position, and its
order does not matter. Every query sees all of it, in every document of a packed row, while the
documents still do not see each other.

There is no prefix that changes nothing. With keys and values of zero, a head whose scores are s_j
puts out Z / (Z + n) times what it did, where Z = sum_j exp(s_j): the same direction, damped, most
where a query sees few tokens.

The `peft` package hands the same prefix over as a key-value cache, and the tokens start at position
n, not 0. Their attention to each other is relative and stays the same, but the queries turn by n
positions against the unrotated keys of the prefix. Its logits are those of this module for
``position_ids`` raised by n. Packed rows it does not support.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jadapt.core.declarations import DDP, FSDP2, GRADIENT, Field, Look, Number, Settings
from jadapt.methods.peft.adapter import Adapter

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Prefix(Adapter):
    """Prefix tuning with ``length`` positions a layer.

    ``reparameterisation`` is absent where the prefixes themselves train, or the hidden size of an
    MLP that all layers' prefixes come from, as in the paper and in PEFT's form. ``init_std`` is the
    standard deviation of the prefixes' entries; with an MLP it bounds theirs (tanh is below 1).
    """

    key = "prefix"
    label = "Prefix tuning"
    family = "efficient"
    order = 50
    look = Look("#f2907a", "v", (0, (3, 1)))
    summary = "Prefix tuning: trained keys and values before every text, in every layer."
    paragraph = r"""
    *Prefix tuning* @prefix trains keys $P_K$ and values $P_V$ that every token of every document
    attends to as if they stood before the text:
    $ "softmax"((q [P_K; K]^top) / sqrt(d)) [P_V; V]. $ <eq-prefix>
    In grouped-query attention @gqa several query heads share a head of keys and values, so a prefix
    has as many entries as there are shared heads, and fewer parameters than the width of the model
    suggests. Its keys are not rotated: rotary embeddings @rope encode where in the text a key
    stands, and a prefix stands nowhere in it.
    """
    citation = "prefix"
    parallelism = frozenset({DDP, FSDP2})
    supports = Adapter.supports - {GRADIENT}

    class Hyperparameters(Settings):
        """Of prefix tuning."""

        length: int = Field(examples=[16], ge=1, description="Positions of the prefix.")
        reparameterisation: int | None = Field(
            None,
            examples=[None],
            ge=1,
            description="Width of the network that produces the prefixes; null trains them "
            "directly.",
        )
        init_std: Number = Field(
            examples=[0.02],
            ge=0,
            description="Standard deviation of the prefixes (of the embeddings, with a network) at "
            "the start.",
        )

    def apply(self, model: PreTrainedModel) -> None:
        """Freeze ``model`` and add the prefixes, in place; its attention then runs through SDPA.

        Raises:
            UserError: the model's attention is not one that can be extended.
        """
        from jadapt.methods.peft.prefix_layers import add_prefixes

        add_prefixes(
            model,
            self.settings.length,
            self.settings.init_std,
            self.settings.reparameterisation,
        )
