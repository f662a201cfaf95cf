"""What a run and an ablation may be told: lengths, batches, precision, devices, values.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jadapt.config import composition, entries, parallelism, runs
from jadapt.config.checking import short
from jadapt.config.origins import Origin
from jadapt.core.errors import UserError, nearest

# Keys of `training` by which the workflow gives a job its cores and devices.
OF_JOB = ("accelerator", "devices", "threads")
# Trainings of one process; the study of a thousand runs has three of each.
MOST_TRAININGS = 5000


def refuse_unknown(names: Iterable[str], known: Iterable[str], key: str, origin: Origin) -> None:
    """Refuse the first name that is not known."""
    known = list(known)
    for name in names:
        if name not in known:
            raise origin.refusal(key, f"unknown '{name}'{nearest(name, known)}")


def check_size(trainings: int, key: str, origin: Origin) -> None:
    """Refuse more trainings than one process can be meant to do."""
    if trainings > MOST_TRAININGS:
        raise origin.refusal(
            key,
            f"{trainings:,} trainings in one process are more than {MOST_TRAININGS:,}; "
            "name fewer values, rates or seeds",
        )


def check_ablation(name: str, ablation: dict, config: dict, models: dict, origin: Origin) -> None:
    """Check an ablation: its key, its values, and the run with each of them."""
    at, run, key = f"ablations.{name}", ablation["run"], ablation["key"]
    refuse_unknown([run], config["methods"], f"{at}.run", origin)
    if key in OF_JOB:
        raise origin.refusal(
            f"{at}.key",
            f"'{key}' says what a job is given, and all values of an ablation are one job; make a "
            "run of each value in `methods`",
        )
    if key in ("learning_rate", "seed", "method"):
        raise origin.refusal(
            f"{at}.key",
            f"'{key}' is not varied here: each value has a grid of rates and the ablation's own "
            f"seeds; list several rates in methods.{run}.learning_rate, or make runs of their own",
        )
    rates = ablation.get("learning_rate", runs.rates(config, run))
    count = len(rates) if isinstance(rates, list) else 1
    check_size(count * len(ablation["values"]) * len(ablation["seeds"]), at, origin)
    shown: dict[str, Any] = {}
    for index, value in enumerate(ablation["values"]):
        word = runs.variant_name(value)
        if word in shown:
            raise origin.refusal(
                f"{at}.values.{index}", f"{value!r} and {shown[word]!r} are both shown as '{word}'"
            )
        shown[word] = value
        try:
            varied = runs.varied_entry(config, ablation, value)
        except KeyError as error:
            raise origin.refusal(
                f"{at}.key",
                f"'{key}' names nothing in methods.{run} or training ({error.args[0]} is missing)",
            ) from None
        label = f"{at}: {short(value)}"
        where = Origin(f"{origin.of(f'{at}.values.{index}')}: {label}")
        entries.check_entry(run, varied, config, where)
        check_run(run, {**runs.run_settings(config, run), **varied}, config, models, where)


def check_run(name: str, run: dict, config: dict, models: dict, origin: Origin) -> None:
    """Check the resolved settings of a run."""
    key = "pretraining" if name == "base" else f"methods.{name}"
    own = config["pretraining"] if name == "base" else config["methods"][name]
    check_recipe(run, own, key, config["model"], models, origin)
    where = f"{origin.of(key)}: {key}"
    try:
        parallelism.check(run)
        composition.check_fast(run)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if run["accelerator"] == "cpu" and run["precision"] == "16-mixed":
        # Lightning would quietly compute in bfloat16 instead.
        raise UserError(
            f"{where}: precision 16-mixed needs a GPU; use 32-true or bf16-mixed on a CPU"
        )
    _check_fast(run, where)


def check_recipe(run: dict, own: dict, key: str, model: str, models: dict, origin: Origin) -> None:
    """Check lengths, batches and steps of a training, whatever it trains.

    ``own`` are the settings that stand at ``key`` itself; others of ``run`` stand in `training`.
    """
    where = f"{origin.of(key)}: {key}"
    longest = models[model].get("max_position_embeddings")
    if longest and run["sequence_length"] > longest:
        section = key if "sequence_length" in own else "training"
        raise origin.refusal(
            f"{section}.sequence_length",
            f"{run['sequence_length']} is above the {longest} positions of model '{model}' "
            "(max_position_embeddings)",
        )
    micro = run["micro_batch_size"] * run["devices"]
    if run["global_batch_size"] % micro:
        raise UserError(
            f"{where}: global_batch_size {run['global_batch_size']} is not a multiple of "
            f"micro_batch_size x devices = {micro}"
        )
    if run["warmup_steps"] >= run["steps"]:
        raise UserError(
            f"{where}: warmup_steps {run['warmup_steps']} leaves none of {run['steps']} steps"
        )


def _check_fast(run: dict, where: str) -> None:
    """Refuse what does not go together in ``training.fast``; `where` names file and method."""
    fast = run.get("fast", {})
    if run["precision"] == "16-mixed" and fast.get("fused_optimiser"):
        # It would unscale the gradients itself, after they were clipped.
        raise UserError(
            f"{where}: fast.fused_optimiser does not go with precision 16-mixed; "
            "set it to false or use bf16-mixed"
        )
    if run["precision"].endswith("mixed") and fast.get("fuse_projections"):
        # A product would have to cast its matrix anew in each of the passes.
        raise UserError(
            f"{where}: fast.fuse_projections does not go with precision {run['precision']}; "
            "set it to false or use bf16-true"
        )
    if fast.get("cuda_graphs") and run["accelerator"] == "cpu":
        raise UserError(f"{where}: fast.cuda_graphs needs a GPU; set it to false on a CPU")
