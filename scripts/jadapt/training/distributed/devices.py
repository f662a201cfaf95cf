"""Check that a job has the devices its configuration assumes; with fewer, results would differ."""

from __future__ import annotations

import os

import torch

from jadapt.core.errors import UserError


def check_devices(settings: dict) -> None:
    """Compare the GPUs that this job sees with those that the run is configured for.

    A cluster, or Snakemake's own ``--resources gpu=1``, may give a job fewer than its rule asks.

    Raises:
        UserError: there are fewer GPUs than ``devices``.
    """
    if settings["accelerator"] != "gpu":
        return
    seen = torch.cuda.device_count()
    if seen < settings["devices"]:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        raise UserError(
            f"training.devices is {settings['devices']}, but this job sees {seen} "
            f"GPU{'' if seen == 1 else 's'}"
            f"{'' if visible is None else f' (CUDA_VISIBLE_DEVICES={visible})'}; look for a cap "
            "such as --resources gpu=1 and at the partition of this stage in "
            "profiles/slurm/local.yaml, or change training.devices and accelerator in the study"
        )


def check_batch(settings: dict, world_size: int, accumulation: int) -> None:
    """Compare the rows of an optimiser step with the study's ``global_batch_size``.

    Args:
        settings: the run's settings.
        world_size: number of processes that the trainer works with.
        accumulation: micro-batches that each of them accumulates per step.

    Raises:
        UserError: they differ.
    """
    rows = world_size * accumulation * settings["micro_batch_size"]
    if world_size != settings["devices"] or rows != settings["global_batch_size"]:
        raise UserError(
            f"training.global_batch_size is {settings['global_batch_size']} on "
            f"{settings['devices']} devices, but this job would take {rows} rows a step on "
            f"{world_size}; start it as one process, which starts those of the other devices"
        )
