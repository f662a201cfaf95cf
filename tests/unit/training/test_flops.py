"""The formulas against operations that torch counts while a model runs."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

import tiny_model
from jadapt.methods import registry
from jadapt.training.flops import Shape, Work, matrix_weights, task_work, work

LENGTH, ROWS = 24, 3
TOKENS = LENGTH * ROWS


def shape_of(model, added=0, frozen=False):
    vectors = sum(p.numel() for p in model.parameters() if p.ndim == 1)
    config = model.config
    weights = matrix_weights(
        sum(p.numel() for p in model.parameters()) - added,
        vectors,
        model.get_input_embeddings().weight.numel(),
        config.tie_word_embeddings,
    )
    return Shape(weights, config.num_hidden_layers, config.hidden_size, LENGTH, added, frozen)


def eager(**changes):
    """A tiny model whose attention torch can count: in plain products."""
    model = tiny_model.build(**changes)
    model.config._attn_implementation = "eager"
    return model


def counted(model, backward=True):
    """Count the products of matrices in passes over the model."""
    inputs = torch.randint(3, tiny_model.VOCABULARY, (ROWS, LENGTH))
    with FlopCounterMode(display=False) as counter:
        logits = model(input_ids=inputs).logits
        if backward:
            cross_entropy(logits.flatten(0, 1), inputs.flatten()).backward()
    return counter.get_total_flops()


def left_out(shape, passes):
    """What the formula leaves out: the half of attention that causality hides, which torch counts,
    and the angles of the rotary positions, once a forward pass (half a head times the places)."""
    head = shape.width // tiny_model.SETTINGS["num_attention_heads"]
    return TOKENS * passes * shape.attention + head * LENGTH


@pytest.mark.parametrize("tied", [True, False])
def test_full_fine_tuning_takes_what_torch_counts(tied):
    model = eager(tie_word_embeddings=tied)
    shape = shape_of(model)
    assert counted(model, backward=False) == work(shape, TOKENS, backwards=0).flops + left_out(
        shape, 1
    )
    assert counted(model) == work(shape, TOKENS).flops + left_out(shape, 3)


def test_a_frozen_base_saves_its_own_gradients_alone():
    model = eager()
    before = sum(p.numel() for p in model.parameters())
    adapters = LoraConfig(r=2, target_modules=["q_proj", "v_proj", "down_proj"])
    model = get_peft_model(model, adapters)
    added = sum(p.numel() for p in model.parameters()) - before
    shape = shape_of(model, added, frozen=True)
    # Below the lowest adapters nothing is differentiated, which the formula counts: to the inputs
    # of the lowest layer's projections and of both factors A, and to the keys of its attention.
    config = model.config
    width = config.hidden_size
    key_value = width * config.num_key_value_heads // config.num_attention_heads
    lowest = 2 * TOKENS * (width * (width + 2 * key_value) + 2 * 2 * width + LENGTH * width)
    expected = work(shape, TOKENS).flops + left_out(shape, 3)
    assert counted(model) == expected - lowest
    assert lowest / expected < 0.1


def test_the_formulas_are_the_published_ones():
    full = Shape(1000, 3, 20, 50)
    assert work(full, 1).flops == 6 * 1000 + 12 * 3 * 20 * 50 / 2
    frozen = full._replace(frozen=True)
    assert work(frozen, 1).flops == 4 * 1000 + 12 * 3 * 20 * 50 / 2
    # Qwen2.5-0.5B with rows of 2,048 and attention in full: 3.49 and 2.50 GFLOPs a token.
    qwen = Shape(494_032_768 - 24 * 2 * 896 - 896 - 24 * 1152, 24, 896, 2048)
    for shape, published in ((qwen, 3.49e9), (qwen._replace(frozen=True), 2.50e9)):
        assert work(shape, 1).flops + 3 * shape.attention == pytest.approx(published, rel=0.003)


def test_strategies_add_the_passes_that_they_declare():
    shape = Shape(1000, 3, 20, 50)
    plain = task_work(shape, 10, 4, [])
    assert plain == work(shape, 2000)

    def more(noted=1, of=shape, **strategies):
        costs = [strategy.cost(2) for strategy in registry.create_strategies(strategies, "sft")]
        extra, without = (task_work(of, 10, 4, some, noted) for some in (costs, []))
        return Work(extra.tokens - without.tokens, extra.flops - without.flops)

    rows = {"memory_rows": 8, "batch_rows": 4}
    assert more(replay={"ratio": 0.25, "memory_rows": 9}, l2={"strength": 1.0}, joint={}) == (0, 0)
    assert more(wise={"share": 0.5}) == (0, 0)
    # For each of two domains before, or for all of them together.
    assert more(gem=rows | {"margin": 0.0}) == work(shape, 10 * 4 * 50 * 2)
    assert more(agem=rows) == plain
    assert more(lwf={"strength": 1.0, "temperature": 2.0}) == (2000, 2000 * shape.forward)
    fisher = {"rows": 64, "draws": 2, "fisher": "sampled", "strength": 1.0}
    assert more(ewc=fisher) == (3200, 3200 * (shape.forward + 2 * shape.backward))
    # The source domain is noted too, with the first task.
    assert more(ewc=fisher, noted=2) == (6400, 6400 * (shape.forward + 2 * shape.backward))
    assert more(noted=0, ewc=fisher) == (0, 0)
    online = fisher | {"fisher": "empirical", "decay": 0.9}
    assert more(online_ewc=online) == work(shape, 3200)
    # The Fisher is of all weights, also where the base is frozen.
    frozen = shape._replace(frozen=True, added=7)
    expected = 3200 * (2 * (4000 + 28 + 2 * shape.attention) + frozen.forward)
    assert more(of=frozen, ewc=fisher) == (3200, expected)
