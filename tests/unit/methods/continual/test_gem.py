"""GEM and A-GEM on a model: projections, memories, and the rows that they ask for."""

import copy
import itertools

import pytest
import torch
from torch.nn import functional

import tiny_model
from jadapt.core.errors import UserError
from jadapt.methods.base import Method
from jadapt.methods.continual import gem, projection
from jadapt.methods.strategy import Context
from projecting import by_nnls, cosine_bound

GEM_SETTINGS = {"memory_rows": 6, "batch_rows": 4, "margin": 0.0}
AGEM_SETTINGS = {"memory_rows": 6, "batch_rows": 4}


def loss_of(model, batch):
    logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits
    return functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())


def rows_of(domain, first, count):
    source = torch.Generator().manual_seed(sum(map(ord, domain)))
    drawn = torch.randint(tiny_model.VOCABULARY, (6, 9), generator=source)[first : first + count]
    positions = torch.arange(8).expand(len(drawn), -1)
    return {"input_ids": drawn[:, :-1], "labels": drawn[:, 1:], "position_ids": positions}


def context_of(model, seed=0, rows=rows_of, reduce=lambda tensor: tensor):
    return Context(
        model=model, method=Method({}), rows=rows, loss=lambda batch: loss_of(model, batch),
        reduce=reduce, batch_size=4, seed=seed,
    )  # fmt: skip


def flat_gradient(model):
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


def memory_gradients(model, domains):
    """The gradient on each whole memory, by an ordinary backward pass of a copy."""
    found = []
    for domain in domains:
        other = copy.deepcopy(model).eval()
        other.zero_grad()
        loss_of(other, rows_of(domain, 0, 6)).backward()
        found.append(flat_gradient(other))
    return torch.stack(found)


def interfering(frozen=False):
    """A model in training mode whose ``.grad`` would raise the loss on both memories."""
    model = tiny_model.build().train()
    if frozen:
        model.model.embed_tokens.weight.requires_grad_(False)
    loss_of(model, rows_of("task", 0, 6)).backward()
    memories = memory_gradients(model, ("english", "news"))
    start = 0
    for parameter in model.parameters():
        if parameter.requires_grad:
            part = memories.sum(0)[start : start + parameter.numel()].view(parameter.shape)
            parameter.grad.sub_(part)
            start += parameter.numel()
    assert (memories @ flat_gradient(model)).max() < 0
    return model, memories


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_gem_projects_the_gradient_of_a_model(margin, frozen):
    model, memories = interfering(frozen)
    gradient = flat_gradient(model)
    strategy = gem.GEM({"memory_rows": 6, "batch_rows": 6, "margin": margin})
    strategy.begin_task(context_of(model), ["english", "news"], 2)
    strategy.project(context_of(model), 1)
    found = flat_gradient(model)
    assert cosine_bound(found, gradient, memories) > -1e-5
    torch.testing.assert_close(
        found.double(), torch.tensor(by_nnls(gradient, memories, margin)), rtol=1e-3, atol=1e-4
    )
    measures = strategy.measures()
    assert measures["violated_constraints"] == 2
    assert measures["smallest_memory_cosine"] == pytest.approx(
        cosine_bound(gradient, gradient, memories), rel=1e-3
    )
    ratio = (found.norm() / gradient.norm()).item()
    assert measures["projected_norm_ratio"] == pytest.approx(ratio, rel=1e-4)
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)


def test_agem_is_gem_with_the_mean_of_the_memories():
    model, memories = interfering()
    gradient = flat_gradient(model)
    mean = memories.mean(0, keepdim=True)
    expected = projection.project_gem(gradient, mean, 0.0).gradient
    strategy = gem.AGEM({"memory_rows": 6, "batch_rows": 12})  # both memories, whole
    strategy.begin_task(context_of(model), ["english", "news"], 2)
    strategy.project(context_of(model), 1)
    found = flat_gradient(model)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
    assert cosine_bound(found, gradient, mean) > -1e-5
    assert strategy.measures()["violated_constraints"] == 1


@pytest.mark.parametrize("strategy", [gem.GEM(GEM_SETTINGS), gem.AGEM(AGEM_SETTINGS)])
def test_a_gradient_without_violation_is_bit_identical(strategy):
    """The gradient on the memory itself, and a first task with nothing before it."""
    model = tiny_model.build()
    loss_of(model, rows_of("english", 0, 6)).backward()
    before = flat_gradient(model)
    strategy.begin_task(context_of(model), [], 0)
    strategy.project(context_of(model), 1)
    assert torch.equal(flat_gradient(model), before)
    assert strategy.measures() == {}
    strategy.begin_task(context_of(model), ["english"], 1)
    strategy.project(context_of(model), 1)
    assert torch.equal(flat_gradient(model), before)
    assert strategy.measures()["violated_constraints"] == 0
    assert strategy.measures()["smallest_memory_cosine"] > 0


def test_a_parameter_without_gradient_takes_part():
    model, memories = interfering()
    model.model.norm.weight.grad = None
    strategy = gem.GEM({"memory_rows": 6, "batch_rows": 6, "margin": 0.5})
    strategy.begin_task(context_of(model), ["english", "news"], 2)
    strategy.project(context_of(model), 1)
    assert model.model.norm.weight.grad.abs().sum() > 0
    gradient = flat_gradient(model)
    assert cosine_bound(gradient, gradient, memories) > -1e-5


def test_projecting_draws_no_global_random_numbers_and_restores_modes():
    model, _ = interfering()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    strategy = gem.GEM(GEM_SETTINGS)
    strategy.begin_task(context_of(model), ["english"], 1)
    with torch.no_grad():  # as within an optimiser's step
        strategy.project(context_of(model), 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == modes
    assert strategy.measures()["violated_constraints"] == 1


def test_memory_gradients_are_averaged_over_devices_at_once():
    model, _ = interfering()
    shapes = []

    def reduce(tensor):
        shapes.append(tuple(tensor.shape))
        return -tensor

    strategy = gem.GEM(GEM_SETTINGS)
    strategy.begin_task(context_of(model), ["english", "news"], 2)
    strategy.project(context_of(model, reduce=reduce), 1)
    assert shapes == [(2, flat_gradient(model).numel())]
    assert strategy.measures()["violated_constraints"] == 0


def rows_asked(strategy, steps, seed=0, index=2, earlier=("english", "news")):
    """The rows that each step reads, as (domain, row)."""
    model = tiny_model.build()
    loss_of(model, rows_of("task", 0, 1)).backward()
    asked = []

    def rows(domain, first, count):
        asked.append((domain, first))
        assert count == 1
        return rows_of(domain, first, count)

    strategy.begin_task(context_of(model), earlier, index)
    found = []
    for step in steps:
        strategy.project(context_of(model, seed, rows), step)
        found.append(list(asked))
        asked.clear()
    return found


def test_gem_goes_round_each_memory():
    strategy = gem.GEM({**GEM_SETTINGS, "batch_rows": 2})
    steps = rows_asked(strategy, [1, 2, 3, 4])
    for domain in ("english", "news"):
        turns = [[row for name, row in step if name == domain] for step in steps]
        assert [len(turn) for turn in turns] == [2] * 4
        assert sorted(itertools.chain(*turns[:3])) == list(range(6))
        assert turns[3] == turns[0]


def test_agem_shares_its_rows_among_the_memories():
    steps = rows_asked(gem.AGEM(AGEM_SETTINGS), [1, 2, 3, 4])
    for step in steps:
        assert sorted(name for name, _ in step) == ["english"] * 2 + ["news"] * 2
    everything = sorted(itertools.chain(*steps[:3]))
    assert everything == [(name, row) for name in ("english", "news") for row in range(6)]
    assert steps[3] == steps[0]


@pytest.mark.parametrize("kind", [gem.GEM, gem.AGEM])
def test_rows_depend_on_seed_task_domain_and_step_alone(kind):
    def rows(**changes):
        return rows_asked(kind(GEM_SETTINGS), [3], **changes)

    assert rows() == rows_asked(kind(GEM_SETTINGS), [1, 2, 3])[-1:]  # a resumed run
    assert rows(seed=1) != rows()
    assert rows(index=3) != rows()
    first, second = (
        [row for name, row in rows()[0] if name == domain] for domain in ("english", "news")
    )
    assert first != second


@pytest.mark.parametrize(("kind", "key"), [(gem.GEM, "gem"), (gem.AGEM, "agem")])
def test_memories_that_do_not_fit_are_refused(kind, key):
    run = {"steps": 1, "global_batch_size": 6, "sequence": ["news", "novels"]}
    kind(GEM_SETTINGS).check({"english": 6}, run)
    with pytest.raises(UserError, match=rf"continual\.{key}\.memory_rows: 6 .* 'news'"):
        kind(GEM_SETTINGS).check({"english": 6, "news": 5}, run)
    with pytest.raises(UserError, match=rf"continual\.{key}\.batch_rows: 7 .* memory_rows 6"):
        kind({**GEM_SETTINGS, "batch_rows": 7}).check({"english": 9}, run | {"steps": 2})
