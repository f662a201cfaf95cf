# The texts of a study: where they come from, what decides their content, and who reads which.
from pathlib import Path

from jadapt.core.errors import UserError, nearest
from jadapt.corpora import sources

GOLD = SEGMENTATION and CATALOGUE.get("gold", {}).get(SEGMENTATION["gold"])
GOLD_SOURCES = sorted(
    {split["source"] for split in (GOLD or {"splits": {}})["splits"].values()}
)
TOKENIZATION = f"{RESULTS}/tokenization"
TOKENIZED = (config["tokenization"] or {}).get("domains", [])
SOURCES_OF = {domain: CATALOGUE["domains"][domain]["sources"] for domain in DOMAINS}
SOURCES = sorted({source for names in SOURCES_OF.values() for source in names})


with one_line():
    for _name, _entry in CATALOGUE["sources"].items():
        sources.check(_name, _entry)
    for _name, _entry in MODELS["models"].items():
        if "source" in _entry:
            sources.check(_name, _entry["source"])


def text_language(domain):
    """The language that a domain is trained and evaluated in."""
    return CATALOGUE["domains"][domain]["language"]


def source_entry(name):
    """What a source is: text of the catalogue, or the package that a model comes in."""
    if name in CATALOGUE["sources"]:
        return CATALOGUE["sources"][name]
    if "source" not in MODELS["models"].get(name, {}):
        known = nearest(name, CATALOGUE["sources"])
        raise UserError(f"config/corpora.yaml: no source '{name}'{known}")
    return MODELS["models"][name]["source"]


def fetched_models(entry):
    """``fetched.json`` of the packages that the models of a tokenizer's entry come in."""
    return [
        f"{DOWNLOADS}/{name}/fetched.json"
        for name in runs.pretrained_models(entry)
        if MODELS["models"][name]["kind"] == "gguf"
    ]


def only_optional(source):
    """Whether everything that reads this source can do without it: gold segmentation and downstream
    tasks can, models and most domains cannot."""
    users = [domain for domain, names in SOURCES_OF.items() if source in names]
    others = {*GOLD_SOURCES, *(task.data.source for task in TASKS.values())}
    return bool(users or source in others) and all(
        CATALOGUE["domains"][domain].get("optional", False) for domain in users
    )


def source_content(wildcards):
    """Checksums of the files that a source is read from or listed in: their content decides.

    They are no inputs, whose dates would decide as well, and whose names could hold no braces.
    """
    with one_line():
        entry = source_entry(wildcards.source)
        files = [Path(entry["pins"])] if "pins" in entry else []
        if entry["kind"] == "local":
            files.append(sources.own_file(wildcards.source, entry))
        return [sources.content(path) for path in files]


def corpus_settings(wildcards, **cleaning):
    """What decides the content of one domain; ``cleaning`` overrides its policy."""
    domain = CATALOGUE["domains"][wildcards.domain]
    cap = config["corpora"].get("maximum_documents", {}).get(wildcards.domain)
    return as_json(
        {
            "domain": {
                **{key: value for key, value in domain.items() if key != "cleaning"},
                **({"max_documents": cap} if cap else {}),
            },
            "sources": {name: CATALOGUE["sources"][name] for name in domain["sources"]},
            "cleaning": {
                **CATALOGUE["cleaning"],
                **domain.get("cleaning", {}),
                **cleaning,
            },
            "splits": config["corpora"]["splits"],
        }
    )


def token_metas(domains):
    """The token files that a run reads: training and validation splits of ``domains``."""
    return [
        f"{RESULTS}/tokens/{domain}/{split}/meta.json"
        for domain in domains
        for split in ("train", "validation")
    ]


def token_arguments(domains):
    """The same as ``domain=folder`` for the command line."""
    return [f"{domain}={RESULTS}/tokens/{domain}" for domain in domains]


def folders_of(domains, manifests):
    """The same as ``domain=folder`` for the command line."""
    return [f"{d}={Path(path).parent}" for d, path in zip(domains, manifests)]


def study_entry(name):
    """An entry of the study, complete."""
    return runs.study_tokenizer(config, name)


def study_texts(name, domains):
    """The corpora that a tokenizer reads: as they are, or cleaned without normalisation."""
    raw = study_entry(name).get("raw", False)
    folder = f"{TOKENIZATION}/raw" if raw else f"{RESULTS}/corpora"
    return [f"{folder}/{domain}/manifest.json" for domain in domains]


def text_form(name):
    """The normalisation of the text that a tokenizer of the study reads."""
    raw = study_entry(name).get("raw", False)
    return "none" if raw else CATALOGUE["cleaning"]["normalisation"]


def study_corpora(name):
    """The domains that a tokenizer is trained on, those of the study first."""
    return list(dict.fromkeys([*TOKENIZED, *runs.tokenizer_domains(study_entry(name))]))
