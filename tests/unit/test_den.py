"""Dynamically expandable networks on a tiny model: laws of time stamps, growth and resumption."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

import tiny_model
from jadapt.errors import UserError
from jadapt.methods.den import DEN, LINEAR_LAYERS
from jadapt.methods.den_units import banks

SETTINGS = {
    "target_modules": list(LINEAR_LAYERS),
    "units": 2,
    "maximum_units": 4,
    "loss_threshold": 1.0,
    "selection_share": 0.25,
    "sparsity": 0.5,
    "group_sparsity": 0.02,
    "drift_threshold": 0.6,
    "expansion_interval": 4,
}
STEPS, RATE = 16, 1e-2
IDS = torch.tensor([[1, 5, 9, 13, 21], [2, 40, 7, 7, 30]])


def adapted(seed=0, **changes):
    model = tiny_model.build(seed)
    method = DEN({**SETTINGS, **changes})
    method.apply(model)
    return model, method


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def pattern(task):
    """Rows of random tokens that are the same at every step: something to learn by heart."""
    return torch.randint(
        3, tiny_model.VOCABULARY, (2, 13), generator=torch.Generator().manual_seed(task)
    )


def loss_on(model, task):
    rows = pattern(task)
    scores = model(input_ids=rows[:, :-1]).logits
    return functional.cross_entropy(scores.flatten(0, 1), rows[:, 1:].flatten())


def optimiser_of(model):
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(trained, lr=RATE, weight_decay=0.1)


def take_steps(model, method, optimiser, task, first, last):
    for step in range(first, last + 1):
        optimiser.zero_grad()
        loss_on(model, task).backward()
        optimiser.step()

        def validation_loss():
            with torch.no_grad():
                return loss_on(model, task).item()

        method.after_step(model, step, STEPS, RATE, validation_loss)


def train(model, method, task):
    method.begin_task(model, task)
    take_steps(model, method, optimiser_of(model), task, 1, STEPS)
    method.end_task(model, task)


@pytest.fixture(scope="module")
def sequence(tmp_path_factory):
    """A model after three tasks, with the logits at the end of each and the folders saved then."""
    model, method = adapted()
    torch.manual_seed(11)
    ends, folders = [logits(model)], [None]
    for task in (1, 2, 3):
        train(model, method, task)
        ends.append(logits(model))
        folders.append(tmp_path_factory.mktemp("task"))
        method.save(model, folders[-1])
    return model, method, ends, folders


# Time stamps


def test_every_task_computes_what_it_did_at_its_end(sequence):
    model, method, ends, _ = sequence
    assert torch.equal(ends[0], logits(tiny_model.build()))
    for index in (2, 0, 3, 1):
        method.for_task(model, index)
        assert torch.equal(logits(model), ends[index])
    method.for_task(model, None)
    assert torch.equal(logits(model), ends[3])
    for one, other in ((0, 1), (1, 2), (2, 3)):
        assert not torch.allclose(ends[one], ends[other], atol=1e-2)


def test_every_task_computes_what_it_did_after_saving_and_loading(sequence):
    _, method, ends, folders = sequence
    model, _ = adapted()
    for last in (2, 3):
        method.restore(model, folders[last])
        assert torch.equal(logits(model), ends[last])
        for index in range(last + 1):
            method.for_task(model, index)
            assert torch.equal(logits(model), ends[index])
        with pytest.raises(UserError, match=f"no task {last + 1} here; {last} tasks"):
            method.for_task(model, last + 1)


def test_earlier_tasks_are_exact_while_a_later_one_trains(sequence):
    _, method, ends, folders = sequence
    model, _ = adapted()
    method.restore(model, folders[2])
    method.begin_task(model, 3)
    take_steps(model, method, optimiser_of(model), 3, 1, 6)
    training = logits(model)
    method.for_task(model, 1)
    assert torch.equal(logits(model), ends[1])
    method.for_task(model, None)
    assert torch.equal(logits(model), training)


def test_units_carry_the_task_that_they_were_born_in(sequence):
    model, method, _, _ = sequence
    for _, bank in banks(model):
        assert set(bank.stamps.tolist()) <= {1, 2, 3}
        assert bank.stamps.tolist() == sorted(bank.stamps.tolist())
        for task in (1, 2, 3):
            assert not bank.task_gates[task - 1][bank.stamps > task].any()
    # Later tasks reuse units as they are, refuse some, and duplicate some.
    gates = torch.cat([bank.task_gates[1:, bank.stamps == 1].flatten() for _, bank in banks(model)])
    assert (gates == 0).any()
    assert (gates != 0).any()
    assert any((bank.stamps == 2).sum() > 4 for _, bank in banks(model))
    assert method.stored_count(model) == sum(b.a.numel() + b.b.numel() for _, b in banks(model))


def test_each_task_is_learned_and_the_base_never_changes(sequence):
    model, method, _, _ = sequence
    base = tiny_model.build()
    with torch.no_grad():
        for task in (1, 2, 3):
            method.for_task(model, task)
            assert loss_on(model, task) < 0.6 * loss_on(base, task)
    method.for_task(model, None)
    weights = model.state_dict()
    assert set(weights) == set(base.state_dict())
    assert all(torch.equal(weights[name], tensor) for name, tensor in base.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.parameters())


# Beginning and growth


def test_a_task_starts_from_the_model_of_the_one_before(sequence):
    _, method, ends, folders = sequence
    model, _ = adapted()
    method.begin_task(model, 1)
    assert torch.equal(logits(model), ends[0])
    method.restore(model, folders[2])
    method.begin_task(model, 3)
    torch.testing.assert_close(logits(model), ends[2], atol=1e-4, rtol=1e-4)
    names = {name.rpartition(".")[2] for name, p in model.named_parameters() if p.requires_grad}
    assert names == {"gate", "copy_a", "copy_b", "new_a", "new_b"}


def growth(model, method, task, losses, steps=20):
    """Run a task without training; return the steps that asked for the loss, and units by step."""
    method.begin_task(model, task)
    asked, active = [], []
    for step in range(1, steps + 1):
        method.after_step(
            model, step, steps, 0.0, lambda step=step: (asked.append(step), losses(step))[1]
        )
        active.append({bank.active for _, bank in banks(model)})
    assert all(len(numbers) == 1 for numbers in active)
    return asked, [numbers.pop() for numbers in active]


def test_growth_stops_at_the_maximum_and_asks_no_more():
    model, method = adapted(units=2, maximum_units=5)
    asked, active = growth(model, method, 1, lambda step: 9.0)
    assert asked == [4, 8]
    assert active == [2] * 3 + [4] * 4 + [5] * 13


def test_no_growth_at_or_below_the_threshold():
    model, method = adapted()
    asked, active = growth(model, method, 1, lambda step: 1.0)
    # Not after the last step: what is added there would never train.
    assert asked == [4, 8, 12, 16]
    assert active == [2] * 20


def test_a_later_task_selects_first_and_grows_only_if_that_does_not_do(sequence):
    _, method, _, folders = sequence
    model, _ = adapted()
    method.restore(model, folders[1])
    # A quarter of 20 steps selects; then the loss is asked for, and every fourth step after.
    asked, active = growth(model, method, 2, lambda step: 9.0 if step == 9 else 0.5)
    assert asked == [5, 9, 13, 17]
    assert active == [0] * 8 + [2] * 12


def test_growth_changes_no_logit(sequence):
    _, method, _, folders = sequence
    model, _ = adapted()
    method.restore(model, folders[2])
    method.begin_task(model, 3)
    take_steps(model, method, optimiser_of(model), 3, 1, 5)
    before, units = logits(model), {bank.active for _, bank in banks(model)}
    assert units == {2}
    for name, bank in banks(model):
        bank.grow(name, 2)
    torch.testing.assert_close(logits(model), before, atol=1e-5, rtol=1e-5)


# Checkpoints and files


@pytest.mark.parametrize(("task", "stop"), [(1, 6), (2, 2), (2, 9)])
def test_a_killed_task_goes_on_to_identical_weights(sequence, tmp_path, task, stop):
    _, method, _, folders = sequence

    def begun(global_seed):
        model, _ = adapted()
        # Whatever the process drew before must not matter.
        torch.manual_seed(global_seed)
        if task > 1:
            method.restore(model, folders[task - 1])
        method.begin_task(model, task)
        return model, optimiser_of(model)

    model, optimiser = begun(1)
    take_steps(model, method, optimiser, task, 1, stop)
    saved = copy.deepcopy((method.state(model), optimiser.state_dict()))
    assert all(isinstance(tensor, torch.Tensor) for tensor in saved[0].values())
    take_steps(model, method, optimiser, task, stop + 1, STEPS)
    method.end_task(model, task)
    method.save(model, tmp_path / "one")

    other, optimiser = begun(2)
    method.load_state(other, saved[0])
    optimiser.load_state_dict(saved[1])
    take_steps(other, method, optimiser, task, stop + 1, STEPS)
    method.end_task(other, task)
    method.save(other, tmp_path / "other")

    names = [path.name for path in sorted((tmp_path / "one").iterdir())]
    assert names == ["adapter.safetensors", "method.json"]
    for name in names:
        one, two = (tmp_path / folder / name for folder in ("one", "other"))
        assert one.read_bytes() == two.read_bytes()
    assert torch.equal(logits(other), logits(model))


def test_runs_of_different_seeds_draw_different_units():
    firsts = []
    for seed in (1, 2):
        model, method = adapted()
        torch.manual_seed(seed)
        method.begin_task(model, 1)
        firsts.append(next(bank for _, bank in banks(model)).new_a[:2].detach())
        layers = [bank.new_a[:2] for name, bank in banks(model) if name.endswith("q_proj")]
        assert not torch.equal(*layers)
    assert not torch.equal(*firsts)


def test_an_adapter_holds_units_only(sequence):
    model, method, _, folders = sequence
    tensors = load_file(folders[3] / "adapter.safetensors")
    assert {name.rpartition(".")[2] for name in tensors} == {
        "a", "b", "stamps", "task_gates", "trained", "seed",
    }  # fmt: skip
    found = [bank for _, bank in banks(model)]
    assert sum(tensor.numel() for tensor in tensors.values()) == (
        method.stored_count(model) + sum(4 * bank.count + 1 for bank in found) + 1
    )


def test_adapters_of_other_layers_or_sizes_are_refused(sequence, tmp_path):
    _, method, _, folders = sequence
    model, narrow = adapted(target_modules=["q_proj"])
    with pytest.raises(UserError, match="target layers are others"):
        method.restore(model, folders[1])
    narrow.save(model, tmp_path)
    wide, _ = adapted()
    with pytest.raises(UserError, match="target layers are others"):
        method.restore(wide, tmp_path)
    config = Qwen2Config(
        vocab_size=20, hidden_size=16, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    small = Qwen2ForCausalLM(config)
    method.apply(small)
    with pytest.raises(UserError, match="another size"):
        method.restore(small, folders[1])


# Sizes, architectures and mistakes


@pytest.mark.parametrize("units", [1, 4])
def test_counts_on_the_shape_of_qwen2_5_half_billion(units):
    config = Qwen2Config(
        vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
        num_attention_heads=14, num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config)
        method = DEN({**SETTINGS, "units": units, "maximum_units": 8})
        method.apply(model)
        method.begin_task(model, 1)
    assert method.trainable_count(model) == 549_888 * units
    capacity = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert capacity == 549_888 * 8


def test_the_count_of_a_finished_task_outlives_its_parameters(sequence):
    _, method, _, folders = sequence
    model, _ = adapted()
    method.restore(model, folders[1])
    size = sum(bank.unit_size for _, bank in banks(model))
    # The first task grew twice, to all four units a layer.
    assert method.trainable_count(model) == 4 * size
    method.begin_task(model, 2)
    layers = sum(bank.count for _, bank in banks(model))
    assert method.trainable_count(model) == layers + 4 * size


def test_other_architectures_need_nothing_else():
    config = LlamaConfig(
        vocab_size=tiny_model.VOCABULARY, hidden_size=16, intermediate_size=24,
        num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    method = DEN(SETTINGS)
    before = logits(model)
    method.apply(model)
    assert torch.equal(logits(model), before)
    train(model, method, 1)
    assert not torch.allclose(logits(model), before, atol=1e-3)
    method.for_task(model, 0)
    assert torch.equal(logits(model), before)


def test_nemo_applies_the_same_banks():
    from nemo.collections.llm.fn import walk

    model = tiny_model.build()
    transformed = walk(model, DEN(SETTINGS).transform().transform)
    expected, method = adapted()
    assert [name for name, _ in banks(transformed)] == [name for name, _ in banks(expected)]
    assert len(dict(banks(transformed))) == 14
    method.begin_task(transformed, 1)
    assert torch.equal(logits(transformed), logits(tiny_model.build()))


def test_mistakes_are_named():
    shape = tiny_model.build().config
    DEN(SETTINGS).check(shape)
    with pytest.raises(UserError, match=r"^units: 5 is more than maximum_units 4"):
        DEN({**SETTINGS, "units": 5}).check(shape)
    with pytest.raises(UserError, match=r"unknown layer 'q_prj'; did you mean 'q_proj'\?"):
        DEN({**SETTINGS, "target_modules": ["q_prj"]}).check(shape)
    with pytest.raises(UserError, match="has none of these layers"):
        DEN(SETTINGS).begin_task(tiny_model.build(), 1)
    model, method = adapted()
    with pytest.raises(UserError, match="0 tasks are finished, so the next is not task 2"):
        method.begin_task(model, 2)
