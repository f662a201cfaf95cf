"""A job that got less than its configuration counts on ends with a message, not with a result."""

import pytest
import torch

from jadapt.core.errors import UserError
from jadapt.training.distributed.devices import check_batch, check_devices

SETTINGS = {"accelerator": "gpu", "devices": 2, "global_batch_size": 16, "micro_batch_size": 4}


@pytest.mark.parametrize(
    ("visible", "words"), [(0, "0 GPUs"), (1, "1 GPU (CUDA_VISIBLE_DEVICES=3)")]
)
def test_fewer_gpus_than_configured_are_an_error(monkeypatch, visible, words):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: visible)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(UserError, match="devices is 2") as error:
        check_devices(SETTINGS)
    assert words in str(error.value)
    assert "local.yaml" in str(error.value)


def test_as_many_or_none_needed_is_fine(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_devices(SETTINGS)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    check_devices({**SETTINGS, "accelerator": "cpu"})


def test_the_rows_of_a_step_are_those_of_the_study():
    check_batch(SETTINGS, world_size=2, accumulation=2)
    for world_size, accumulation in ((1, 2), (1, 4), (4, 1), (2, 1)):
        with pytest.raises(UserError, match="global_batch_size is 16 on 2 devices"):
            check_batch(SETTINGS, world_size, accumulation)
