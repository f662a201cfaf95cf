"""What evaluation reads: every kind of folder that a run leaves behind."""

import json

import pytest
import torch

import tiny_model
from adapting import ALL_LINEAR, applied, assert_close, logits, randomise
from jadapt.core.errors import UserError
from jadapt.methods.loading import load
from jadapt.methods.peft.dora import DoRA
from jadapt.methods.peft.houlsby import Houlsby
from jadapt.methods.peft.lora import LoRA
from jadapt.methods.peft.prefix import Prefix

LOW_RANK = {"rank": 4, "alpha": 8, "dropout": 0.1, "target_modules": ALL_LINEAR}
BOTTLENECK = {"bottleneck": 5, "activation": "silu", "init_std": 0.01}
METHODS = [
    pytest.param(LoRA({**LOW_RANK, "a_init": "kaiming"}), id="lora"),
    pytest.param(DoRA(LOW_RANK), id="dora"),
    pytest.param(Houlsby({**BOTTLENECK, "train_norms": True}), id="houlsby"),
    pytest.param(Prefix({"length": 3, "init_std": 0.5}), id="prefix"),
    pytest.param(
        Prefix({"length": 3, "init_std": 0.5, "reparameterisation": 6}), id="prefix by an MLP"
    ),
]


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_saves_is_loaded_with_the_same_logits(tmp_path, method):
    base = _save_base(tmp_path / "base")
    model = randomise(applied(method))
    method.save(model, tmp_path / "adapter")
    loaded, found = load(tmp_path / "adapter", base)
    if isinstance(method, LoRA):
        # PEFT adds the change to the weights, in another order of sums.
        assert found is None
        assert_close(logits(loaded), logits(model))
    else:
        assert type(found) is type(method)
        assert found.settings == method.settings
        assert torch.equal(logits(loaded), logits(model))
    assert (logits(model) - logits(tiny_model.build())).abs().max() > 1e-3
    _assert_ready(loaded)


def test_a_whole_checkpoint_needs_no_base(tmp_path):
    model, method = load(_save_base(tmp_path / "model"), tmp_path / "none")
    assert method is None
    assert torch.equal(logits(model), logits(tiny_model.build()))
    _assert_ready(model)


def _save_base(directory):
    """A base model as others publish theirs: with the cache that hides the packing mask."""
    tiny_model.save(directory)
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "use_cache": True}))
    return directory


def _assert_ready(model):
    assert not any(module.training for module in model.modules())
    assert not model.config.use_cache
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="no model here"):
        load(tmp_path, tmp_path)


def test_an_adapter_of_an_unknown_method_is_named(tmp_path):
    (tmp_path / "method.json").write_text(json.dumps({"method": "houlsbi", "settings": {}}))
    with pytest.raises(UserError, match=r"unknown method 'houlsbi'; did you mean 'houlsby'\?"):
        load(tmp_path, tmp_path)


def test_an_adapter_is_not_read_by_another_method(tmp_path):
    method = Prefix({"length": 3, "init_std": 0.5})
    method.save(applied(method), tmp_path)
    other = Houlsby({**BOTTLENECK, "train_norms": False})
    with pytest.raises(UserError, match="an adapter of 'prefix', not of 'houlsby'"):
        other.restore(applied(other), tmp_path)
