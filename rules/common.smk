# Pure helpers: the checked configuration, runs and their paths, the code that a rule depends on.
import json
from pathlib import Path

from jadapt import cluster, modules, runs, schemas
from jadapt import settings as study_settings
from jadapt.errors import one_line
from jadapt.reporting import claims as published_claims

# A mistake in the configuration ends here, with one line, before any rule is built.
with one_line():
    CATALOGUE = schemas.read_yaml(f"{workflow.basedir}/config/corpora.yaml")
    MODELS = schemas.read_yaml(f"{workflow.basedir}/config/models.yaml")
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
study_settings.export(config, RESULTS)

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
EVALUATED = config["evaluation"]["domains"]
# A study without the section has no table of segmentation.
SEGMENTATION = config.get("segmentation")
TOKENIZERS = list((config["tokenization"] or {}).get("tokenizers", []))


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


def training_resources(run):
    """The part of a run's settings that the cluster has to provide."""
    settings = runs.run_settings(config, run)
    on_gpu = settings["accelerator"] == "gpu"
    return {
        # On a CPU a device is a process of so many threads.
        "threads": settings["threads"] * (1 if on_gpu else settings["devices"]),
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


def segmentation_code(*modules):
    """Modules of the segmentation package that a rule uses; all of them, where none is named."""
    folder = "text/segmentation"
    return (
        [f"{folder}/{name}.py" for name in ("__init__", *modules)]
        if modules
        else [folder]
    )


# How a run comes by its devices.
DEVICES = ["gpus.py", "launching.py", "parallelism.py"]


def training_code(run):
    """What the training of a run follows."""
    rooms = [*DEVICES, "text", "data", "models", "training"]
    return code("train.py", *rooms, *methods_code(run))


def search_code(run):
    """What a search of a run follows: its training and how it is measured."""
    measured = ["evaluation/search.py", "evaluation/likelihood.py"]
    rooms = [*DEVICES, "text", "data", "models", "training"]
    return code("search.py", *rooms, *methods_code(run), *measured)


def evaluation_code(run):
    """What the evaluation of a run follows."""
    own = ["evaluation/stages.py", "evaluation/likelihood.py", *methods_code(run)]
    own += ["gpus.py", "training/determinism.py"]
    return code("evaluate.py", "text", "data", "models", *own)


def chosen_rate(run):
    """The file with the learning rate that a search chose, for a run that has a grid."""
    return [f"{RESULTS}/search/{run}.json"] if runs.has_grid(config, run) else []


def ablated_run(name):
    """The run that an ablation varies."""
    return config["ablations"][name]["run"]


def job_name(word, seeds):
    """A name for the job of these seeds: the bare word where one job has them all."""
    return word if seeds == config["seeds"] else "_".join(map(str, [word, *seeds]))


def run_folder(run, seed):
    """Folder of a run; all runs of a study share one base model."""
    return BASE if run == "base" else f"{RESULTS}/runs/{run}/seed{seed}"


def run_files(name, seeds):
    """A function of the wildcard `run` that lists one file of each of these seeds."""
    return lambda wildcards: [
        f"{run_folder(wildcards.run, seed)}/{name}" for seed in seeds
    ]


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
