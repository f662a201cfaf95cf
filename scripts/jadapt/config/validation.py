"""A study checked before anything runs: its shape, and that what it names exists and goes together.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from jadapt.config import entries, runs
from jadapt.config.base_models import Models
from jadapt.config.catalogue import Catalogue
from jadapt.config.checking import check
from jadapt.config.front_checks import check_fronts
from jadapt.config.origins import Origin, as_origin
from jadapt.config.run_checks import (
    check_ablation,
    check_recipe,
    check_run,
    check_size,
    refuse_unknown,
)
from jadapt.config.study import StudySettings
from jadapt.core.errors import UserError

CATALOGUE, MODELS = "config/corpora.yaml", "config/models.yaml"


def validate(config: dict, catalogue: dict, models: dict, origin: str | Origin) -> dict:
    """Check a study, the catalogue of corpora and the list of models.

    Args:
        config: the study's configuration; keys that belong to nobody are refused by name.
        catalogue: the content of ``config/corpora.yaml``.
        models: the content of ``config/models.yaml``.
        origin: where the study was written, for messages.

    Returns:
        ``config`` itself, with the environment's mirror and what is left out filled in.

    Raises:
        UserError: the first fault; one line.
    """
    origin = as_origin(origin)
    check_catalogue(catalogue)
    check_models(models)
    check(config, StudySettings, origin)
    for key, value in (("tokenization", None), ("ablations", {}), ("results", "recompute")):
        config.setdefault(key, value)
    _check_base(config, models["models"], origin)
    _check_domains(config, catalogue, origin)
    _check_segmentation(config, catalogue, origin)
    for name, entry in config["methods"].items():
        entries.check_entry(name, entry, config, origin)
    _check_tokenizer(config, models["models"], origin)
    for name in ("base", *config["methods"]):
        check_run(name, runs.run_settings(config, name), config, models["models"], origin)
        if runs.has_grid(config, name):
            count = len(runs.rates(config, name)) * len(config["search"]["seeds"])
            check_size(count, f"methods.{name}.learning_rate", origin)
    check_fronts(config, origin)
    if config["tokenization"]:
        _check_tokenization(config["tokenization"], config, models["models"], origin)
    for name, ablation in config["ablations"].items():
        check_ablation(name, ablation, config, models["models"], origin)
    # An empty variable means the same as none.
    config["mirror"] = os.environ.get("JADAPT_MIRROR") or config.get("mirror")
    return config


def check_catalogue(catalogue: dict, origin: str | Origin = CATALOGUE) -> None:
    """Check the content of ``config/corpora.yaml``."""
    origin = as_origin(origin)
    check(catalogue, Catalogue, origin)
    sources = catalogue["sources"]
    for name, domain in catalogue["domains"].items():
        key = f"domains.{name}.sources"
        refuse_unknown(domain["sources"], sources, key, origin)
        for source in domain["sources"]:
            if not {"extract", "path"} & set(sources[source]):
                raise origin.refusal(
                    key, f"'{source}' has no 'extract', so no documents can be read from it"
                )
    for name, gold in catalogue.get("gold", {}).items():
        for split in gold["splits"].values():
            refuse_unknown([split["source"]], sources, f"gold.{name}", origin)


def check_models(models: dict, origin: str | Origin = MODELS) -> None:
    """Check the content of ``config/models.yaml``."""
    check(models, Models, origin)


def export(config: dict, results: str) -> None:
    """Set what jobs find in their environment: settings that decide no result.

    As parameters of a rule they would train everything again when they change.
    """
    if config.get("tensorboard"):
        os.environ["JADAPT_TENSORBOARD"] = f"{results}/tensorboard"


def _check_base(config: dict, models: dict, origin: Origin) -> None:
    """Check that a study says how its base model is trained, or that it is trained already."""
    refuse_unknown([config["model"]], models, "model", origin)
    pretraining = config["pretraining"]
    if not runs.is_pretrained(models[config["model"]]):
        if "learning_rate" not in pretraining:
            raise UserError(f"{origin.of('pretraining')}: missing key 'pretraining.learning_rate'")
        return
    surplus = sorted(set(pretraining) - {"domain", "seed"})
    if surplus:
        raise origin.refusal(
            f"pretraining.{surplus[0]}",
            f"'{config['model']}' is trained already; remove the key (domain names the language "
            "it knows)",
        )
    if config["model"] not in runs.pretrained_models(config["tokenizer"]):
        raise origin.refusal(
            "tokenizer",
            f"'{config['model']}' needs its own vocabulary; use {{kind: pretrained, model: "
            f"{config['model']}}}, or extended with that as base",
        )


def _check_domains(config: dict, catalogue: dict, origin: Origin) -> None:
    """Check that every domain that a section names is one of the study and can be relied on."""
    domains = config["corpora"]["domains"]
    refuse_unknown(domains, catalogue["domains"], "corpora.domains", origin)
    pretraining = config["pretraining"]
    tokenization = (config["tokenization"] or {"domains": []})["domains"]
    learned = runs.tokenizer_domains(config["tokenizer"])
    remembered = [
        ([entry["remembers"]], f"methods.{name}.remembers")
        for name, entry in config["methods"].items()
        if entry.get("remembers")
    ]
    mixed = runs.base_domains(config)[1:]
    for names, key in (
        (config["sequence"], "sequence"),
        (config["evaluation"]["domains"], "evaluation.domains"),
        ([pretraining["domain"]], "pretraining.domain"),
        *remembered,
        (mixed, "pretraining.mixture.domain"),
        (learned, "tokenizer.domains"),
        (tokenization, "tokenization.domains"),
        (config["corpora"].get("maximum_documents", {}), "corpora.maximum_documents"),
    ):
        refuse_unknown(names, domains, key, origin)
    tokens = config["training"].get("tokens") or {}
    refuse_unknown(tokens, config["sequence"], "training.tokens", origin)
    source = pretraining["domain"]
    if source in config["sequence"]:
        raise origin.refusal(
            "sequence",
            f"'{source}' is what the base model learns first (pretraining.domain); name others",
        )
    if source in mixed:
        raise origin.refusal(
            "pretraining.mixture.domain",
            f"'{source}' is what the base model learns anyway (pretraining.domain); name another",
        )
    for names, key in (
        (config["sequence"], "sequence"),
        (learned, "tokenizer.domains"),
        (tokenization, "tokenization.domains"),
        ([source], "pretraining.domain"),
        *remembered,
        (mixed, "pretraining.mixture.domain"),
    ):
        for name in names:
            if catalogue["domains"][name].get("optional"):
                raise UserError(
                    f"{origin.of(key)}: domain '{name}' is optional and may be missing, so nothing "
                    f"can be trained on it; remove `optional` from it in {CATALOGUE}"
                )


def _check_segmentation(config: dict, catalogue: dict, origin: Origin) -> None:
    """Check the names that segmentation uses: gold words and Japanese domains of the study."""
    section = config.get("segmentation")
    if section is None:
        return
    refuse_unknown(
        filter(None, [section["gold"]]), catalogue.get("gold", {}), "segmentation.gold", origin
    )
    key = "segmentation.fallback.domains"
    names = section["fallback"]["domains"]
    refuse_unknown(names, config["corpora"]["domains"], key, origin)
    for name in names:
        domain = catalogue["domains"][name]
        if domain["language"] != "ja" or domain.get("optional"):
            raise origin.refusal(
                key,
                f"'{name}' is not Japanese, or optional and may be missing; name domains that are "
                "neither",
            )


def _check_tokenizer(config: dict, models: dict, origin: Origin) -> None:
    entry = config["tokenizer"]
    for key, plain in (("normalisation", "none"), ("raw", False)):
        # Evaluation divides by the bytes that the tokens spell.
        if entry.get(key, plain) != plain:
            raise origin.refusal(
                f"tokenizer.{key}",
                "only tokenizers of tokenization.tokenizers may have it; the study's own text is "
                f"normalised by `cleaning` in {CATALOGUE}",
            )
    _check_parts(entry, "tokenizer", models, origin, needed=("domains", "maximum_sentences"))


def _check_parts(
    entry: dict, key: str, models: dict, origin: Origin, needed: Iterable[str] = ()
) -> None:
    """Check an entry of a tokenizer and those within it."""
    if entry["kind"] == "pretrained":
        trained = {name: model for name, model in models.items() if runs.is_pretrained(model)}
        refuse_unknown([entry["model"]], trained, f"{key}.model", origin)
    if entry["kind"] == "sentencepiece":
        for name in needed:
            if name not in entry:
                raise UserError(f"{origin.of(key)}: missing key '{key}.{name}'")
    for part in ("base", "pieces"):
        if entry.get(part) is not None:
            _check_parts(entry[part], f"{key}.{part}", models, origin, needed)


def _check_tokenization(study: dict, config: dict, models: dict, origin: Origin) -> None:
    at = "tokenization"
    known = {name: entry for name, entry in models.items() if not runs.is_pretrained(entry)}
    refuse_unknown([study["model"]], known, f"{at}.model", origin)
    for name, entry in study["tokenizers"].items():
        key = f"{at}.tokenizers.{name}"
        names = runs.tokenizer_domains(entry)
        refuse_unknown(names, config["corpora"]["domains"], f"{key}.domains", origin)
        _check_parts(entry, key, models, origin)
    run = {**config["training"], **study["training"]}
    check_recipe(run, study["training"], f"{at}.training", study["model"], models, origin)
    grid = study.get("regularisation")
    if grid:
        key = f"{at}.regularisation.tokenizer"
        refuse_unknown([grid["tokenizer"]], study["tokenizers"], key, origin)
        if runs.pretrained_models(study["tokenizers"][grid["tokenizer"]]):
            raise origin.refusal(
                key,
                f"'{grid['tokenizer']}' cannot sample with a seed; name one of kind sentencepiece",
            )
