"""A low-rank method, rows and penalties by hand for the tests of EWC."""

import torch
from torch import nn
from torch.nn import functional

import tiny_model
from jadapt.methods.base import Method
from jadapt.methods.continual.fisher import empirical_fisher
from jadapt.methods.strategy import Context

EWC_SETTINGS = {"strength": 7.0, "fisher": "empirical", "rows": 64, "draws": 1}
ONLINE_SETTINGS = {**EWC_SETTINGS, "decay": 0.25}


class LowRank(nn.Module):
    """A frozen linear layer W with a change scale * B A; B starts at zero."""

    def __init__(self, linear, rank=2, scale=2.0):
        super().__init__()
        self.linear, self.scale = linear, scale
        source = torch.Generator().manual_seed(5)
        self.a = nn.Parameter(torch.randn(rank, linear.in_features, generator=source))
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank))

    def change(self):
        return self.scale * self.b @ self.a

    def forward(self, x):
        return self.linear(x) + functional.linear(x, self.change())


class LowRankMethod(Method):
    """Low-rank factors on the first layer's query and on the second's down projection."""

    def apply(self, model):
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        attention, mlp = model.model.layers[0].self_attn, model.model.layers[1].mlp
        attention.q_proj, mlp.down_proj = LowRank(attention.q_proj), LowRank(mlp.down_proj)

    def pairs(self, model):
        return {name: m for name, m in model.named_modules() if isinstance(m, LowRank)}

    def weight_delta(self, model):
        return {name: pair.change() for name, pair in self.pairs(model).items()}

    def weight_delta_leaves(self, model):
        return {name: pair.linear.weight for name, pair in self.pairs(model).items()}


def batch_of(domain, first, count):
    source = torch.Generator().manual_seed(sum(map(ord, domain)))
    drawn = torch.randint(tiny_model.VOCABULARY, (64, 9), generator=source)[first : first + count]
    positions = torch.arange(8).expand(len(drawn), -1)
    return {"input_ids": drawn[:, :-1], "labels": drawn[:, 1:], "position_ids": positions}


def context_of(model, method=None):
    return Context(
        model=model, method=method or Method({}), rows=batch_of, loss=lambda batch: None,
        reduce=lambda tensor: tensor, batch_size=2, seed=0,
    )  # fmt: skip


def perturb(model, scale=0.1, seed=0):
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=source) * scale)


def snapshot(model):
    return {name: p.detach().double().clone() for name, p in model.named_parameters()}


def fisher_of(model, domain):
    found = empirical_fisher(model, dict(model.named_parameters()), [batch_of(domain, 0, 64)])
    return {name: tensor.double() for name, tensor in found.diagonal.items()}


def by_hand(strength, terms, weights):
    """strength / 2 * sum of F (theta - anchor)^2 in float64."""
    return strength / 2 * sum(
        (fisher[name] * (weights[name] - anchor[name]) ** 2).sum()
        for fisher, anchor in terms
        for name in anchor
    )  # fmt: skip


class Scalars(nn.Module):
    """Two named parameters and nothing to compute."""

    def __init__(self, *values):
        super().__init__()
        self.x = nn.Parameter(torch.tensor([values[0], values[1]]))
        self.y = nn.Parameter(torch.tensor(values[2]))
