"""Prefix tuning against the `peft` package, against arithmetic and against its symmetries."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_model
from adapting import (
    IDS,
    applied,
    assert_close,
    assert_trains_exactly_its_parameters,
    count,
    largest_difference,
    logits,
    qwen2_5_half_billion,
    randomise,
    tiny_llama,
    transformed,
)
from jadapt.core.errors import UserError
from jadapt.methods.parameters import trainable_state
from jadapt.methods.peft.prefix import Prefix

FLAT = {"length": 3, "init_std": 0.02}
MLP = {**FLAT, "reparameterisation": 10}
FORMS = [pytest.param(FLAT, id="flat"), pytest.param(MLP, id="mlp")]
BUILDS = [tiny_model.build, tiny_llama]
DOCUMENTS = (5, 1, 9, 3)


def prefixed(values=FLAT, build=tiny_model.build, adapt=applied, scale=0.5):
    return randomise(adapt(Prefix(values), build()), scale)


def packed_and_alone(model):
    """Logits of documents in one row, and of each by itself, both (tokens, vocabulary)."""
    generator = torch.Generator().manual_seed(0)
    documents = [torch.randint(4, 61, (size,), generator=generator) for size in DOCUMENTS]
    positions = torch.cat([torch.arange(size) for size in DOCUMENTS])
    together = logits(model, input_ids=torch.cat(documents)[None], position_ids=positions[None])
    alone = [logits(model, input_ids=document[None])[0] for document in documents]
    return together[0], torch.cat(alone)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("values", FORMS)
def test_packed_documents_see_the_prefix_and_not_each_other(values, build):
    model = prefixed(values, build)
    together, alone = packed_and_alone(model)
    assert_close(together, alone)
    without, _ = packed_and_alone(build())
    # Every token's logits move: every query sees the prefix.
    assert (together - without).abs().amax(dim=1).min() > 1e-3


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("form", [None, 10])
def test_the_logits_are_those_of_peft_where_positions_start_at_n(build, form):
    from peft import PrefixTuningConfig, get_peft_model

    length = 3
    configuration = PrefixTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=length,
        prefix_projection=form is not None, encoder_hidden_size=form,
    )  # fmt: skip
    theirs = randomise(get_peft_model(build(), configuration), scale=0.5).eval()
    model = applied(Prefix({**FLAT, "reparameterisation": form}), build())
    _take_over(model, theirs.prompt_encoder["default"])
    expected = logits(theirs)
    later = torch.arange(length, length + IDS.shape[1]).expand_as(IDS)
    assert_close(logits(model, position_ids=later), expected)
    # The offset is not idle: at positions from 0 on the queries meet the prefix otherwise.
    assert largest_difference(logits(model), expected) > 1e-3


@torch.no_grad()
def _take_over(model, encoder):
    if encoder.prefix_projection:
        own = model.model.prefix_encoder
        own.embedding.copy_(encoder.embedding.weight)
        own.hidden.load_state_dict(encoder.transform[0].state_dict())
        own.output.load_state_dict(encoder.transform[2].state_dict())
        return
    pairs = encoder.embedding.weight.view(3, 2, 2, 2, 8)  # n, layers, pair, heads, size
    for index, layer in enumerate(model.model.layers):
        layer.self_attn.prefix.keys.copy_(pairs[:, index, 0])
        layer.self_attn.prefix.values.copy_(pairs[:, index, 1])


@pytest.mark.parametrize("values", FORMS)
def test_a_start_at_zero_damps_each_head_by_a_known_factor(values):
    """Z / (Z + n), Z the sum of exp(scores): seen at the first layer, whose input is the same."""
    plain, model = tiny_model.build(), applied(Prefix({**values, "init_std": 0.0}))
    outputs = {}
    for name, each in (("plain", plain), ("prefixed", model)):
        each.model.layers[0].self_attn.o_proj.register_forward_pre_hook(
            lambda module, inputs, name=name: outputs.update({name: inputs[0]})
        )
        logits(each)
    scores = _scores(plain.model, IDS)
    total = scores.exp().sum(-1)  # (B, heads, T)
    factor = (total / (total + 3)).transpose(1, 2).repeat_interleave(8, dim=-1)
    assert_close(outputs["prefixed"], outputs["plain"] * factor)
    assert factor.max() < 1


@torch.no_grad()
def _scores(body, ids):
    """Scores of the first layer by hand, -inf where a query does not see."""
    attention = body.layers[0].self_attn
    hidden = body.layers[0].input_layernorm(body.embed_tokens(ids))
    split = (*ids.shape, -1, 8)
    queries = attention.q_proj(hidden).view(split).transpose(1, 2)
    keys = attention.k_proj(hidden).view(split).transpose(1, 2).repeat_interleave(2, dim=1)
    cos, sin = body.rotary_emb(hidden, torch.arange(ids.shape[1])[None])

    def rotated(x):
        return x * cos + torch.cat([-x[..., 4:], x[..., :4]], -1) * sin

    scores = rotated(queries) @ rotated(keys).transpose(2, 3) / 8**0.5
    later = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).triu(1)
    return scores.masked_fill(later, float("-inf"))


@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(3)))
def test_the_order_of_the_prefix_does_not_matter(order):
    model = prefixed()
    before = logits(model)
    with torch.no_grad():
        for layer in model.model.layers:
            prefix = layer.self_attn.prefix
            prefix.keys.copy_(prefix.keys[list(order)])
            prefix.values.copy_(prefix.values[list(order)])
    assert_close(logits(model), before)


@pytest.mark.parametrize("values", FORMS)
def test_all_forms_of_the_causal_mask_agree(values):
    """A 2-d mask lets transformers pass None, a 4-d one is handed on, boolean or additive."""
    model = prefixed(values)
    expected = logits(model)
    size = IDS.shape[1]
    sees = torch.ones(size, size, dtype=torch.bool).tril()[None, None]
    added = torch.zeros(1, 1, size, size).masked_fill(~sees, torch.finfo(torch.float32).min)
    for mask in (torch.ones_like(IDS), sees, sees.expand(2, 1, -1, -1), added):
        assert_close(logits(model, attention_mask=mask), expected)


def test_padding_is_not_seen():
    model = prefixed()
    mask = torch.ones_like(IDS)
    mask[:, 5:] = 0
    changed = IDS.clone()
    changed[:, 5:] = 7
    seen = logits(model, attention_mask=mask)[:, :5]
    assert_close(logits(model, input_ids=changed, attention_mask=mask)[:, :5], seen)


@pytest.mark.parametrize("values", FORMS)
def test_generation_with_a_cache_gives_the_same_tokens(values):
    model = prefixed(values)
    start = IDS[:1, :3]
    arguments = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    cached = model.generate(start, use_cache=True, **arguments)
    assert torch.equal(cached, model.generate(start, use_cache=False, **arguments))


@pytest.mark.parametrize("adapt", [applied, transformed])
@pytest.mark.parametrize("values", FORMS)
@pytest.mark.parametrize("build", BUILDS)
def test_what_trains_are_the_prefixes(values, build, adapt):
    model = adapt(Prefix(values), build())
    names = trainable_state(model)
    if values is FLAT:
        assert set(names) == {
            f"model.layers.{layer}.self_attn.prefix.{what}"
            for layer in (0, 1)
            for what in ("keys", "values")
        }
        assert {tuple(tensor.shape) for tensor in names.values()} == {(3, 2, 8)}
    else:
        assert all(name.startswith("model.prefix_encoder.") for name in names)
    assert_trains_exactly_its_parameters(model)


@pytest.mark.parametrize("values", FORMS)
def test_the_scale_of_the_start(values):
    torch.manual_seed(0)
    model = applied(Prefix({**values, "length": 500, "init_std": 0.3}))
    logits(model)
    prefix = model.model.layers[1].self_attn.prefix
    for drawn in (prefix.keys, prefix.values):
        assert 0.1 < drawn.std() < 0.33
        assert drawn.mean().abs() < 0.05 if values is FLAT else True


@pytest.mark.parametrize("values", FORMS)
def test_the_prefix_reads_back(tmp_path, values):
    method = Prefix(values)
    model = prefixed(values, adapt=transformed)
    method.save(model, tmp_path)
    again = applied(method)
    assert not torch.equal(logits(again), logits(model))
    method.restore(again, tmp_path)
    assert torch.equal(logits(again), logits(model))


@pytest.mark.parametrize("values", FORMS)
def test_a_copy_of_a_model_in_training_stands_on_its_own(values):
    model = prefixed(values)
    model(input_ids=IDS).logits.sum().backward()
    copied = copy.deepcopy(model)
    before = logits(model)
    assert torch.equal(logits(copied), before)
    randomise(copied, seed=9)
    assert not torch.equal(logits(copied), before)
    assert torch.equal(logits(model), before)


@pytest.mark.parametrize("values", FORMS)
def test_mixed_precision_stays_near_full_precision(values):
    model = prefixed(values, scale=0.1)
    full = logits(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = logits(model)
    assert 0 < largest_difference(half, full) < 0.2 * full.abs().max()


def test_gradients_under_mixed_precision_reach_the_prefixes():
    model = prefixed(MLP)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(input_ids=IDS).logits.float().logsumexp(-1).sum()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == ("prefix" in name)
        assert parameter.grad is None or parameter.grad.isfinite().all()


def test_two_models_with_prefixes_of_different_length_live_side_by_side():
    short, long = prefixed(), prefixed({**FLAT, "length": 7})
    plain = tiny_model.build()
    first, bare = logits(short), logits(plain)
    logits(long)
    assert torch.equal(logits(short), first)
    assert torch.equal(logits(plain), bare)
    assert plain.config._attn_implementation == "sdpa"


def test_another_attention_is_refused():
    model = tiny_model.build()
    model.config._attn_implementation = "eager"
    with pytest.raises(UserError, match="attn_implementation is 'eager'; load the model with"):
        Prefix(FLAT).apply(model)


@pytest.mark.parametrize(
    ("length", "form", "expected"),
    [(20, None, 122_880), (100, None, 614_400), (20, 512, 3_220_480)],
)
def test_counts_on_the_shape_of_qwen2_5_half_billion(length, form, expected):
    method = Prefix({"length": length, "reparameterisation": form, "init_std": 0.02})
    assert count(applied(method, qwen2_5_half_billion())) == expected
