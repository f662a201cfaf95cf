"""What a study's configuration says about its runs: each one's settings, grids and variants.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import copy
from typing import Any

from jadapt.core.seeds import Role

# Keys of an entry that are read here; a training process is not told of them as they stand.
OF_STUDY = ("strengths", "remembers")


def run_settings(config: dict, run: str, seed: int | None = None) -> dict:
    """Resolve everything that one training process needs to know.

    Args:
        config: a study's configuration.
        run: ``base``, or a key of ``methods``.
        seed: the seed of the run; left out where the caller trains several.

    Returns:
        The keys of ``training`` and of the run's own entry, with ``run``, ``role`` (what the
        training is for, of `jadapt.core.seeds`), ``sequence``, ``source_domain`` and ``reserved``
        (shares of documents that only pre-training draws, by domain). ``learning_rate`` is a list
        where the study has a grid.
    """
    shared = {
        **config["training"],
        "role": "pretraining" if run == "base" else "task",
        "source_domain": known_domains(config)[0],
        "reserved": reserved(config),
    }
    if run == "base":
        own = {key: value for key, value in config["pretraining"].items() if key != "domain"}
        return {**shared, "method": "sft", **own, "run": run, "sequence": [shared["source_domain"]]}
    if remembered := config["methods"][run].get("remembers"):
        shared["source_domain"] = remembered
    own = {**_told(config["methods"][run]), **({} if seed is None else {"seed": seed})}
    return {**shared, **own, "run": run, "sequence": config["sequence"]}


def _told(entry: dict) -> dict:
    return {key: value for key, value in entry.items() if key not in OF_STUDY}


def known_domains(config: dict) -> list[str]:
    """Return the domains of the known language that strategies may remember: the base model's own
    first, then what runs name in its place."""
    named = [entry.get("remembers") for entry in config["methods"].values()]
    return list(dict.fromkeys([config["pretraining"]["domain"], *filter(None, named)]))


def varied(entry: dict, key: str, value: Any) -> dict:
    """Return a copy of a run's entry with one key (``a.b`` means a section) set to ``value``.

    Raises:
        KeyError: the entry has no such section or key.
    """
    changed = copy.deepcopy(entry)
    *sections, last = key.split(".")
    place = changed
    for section in sections:
        if not isinstance(place, dict) or section not in place:
            raise KeyError(section)
        place = place[section]
    if not isinstance(place, dict) or last not in place:
        raise KeyError(last)
    place[last] = value
    return changed


def has_grid(config: dict, run: str) -> bool:
    """Tell whether a run's learning rate is to be found among several."""
    return run != "base" and isinstance(config["methods"][run]["learning_rate"], list)


def rates(config: dict, run: str) -> list[float]:
    """Return the learning rates of a run's entry: its grid, or the one that it has."""
    return _as_list(config["methods"][run]["learning_rate"])


def _as_list(rate: float | list[float]) -> list[float]:
    return rate if isinstance(rate, list) else [rate]


def search_settings(config: dict, run: str) -> dict:
    """Resolve a learning-rate grid: one run on the first task, every rate, the grid's seeds."""
    variants = [("", config["methods"][run])]
    return _search(config, run, variants, "search", "", config["search"]["seeds"])


def has_front(config: dict, run: str) -> bool:
    """Tell whether a run is tried at several rates or strengths, in a study with fronts."""
    entry = config["methods"][run]
    several = isinstance(entry["learning_rate"], list) or bool(entry.get("strengths"))
    return bool(config.get("fronts")) and several


def front_settings(config: dict, run: str) -> dict:
    """Resolve a front: every rate and strength of a run through the whole sequence."""
    fronts, strengths = config["fronts"], config["methods"][run].get("strengths")
    plain = {**run_settings(config, run), "role": "front"}
    variants = [{"name": "", "strength": "", "settings": plain}]
    if strengths:
        variants = [
            {
                "name": "",
                "strength": variant_name(value),
                "settings": varied(plain, strengths["key"], value),
            }
            for value in strengths["values"]
        ]
    evaluation = config["evaluation"]
    return {
        "run": run,
        "ablation": "",
        "rates": rates(config, run),
        "seeds": fronts["seeds"],
        "variants": variants,
        "extend": fronts.get("extend", 0),
        "interpolations": fronts.get("interpolations", []),
        "rule": {"forgetting_weight": fronts.get("forgetting_weight", 1.0)},
        "retention": fronts["retention"],
        "domains": evaluation["domains"],
        "strength_key": strengths and strengths["key"],
        "strengths": {variant_name(v): v for v in strengths["values"]} if strengths else {},
        "maximum_tokens": evaluation["maximum_tokens"],
        "batch_size": evaluation["batch_size"],
    }


def ablation_settings(config: dict, name: str) -> dict:
    """Resolve an ablation: every value of a key, each with the rates of the run or with its own."""
    ablation = config["ablations"][name]
    variants = [
        (variant_name(value), varied_entry(config, ablation, value)) for value in ablation["values"]
    ]
    settings = _search(config, ablation["run"], variants, "ablation", name, ablation["seeds"])
    if "learning_rate" in ablation:
        settings["rates"] = _as_list(ablation["learning_rate"])
    return settings


def varied_entry(config: dict, ablation: dict, value: Any) -> dict:
    """Return the entry of an ablation's run, with what it takes from ``training``, for one value.

    Raises:
        KeyError: neither the entry nor ``training`` has the key.
    """
    entry = {**config["training"], **config["methods"][ablation["run"]]}
    return varied(entry, ablation["key"], value)


def _search(
    config: dict,
    run: str,
    variants: list[tuple[str, dict]],
    role: Role,
    ablation: str,
    seeds: list[int],
) -> dict:
    settings = {**run_settings(config, run), "role": role}
    evaluation = config["evaluation"]
    return {
        "run": run,
        "ablation": ablation,
        "rates": rates(config, run),
        "seeds": seeds,
        # A grid and an ablation stop after the first task: what is compared is how one is learned.
        "variants": [
            {
                "name": name,
                "settings": {**settings, **_told(entry), "sequence": config["sequence"][:1]},
            }
            for name, entry in variants
        ],
        "maximum_tokens": evaluation["maximum_tokens"],
        "batch_size": evaluation["batch_size"],
    }


def variant_name(value: Any) -> str:
    """Return the name by which a value of an ablation stands in tables and figures."""
    if isinstance(value, str):
        return value
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return " ".join(map(variant_name, value)) or "none"
    if isinstance(value, dict):
        return " ".join(f"{key} {variant_name(part)}" for key, part in value.items())
    return f"{value:g}"


def seed_batches(config: dict) -> list[list[int]]:
    """Return the seeds of a study in the groups that one process trains one after another."""
    seeds, size = config["seeds"], config["seeds_per_job"]
    return [seeds[start : start + size] for start in range(0, len(seeds), size)]


def base_domains(config: dict) -> list[str]:
    """Return the domains that the base model is trained on: its own, then the mixture's."""
    pretraining = config["pretraining"]
    mixture = pretraining.get("mixture")
    return [pretraining["domain"], *([mixture["domain"]] if mixture else [])]


def reserved(config: dict) -> dict[str, float]:
    """Return which share of a domain's training documents is kept for pre-training, by domain.

    Nothing but pre-training draws them, and it draws no others there (`jadapt.data.partition`).
    """
    mixture = config["pretraining"].get("mixture")
    return {mixture["domain"]: mixture["reserved_share"]} if mixture else {}


def base_seed(config: dict) -> int:
    """Return the seed of the one base model that all runs of a study share."""
    return config["pretraining"]["seed"]


def tokenizer_domains(entry: dict) -> list[str]:
    """Return the domains that a tokenizer's entry and those within it name."""
    inner = [entry[key] for key in ("base", "pieces") if key in entry]
    names = [
        *entry.get("domains", []),
        *(name for part in inner for name in tokenizer_domains(part)),
    ]
    return list(dict.fromkeys(names))


def pretrained_models(entry: dict) -> list[str]:
    """Return the pretrained models that a tokenizer's entry and those within it name."""
    inner = [entry[key] for key in ("base", "pieces") if key in entry]
    own = [entry["model"]] if entry["kind"] == "pretrained" else []
    return [*own, *(name for part in inner for name in pretrained_models(part))]


def study_tokenizer(config: dict, name: str) -> dict:
    """Return an entry of the tokenization study with the defaults of the study put in."""
    study = config["tokenization"]

    def filled(entry: dict) -> dict:
        parts = {key: filled(entry[key]) for key in ("base", "pieces") if key in entry}
        own = {}
        if entry["kind"] == "sentencepiece":
            own = {"domains": study["domains"], "maximum_sentences": study["maximum_sentences"]}
        return {**own, **entry, **parts}

    return filled(study["tokenizers"][name])


def study_models_settings(config: dict, models: dict) -> dict:
    """Resolve what the process that trains the models of the tokenization study needs."""
    study = config["tokenization"]
    return {
        "training": {**config["training"], **study["training"]},
        "model": models[study["model"]],
        "reference": next(iter(study["tokenizers"])),
        "seeds": study["seeds"],
        "regularisation": study["regularisation"],
        "batch_size": config["evaluation"]["batch_size"],
    }


def is_pretrained(model: dict) -> bool:
    """Tell whether an entry of ``config/models.yaml`` is a published model."""
    return model["kind"] != "scratch"


def tokenizer_file(entry: dict) -> str:
    """Return the name of the file that a tokenizer consists of, by its entry."""
    if entry["kind"] == "extended":
        return tokenizer_file(entry["base"])
    return "tokenizer.json" if entry["kind"] == "pretrained" else "tokenizer.model"
