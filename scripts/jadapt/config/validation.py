"""The configuration: checked before anything runs, and resolved into what each rule needs.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from jadapt.config import parallelism, runs
from jadapt.config.yaml_files import check, read_schema
from jadapt.core.errors import UserError, nearest

# Keys of `training` by which the workflow gives a job its cores and devices.
OF_JOB = ("accelerator", "devices", "threads")


def validate(config: dict, catalogue: dict, models: dict, origin: str) -> dict:
    """Check a study against its schema, the catalogue of corpora and the list of models.

    Args:
        config: the study's configuration; keys that belong to nobody are refused by name.
        catalogue: the content of ``config/corpora.yaml``.
        models: the content of ``config/models.yaml``.
        origin: the file or files that the study was read from, for messages.

    Returns:
        ``config`` itself, with the environment's mirror filled in.
    """
    check(catalogue, read_schema("corpora"), "config/corpora.yaml")
    check(models, read_schema("models"), "config/models.yaml")
    schema = read_schema("study")
    check(config, schema, origin)
    _check_names(config, catalogue, models, origin)
    training = schema["properties"]["training"]["properties"]
    for name, entry in config["methods"].items():
        _check_method(name, entry, training, origin)
        if entry["method"] == "den" and not config["evaluation"]["task_ids"]:
            raise UserError(
                f"{origin}: methods.{name}: 'den' keeps units by task and cannot be evaluated "
                "without evaluation.task_ids: true"
            )
    for key, plain in (("normalisation", "none"), ("raw", False)):
        # Evaluation divides by the bytes that the tokens spell.
        if config["tokenizer"].get(key, plain) != plain:
            raise UserError(
                f"{origin}: tokenizer.{key}: only tokenizers of tokenization.tokenizers may have "
                "it; the study's own text is normalised by `cleaning` in config/corpora.yaml"
            )
    if config["tokenization"]:
        _check_tokenization(config["tokenization"], config, models, training, origin)
    for name in ("base", *config["methods"]):
        _check_run(name, runs.run_settings(config, name), config, models, origin)
    _check_ablations(config, training, models, origin)
    config.setdefault("results", "recompute")
    # An empty variable means the same as none.
    config["mirror"] = os.environ.get("JADAPT_MIRROR") or config.get("mirror")
    return config


def export(config: dict, results: str) -> None:
    """Set what jobs find in their environment: settings that decide no result.

    As parameters of a rule they would train everything again when they change.
    """
    if config.get("mirror"):
        os.environ["JADAPT_MIRROR"] = config["mirror"]
    if config.get("tensorboard"):
        os.environ["JADAPT_TENSORBOARD"] = f"{results}/tensorboard"


def _known(names: Iterable[str], known: Iterable[str], key: str, origin: str) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise UserError(f"{origin}: {key}: unknown '{name}'{nearest(name, known)}")


def _check_base(config: dict, model: dict, origin: str) -> None:
    """Check that a study says how its base model is trained, or that it is trained already."""
    if not runs.is_pretrained(model):
        if "learning_rate" not in config["pretraining"]:
            raise UserError(f"{origin}: missing key 'pretraining.learning_rate'")
        return
    surplus = sorted(set(config["pretraining"]) - {"domain", "seed"})
    if surplus:
        raise UserError(
            f"{origin}: pretraining.{surplus[0]}: '{config['model']}' is trained already; "
            "remove the key (domain names the language it knows)"
        )
    if config["model"] not in runs.pretrained_models(config["tokenizer"]):
        raise UserError(
            f"{origin}: tokenizer: '{config['model']}' needs its own vocabulary; use "
            f"{{kind: pretrained, model: {config['model']}}}, or extended with that as base"
        )


def _check_names(config: dict, catalogue: dict, models: dict, origin: str) -> None:
    _known([config["model"]], models["models"], "model", origin)
    _check_base(config, models["models"][config["model"]], origin)
    for name, domain in catalogue["domains"].items():
        _known(
            domain["sources"],
            catalogue["sources"],
            f"domains.{name}.sources",
            "config/corpora.yaml",
        )
        for source in domain["sources"]:
            if not {"extract", "path"} & set(catalogue["sources"][source]):
                raise UserError(
                    f"config/corpora.yaml: domains.{name}.sources: '{source}' has no 'extract', so "
                    "no documents can be read from it"
                )
    domains = config["corpora"]["domains"]
    _known(domains, catalogue["domains"], "corpora.domains", origin)
    for key in ("sequence", "evaluation.domains", "pretraining.domain"):
        value: Any = config
        for part in key.split("."):
            value = value[part]
        _known([value] if isinstance(value, str) else value, domains, key, origin)
    _known(runs.base_domains(config)[1:], domains, "pretraining.trace.domain", origin)
    learned = [
        *runs.tokenizer_domains(config["tokenizer"]),
        *(config["tokenization"] or {"domains": []})["domains"],
    ]
    _known(learned, domains, "tokenizer.domains", origin)
    for name in [*config["sequence"], *learned, *runs.base_domains(config)]:
        if catalogue["domains"][name].get("optional"):
            raise UserError(
                f"{origin}: domain '{name}' is optional and may be missing, so nothing can be "
                "trained on it; remove `optional` from it in config/corpora.yaml"
            )
    _check_segmentation(config, catalogue, origin)
    _known(
        config["corpora"].get("maximum_documents", {}), domains, "corpora.maximum_documents", origin
    )


def _check_segmentation(config: dict, catalogue: dict, origin: str) -> None:
    """Check the names that segmentation uses: gold words, their sources, the study's domains."""
    known = catalogue.get("gold", {})
    for name, gold in known.items():
        sources = [split["source"] for split in gold["splits"].values()]
        _known(sources, catalogue["sources"], f"gold.{name}", "config/corpora.yaml")
    section = config.get("segmentation")
    if section is None:
        return
    _known(filter(None, [section["gold"]]), known, "segmentation.gold", origin)
    key = "segmentation.fallback.domains"
    names = section["fallback"]["domains"]
    _known(names, config["corpora"]["domains"], key, origin)
    for name in names:
        domain = catalogue["domains"][name]
        if domain["language"] != "ja" or domain.get("optional"):
            raise UserError(
                f"{origin}: {key}: '{name}' is not Japanese, or optional and may be missing; "
                "name domains that are neither"
            )


def _check_method(name: str, entry: dict, training: dict, origin: str) -> None:
    """Check one entry of ``methods``: the method's keys, those of `training`, the strategies."""
    schema = read_schema("methods")
    methods, strategies = schema["$defs"], schema["strategies"]
    at = f"methods.{name}."
    if "method" not in entry:
        raise UserError(f"{origin}: missing key '{at}method'{nearest('', methods)}")
    _known([entry["method"]], methods, f"{at}method", origin)
    own = methods[entry["method"]]
    rate = {"type": "number", "exclusiveMinimum": 0}
    grid = {"type": "array", "items": rate, "minItems": 2, "uniqueItems": True}
    properties = {
        "method": {"type": "string"},
        "learning_rate": grid if isinstance(entry.get("learning_rate"), list) else rate,
        "continual": {"type": "object"},
        **training,
        **own["properties"],
    }
    check(
        entry,
        {
            "type": "object",
            "properties": properties,
            "required": ["method", "learning_rate", *own.get("required", [])],
            "additionalProperties": False,
        },
        origin,
        at,
    )
    for strategy, keys in entry.get("continual", {}).items():
        _known([strategy], strategies, f"{at}continual", origin)
        known = strategies[strategy]
        if entry["method"] not in known["composes_with"]:
            raise UserError(
                f"{origin}: {at}continual: '{strategy}' is not defined for method "
                f"'{entry['method']}'; it composes with {', '.join(known['composes_with'])}"
            )
        rules = {key: known[key] for key in ("properties", "required")}
        check(
            keys,
            {"type": "object", "additionalProperties": False, **rules},
            origin,
            f"{at}continual.{strategy}.",
        )


def _check_ablations(config: dict, training: dict, models: dict, origin: str) -> None:
    for name, ablation in config["ablations"].items():
        at, run, key = f"ablations.{name}", ablation["run"], ablation["key"]
        _known([run], config["methods"], f"{at}.run", origin)
        if key in OF_JOB:
            raise UserError(
                f"{origin}: {at}.key: '{key}' says what a job is given, and all values of an "
                "ablation are one job; make a run of each value in `methods`"
            )
        for value in ablation["values"]:
            try:
                varied = runs.varied_entry(config, ablation, value)
            except KeyError as error:
                raise UserError(
                    f"{origin}: {at}.key: '{key}' names nothing in methods.{run} or training "
                    f"({error.args[0]} is missing)"
                ) from None
            where = f"{origin}: {at}: {value!r}"
            _check_method(run, varied, training, where)
            _check_run(run, {**runs.run_settings(config, run), **varied}, config, models, where)


def _check_tokenization(
    study: dict, config: dict, models: dict, training: dict, origin: str
) -> None:
    at = "tokenization."
    known = {name: entry for name, entry in models["models"].items() if entry["kind"] == "scratch"}
    _known([study["model"]], known, f"{at}model", origin)
    for name, entry in study["tokenizers"].items():
        names = runs.tokenizer_domains(entry)
        _known(names, config["corpora"]["domains"], f"{at}tokenizers.{name}.domains", origin)
        _known(runs.pretrained_models(entry), models["models"], f"{at}tokenizers.{name}", origin)
    properties = {"learning_rate": {"type": "number", "exclusiveMinimum": 0}, **training}
    rules = {"type": "object", "properties": properties, "additionalProperties": False}
    check(study["training"], {**rules, "required": ["learning_rate"]}, origin, f"{at}training.")
    grid = study["regularisation"]
    if grid:
        _known([grid["tokenizer"]], study["tokenizers"], f"{at}regularisation.tokenizer", origin)
        if runs.pretrained_models(study["tokenizers"][grid["tokenizer"]]):
            raise UserError(
                f"{origin}: {at}regularisation.tokenizer: '{grid['tokenizer']}' cannot sample with "
                "a seed; name one of kind sentencepiece"
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


def _check_run(name: str, run: dict, config: dict, models: dict, origin: str) -> None:
    model = models["models"][config["model"]]
    key = "pretraining" if name == "base" else f"methods.{name}"
    longest = model.get("max_position_embeddings")
    if longest and run["sequence_length"] > longest:
        raise UserError(
            f"{origin}: training.sequence_length: {run['sequence_length']} is above the "
            f"{longest} positions of model '{config['model']}' (max_position_embeddings)"
        )
    micro = run["micro_batch_size"] * run["devices"]
    if run["global_batch_size"] % micro:
        raise UserError(
            f"{origin}: {key}: global_batch_size {run['global_batch_size']} is not a multiple of "
            f"micro_batch_size x devices = {micro}"
        )
    try:
        parallelism.check(run)
    except UserError as error:
        raise UserError(f"{origin}: {key}: {error}") from None
    if run["accelerator"] == "cpu" and run["precision"] == "16-mixed":
        # Lightning would quietly compute in bfloat16 instead.
        raise UserError(
            f"{origin}: {key}: precision 16-mixed needs a GPU; use 32-true or bf16-mixed on a CPU"
        )
    _check_fast(run, f"{origin}: {key}")
    if run["warmup_steps"] >= run["steps"]:
        raise UserError(
            f"{origin}: {key}: warmup_steps {run['warmup_steps']} leaves none of "
            f"{run['steps']} steps"
        )
