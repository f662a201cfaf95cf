"""Tokens and operations of a run, from the model and what its strategies declare."""

import pytest

import tiny_model
from adapting import ALL_LINEAR, applied
from jadapt.methods import registry
from jadapt.methods.peft.lora import LoRA
from jadapt.training.accounting import shape_of, task_processed
from jadapt.training.flops import work

RUN = {"steps": 12, "global_batch_size": 4, "sequence": ["first", "second"]}


@pytest.fixture
def base(tmp_path):
    return tiny_model.save(tmp_path / "base")


def test_the_shape_tells_what_was_added_from_what_was_there(base):
    plain = tiny_model.build()
    full = shape_of(plain, base, 16)
    matrices = sum(p.numel() for p in plain.parameters() if p.ndim == 2)
    assert (full.weights, full.added, full.frozen) == (matrices, 0, False)
    assert (full.layers, full.width, full.sequence_length) == (2, 32, 16)
    settings = {
        "rank": 2, "alpha": 2, "dropout": 0.0, "target_modules": ALL_LINEAR, "a_init": "kaiming",
    }  # fmt: skip
    model = applied(LoRA(settings))
    adapted = shape_of(model, base, 16)
    added = sum(p.numel() for n, p in model.named_parameters() if ".lora_" in n)
    assert (adapted.weights, adapted.added, adapted.frozen) == (matrices, added, True)


def test_a_run_counts_the_passes_of_its_strategies(base):
    shape = shape_of(tiny_model.build(), base, 16)
    tokens = 12 * 4 * 16

    def processed(place, **strategies):
        made = registry.create_strategies(strategies, "sft")
        return task_processed(shape, RUN, made, place)

    assert processed(0) == processed(1) == work(shape, tokens)
    gem = {"memory_rows": 8, "batch_rows": 2, "margin": 0.0}
    # One memory in the first task, two in the second.
    assert [processed(place, gem=gem).tokens for place in (0, 1)] == [1.5 * tokens, 2 * tokens]
    lwf = {"strength": 1.0, "temperature": 1.0}
    assert processed(1, lwf=lwf).tokens == 2 * tokens
    fisher = {"strength": 1.0, "fisher": "sampled", "rows": 64, "draws": 1}
    # Of the source domain and of the first task; of the last nothing is noted.
    assert processed(0, ewc=fisher).tokens == tokens + 2 * 64 * 16
    assert processed(1, ewc=fisher) == processed(1)
