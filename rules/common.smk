# Pure helpers: the checked configuration, the paths of a study, the code that a rule depends on.
import itertools
import json
import sys
from pathlib import Path

from jadapt import cluster, modules, released, runs
from jadapt import settings as study_settings
from jadapt.errors import UserError, nearest, one_line
from jadapt.reporting import claims as published_claims

# A mistake in the configuration ends here, with one line, before any rule is built.
with one_line():
    CATALOGUE = study_settings.read_yaml(f"{workflow.basedir}/config/corpora.yaml")
    MODELS = study_settings.read_yaml(f"{workflow.basedir}/config/models.yaml")
    config = study_settings.validate(
        config, CATALOGUE, MODELS, ", ".join(map(str, workflow.configfiles))
    )
    SITE = cluster.read_site(Path(workflow.basedir, cluster.SITE_FILE))
    CLAIMS = "config/claims.yaml"
    PUBLISHED = published_claims.read(
        f"{workflow.basedir}/{CLAIMS}", CATALOGUE["domains"]
    )

# What libraries keep for the next time lies here, not in the user's home or a folder for temporary
# files; nor do the user's own settings of IPython and matplotlib change a figure.
CACHE = Path(".cache").absolute()
for _variable, _folder in {
    "IPYTHONDIR": "ipython",
    "MPLCONFIGDIR": "matplotlib",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
    "CUDA_CACHE_PATH": "cuda",
}.items():
    os.environ.setdefault(_variable, str(CACHE / _folder))

RESULTS = f"results/{config['study']}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
DOWNLOADS = config["downloads"]

DOMAINS = config["corpora"]["domains"]
SPLITS = ("train", "validation", "test")
RUNS = list(config["methods"])
BASE = f"{RESULTS}/runs/base/seed{runs.base_seed(config)}"
KNOWN = config["pretraining"]["domain"]
BASE_MODEL = f"{BASE}/models/{KNOWN}/model.safetensors"
# A published model is not pre-trained here.
PRETRAINED = runs.is_pretrained(MODELS["models"][config["model"]])
_TOKENIZER_FILE = runs.tokenizer_file(config["tokenizer"])
TOKENIZER = f"{RESULTS}/tokenizer/{_TOKENIZER_FILE}"
TOKENIZER_META = f"{RESULTS}/tokenizer/tokenizer_meta.json"


def code(script, *parts):
    """Checksum of a script and the rooms or modules of the package it uses, for `params`: what a rule
    does follows their content, so that an edit reruns it and a mere touch does not. Segmentation is
    named by those who use it: its room has many users who do not."""
    rooms = [f"jadapt/{part}" for part in ("errors.py", "files.py", "seals.py", *parts)]
    return modules.checksum(script, *rooms)


def as_json(value):
    """Write a part of the configuration the way scripts read it (--settings)."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def environment(stage):
    """Path of the conda environment of a stage, relative to the rules."""
    return f"../envs/{stage}.yaml"


def text_language(domain):
    """The language that a domain is trained and evaluated in."""
    return CATALOGUE["domains"][domain]["language"]


SOURCES_OF = {domain: CATALOGUE["domains"][domain]["sources"] for domain in DOMAINS}
SOURCES = sorted({source for names in SOURCES_OF.values() for source in names})


def source_entry(name):
    """What a source is: text of the catalogue, or the package that a model comes in."""
    if name in CATALOGUE["sources"]:
        return CATALOGUE["sources"][name]
    return MODELS["models"][name]["source"]


def fetched_models(entry):
    """``fetched.json`` of the packages that the models of a tokenizer's entry come in."""
    return [
        f"{DOWNLOADS}/{name}/fetched.json"
        for name in runs.pretrained_models(entry)
        if MODELS["models"][name]["kind"] == "gguf"
    ]


def hub_mirror(models):
    """The mirror, where one of these models comes from the Hub; others need not notice a new one."""
    from_hub = any(MODELS["models"][name]["kind"] == "hub" for name in models)
    return ["--mirror", config["mirror"]] if from_hub and config["mirror"] else []


def only_optional(source):
    """Whether everything that reads this source can do without it: gold segmentation can, models
    and most domains cannot."""
    users = [domain for domain, names in SOURCES_OF.items() if source in names]
    return bool(users or source in GOLD_SOURCES) and all(
        CATALOGUE["domains"][domain].get("optional", False) for domain in users
    )


def source_files(wildcards):
    """The user's own file, where a source is one: its content decides, not its age."""
    entry = source_entry(wildcards.source)
    return [entry["path"]] if entry["kind"] == "local" else []


def pins(wildcards):
    """The list of files and checksums of a source that has many."""
    entry = source_entry(wildcards.source)
    return [entry["pins"]] if "pins" in entry else []


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


def training_resources(run):
    """The part of a run's settings that the cluster has to provide."""
    settings = runs.run_settings(config, run)
    on_gpu = settings["accelerator"] == "gpu"
    return {
        "threads": settings["threads"],
        "gpu": settings["devices"] if on_gpu else 0,
    }


def on_cluster(stage, **portable):
    """Memory and minutes of a stage's jobs, growing with each attempt, and what the user's file
    (profiles/slurm/local.yaml) says of the stage."""
    return cluster.resources(SITE, stage, **portable)


def methods_code(run):
    """The modules of the methods room that a run uses: a change of others leaves it alone."""
    entry = runs.run_settings(config, run)
    return [f"methods/{name}" for name in modules.of_entry(entry)]


def training_code(run):
    """What the training of a run follows."""
    rooms = ["gpus.py", "text", "data", "models", "training"]
    return code("train.py", *rooms, *methods_code(run))


def search_code(run):
    """What a search of a run follows: its training and how it is measured."""
    measured = ["evaluation/search.py", "evaluation/likelihood.py"]
    rooms = ["gpus.py", "text", "data", "models", "training"]
    return code("search.py", *rooms, *methods_code(run), *measured)


def chosen_rate(run):
    """The file with the learning rate that a search chose, for a run that has a grid."""
    return [f"{RESULTS}/search/{run}.json"] if runs.has_grid(config, run) else []


def ablated_run(name):
    """The run that an ablation varies."""
    return config["ablations"][name]["run"]


def job_name(word, seeds):
    """A name for the job of these seeds: the bare word where one job has them all."""
    return word if seeds == config["seeds"] else "_".join(map(str, [word, *seeds]))


SEARCH_TABLES = [
    *(f"{RESULTS}/search/{run}.csv" for run in RUNS if runs.has_grid(config, run)),
    *(f"{RESULTS}/ablations/{name}.csv" for name in config["ablations"]),
]
EVALUATED = config["evaluation"]["domains"]
# A study without the section has no table of segmentation.
SEGMENTATION = config.get("segmentation")
GOLD = SEGMENTATION and CATALOGUE.get("gold", {}).get(SEGMENTATION["gold"])
GOLD_SOURCES = sorted(
    {split["source"] for split in (GOLD or {"splits": {}})["splits"].values()}
)
TOKENIZERS = list((config["tokenization"] or {}).get("tokenizers", []))
# A study in which every run has one rate has no grid, and no figure of it.
ABSENT = {
    *(["grid"] if not SEARCH_TABLES else []),
    *(["segmentation"] if not SEGMENTATION else []),
    *(["tokenizers"] if not TOKENIZERS else []),
}
TABLES = {
    name: f"{RESULTS}/{name}.csv"
    for name in (
        "metrics",
        "efficiency",
        "curves",
        "corpora",
        "grid",
        "segmentation",
        "tokenizers",
    )
    if name not in ABSENT
}

TOKENIZATION = f"{RESULTS}/tokenization"
TOKENIZED = (config["tokenization"] or {}).get("domains", [])


def study_entry(name):
    """An entry of the study, complete."""
    return runs.study_tokenizer(config, name)


def study_texts(name, domains):
    """The corpora that a tokenizer reads: as they are, or cleaned without normalisation."""
    raw = study_entry(name).get("raw", False)
    folder = f"{TOKENIZATION}/raw" if raw else f"{RESULTS}/corpora"
    return [f"{folder}/{domain}/manifest.json" for domain in domains]


def study_corpora(name):
    """The domains that a tokenizer is trained on, those of the study first."""
    return list(dict.fromkeys([*TOKENIZED, *runs.tokenizer_domains(study_entry(name))]))


def folders_of(domains, manifests):
    """The same as ``domain=folder`` for the command line."""
    return [f"{d}={Path(path).parent}" for d, path in zip(domains, manifests)]


RELEASED = f"paper/released/{config['study']}"
FROM_RELEASE = config["results"] == "released"
# What was done, in full: the text describes it, and the manifest of the study records it.
SETTINGS = {
    **config,
    "model": {"name": config["model"], **MODELS["models"][config["model"]]},
    # Where files were looked for is no part of what was done.
    "mirror": None,
    "downloads": None,
    "results": None,
    "tensorboard": None,
}
study_settings.export(config, RESULTS)
# The tables that figures, tables and text read. Those of a release are read in place: no rule
# makes them, so nothing is trained or evaluated for what is made from them.
if FROM_RELEASE:
    with one_line():
        release = released.read(RELEASED)
    different = released.difference_in_words(SETTINGS, release["settings"])
    if different:
        print(
            f"note: {RELEASED} is of another configuration: {different}",
            file=sys.stderr,
        )
    SETTINGS = release["settings"]
    READ = {name: f"{RELEASED}/{name}.csv" for name in release["tables"]}
    MANIFEST = f"{RELEASED}/{released.MANIFEST}"
else:
    READ = TABLES
    MANIFEST = f"{RESULTS}/{released.MANIFEST}"
# What claims may be about.
CLAIMABLE = {
    name: path
    for name, path in READ.items()
    if name not in ("segmentation", "tokenizers")
}

# What notebooks may read: the tables of measurements, and the verdicts that follow from them.
LEDGER = f"{RESULTS}/claims.csv"
READABLE = {**READ, "claims": LEDGER}


def segmentation_code(*modules):
    """Modules of the segmentation package that a rule uses; all of them, where none is named."""
    folder = "text/segmentation"
    return (
        [f"{folder}/{name}.py" for name in ("__init__", *modules)]
        if modules
        else [folder]
    )


def run_folder(run, seed):
    """Folder of a run; all runs of a study share one base model."""
    return BASE if run == "base" else f"{RESULTS}/runs/{run}/seed{seed}"


def run_files(name, seeds):
    """A function of the wildcard `run` that lists one file of each of these seeds."""
    return lambda wildcards: [
        f"{run_folder(wildcards.run, seed)}/{name}" for seed in seeds
    ]


def evaluation_code(run):
    """What the evaluation of a run follows."""
    own = ["evaluation/stages.py", "evaluation/likelihood.py", *methods_code(run)]
    own += ["gpus.py", "training/determinism.py"]
    return code("evaluate.py", "text", "data", "models", *own)


def all_runs():
    """Every run of the study as (name, seed), the base model first."""
    return [
        ("base", runs.base_seed(config)),
        *((run, seed) for run in RUNS for seed in config["seeds"]),
    ]


def all_files(name):
    """One file of every run of the study, in the same order."""
    return [f"{run_folder(run, seed)}/{name}" for run, seed in all_runs()]


def tasks_of(run):
    """The tasks that a run goes through, in order."""
    return [KNOWN] if run == "base" else config["sequence"]


NOTEBOOKS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))["metadata"]["jadapt"]
    for path in sorted(Path(workflow.basedir, "notebooks").glob("*.ipynb"))
}
ALL_NOTEBOOKS = NOTEBOOKS
NOTEBOOKS = {
    name: facts
    for name, facts in NOTEBOOKS.items()
    if set(facts["tables"]) <= set(READABLE)
}
FIGURES = [name for name, facts in NOTEBOOKS.items() if facts["kind"] == "figure"]
TABLE_NAMES = [name for name, facts in NOTEBOOKS.items() if facts["kind"] == "table"]


def check_targets(words):
    """Refuse a figure or table that does not exist, before Snakemake does in many lines."""
    for word in words:
        kind, underscore, name = word.partition("_")
        if kind not in ("fig", "table") or not underscore or "." in name:
            continue
        same = FIGURES if kind == "fig" else TABLE_NAMES
        if name in same:
            continue
        if name in ALL_NOTEBOOKS and name not in NOTEBOOKS:
            missing = sorted(set(ALL_NOTEBOOKS[name]["tables"]) - set(READABLE))
            raise UserError(
                f"{word}: the study has no table '{missing[0]}', which it reads"
            )
        targets = [*(f"fig_{n}" for n in FIGURES), *(f"table_{n}" for n in TABLE_NAMES)]
        # A table asked for as a figure is nearer than any other name.
        namesakes = [target for target in targets if target.partition("_")[2] == name]
        raise UserError(
            f"{word}: no such figure or table{nearest(word, namesakes or targets)}"
        )


with one_line():
    check_targets(sys.argv[1:])


def notebook_tables(name):
    """The tables that a notebook declares to read."""
    return {table: READABLE[table] for table in NOTEBOOKS[name]["tables"]}


def figure_origin(name):
    """What a figure is made from, for the metadata of its files."""
    return as_json(
        {
            "study": config["study"],
            "name": name,
            "results": config["results"],
            "notebook": f"notebooks/{name}.ipynb",
            "tables": notebook_tables(name),
        }
    )


def papermill_parameters(name, stem):
    """Parameters of a notebook in papermill's spelling."""
    pairs = [*notebook_tables(name).items(), ("output", stem)]
    return list(
        itertools.chain.from_iterable(("-p", key, value) for key, value in pairs)
    )


# Any run but the base model. Not a list of the names: Snakemake writes a constraint into every path
# of a rule, and a thousand names there made up a sixth of the time of a dry run.
ADAPTED = r"(?!base\b)[a-z][a-z0-9_]*"


wildcard_constraints:
    source="[a-z][a-z0-9_]*",
    domain="[a-z][a-z0-9_]*",
    split="|".join(SPLITS),
    run=ADAPTED,
    tokenizer="|".join(TOKENIZERS),
    ablation="[a-z][a-z0-9_]*",
    seed="[0-9]+",
