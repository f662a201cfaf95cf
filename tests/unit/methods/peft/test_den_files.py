"""Dynamically expandable networks: resumption, files, sizes, other architectures, mistakes."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

import tiny_model
from den_example import SETTINGS, STEPS, adapted, logits, optimiser_of, take_steps, train
from jadapt.core.errors import UserError
from jadapt.methods.peft.den import DEN
from jadapt.methods.peft.den_units import banks

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
    with pytest.raises(UserError, match=r"unknown value 'q_prj'; did you mean 'q_proj'\?"):
        DEN({**SETTINGS, "target_modules": ["q_prj"]}).check(shape)
    with pytest.raises(UserError, match="has none of these layers"):
        DEN(SETTINGS).begin_task(tiny_model.build(), 1)
    model, method = adapted()
    with pytest.raises(UserError, match="0 tasks are finished, so the next is not task 2"):
        method.begin_task(model, 2)
