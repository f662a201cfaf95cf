# Pure helpers: the checked configuration, runs and their paths, the code that a rule depends on.
import json
import os
from pathlib import Path

from jadapt.analysis import claims as published_claims
from jadapt.config import budget
from jadapt.config import runs
from jadapt.config import validation as study_settings
from jadapt.config import studies
from jadapt.core.errors import one_line
from jadapt.evaluation.metrics import registry as metrics
from jadapt.evaluation.metrics.base import (
    KnownMetric,
    Metric,
    ScriptMetric,
    SequenceMetric,
    TaskMetric,
    TextMetric,
)
from jadapt.evaluation.tasks import definition as task_definition
from jadapt.methods import registry
from jadapt.workflow import code_hash, settings_files, slurm

# The study is put together here and not by Snakemake, which knows no `extends` and no line. A
# study given on the command line replaces the default one instead of being mixed into it. A mistake
# ends here, with one line, before any rule is built.
with one_line():
    STUDY_FILES = [
        os.path.relpath(path) for path in workflow.config_settings.configfiles
    ] or [str(studies.CONFIG)]
    config = studies.settings(STUDY_FILES, workflow.config_settings.config_args or [])
    CATALOGUE = studies.read_catalogue()
    MODELS = studies.read_models()
    TASKS = task_definition.of_study(
        config["evaluation"].get("tasks", []), CATALOGUE["sources"]
    )
    SITE = slurm.read_site(Path(workflow.basedir, slurm.SITE_FILE))
    CLAIMS = "config/claims.yaml"
    PUBLISHED = published_claims.read(
        f"{workflow.basedir}/{CLAIMS}", CATALOGUE["domains"]
    )

# By their environment, jobs learn where copies lie: what is made is the same without them.
if config["mirror"]:
    os.environ.update(JADAPT_MIRROR=config["mirror"])

RESULTS = f"results/{config['study']}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
DOWNLOADS = config["downloads"]
study_settings.export(config, RESULTS)
# What programs are to read from a file: a study of a thousand runs fits on no command line.
SETTINGS_FILES = settings_files.Files(f"{RESULTS}/settings")

DOMAINS = config["corpora"]["domains"]
SPLITS = ("train", "validation", "test")
RUNS = list(config["methods"])
BASE = f"{RESULTS}/runs/base/seed{runs.base_seed(config)}"
SOURCE_DOMAIN = config["pretraining"]["domain"]
BASE_MODEL = f"{BASE}/models/{SOURCE_DOMAIN}/model.safetensors"
# A published model is not pre-trained here.
PRETRAINED = runs.is_pretrained(MODELS["models"][config["model"]])
_TOKENIZER_FILE = runs.tokenizer_file(config["tokenizer"])
TOKENIZER = f"{RESULTS}/tokenizer/{_TOKENIZER_FILE}"
TOKENIZER_META = f"{RESULTS}/tokenizer/tokenizer_meta.json"
EVALUATED = config["evaluation"]["domains"]
TASK_FOLDERS = [f"{RESULTS}/tasks/{task}" for task in TASKS]
TRAINED_DOMAINS = list(dict.fromkeys([*runs.base_domains(config), *config["sequence"]]))
# A study without the section has no table of segmentation.
SEGMENTATION = config.get("segmentation")
TOKENIZERS = list((config["tokenization"] or {}).get("tokenizers", []))


def code(*parts):
    """Checksum of a script, of the modules of the package that it imports, however far down, and of
    further modules that it loads by name, for `params`: what a rule does follows their content, so
    that an edit reruns it and a mere touch does not."""
    return code_hash.checksum(*parts)


def presenting(*parts):
    """The same for what readers see: labels, colours and words of the study's methods count."""
    return code_hash.checksum(
        *parts, *ALL_METHODS_CODE, *metrics.modules_of(Metric), presentation=True
    )


def notebook_code(name):
    """What a figure or table follows besides its notebook and its tables."""
    return presenting(f"../notebooks/{name}.ipynb")


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
    """GPUs, memory and minutes of the jobs of a stage, the last two growing with each attempt, and
    what profiles/slurm/local.yaml says of the stage."""
    return slurm.resources(SITE, stage, **portable)


def methods_code(run):
    """The modules of the method and the strategies of a run: a change of others leaves it alone."""
    return registry.modules_of(runs.run_settings(config, run))


ALL_METHODS_CODE = sorted(
    {name for run in ["base", *RUNS] for name in methods_code(run)}
)


def training_code(run):
    """What the training of a run follows."""
    return code("train.py", *methods_code(run))


def search_code(run):
    """What a search of a run follows: its training and how it is measured."""
    return code("search.py", *methods_code(run))


def evaluation_code(run):
    """What the evaluation of a run follows."""
    kinds = [TextMetric, ScriptMetric, *([TaskMetric] if TASKS else [])]
    # The harness is imported where there are tasks only.
    suite = ["jadapt.evaluation.tasks.suite"] if TASKS else []
    return code("evaluate.py", *methods_code(run), *suite, *metrics.modules_of(*kinds))


def collection_code():
    """What the table of metrics follows: those that compare the stages of a run as well."""
    return code("collect.py", *metrics.modules_of(KnownMetric, SequenceMetric))


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
    return [SOURCE_DOMAIN] if run == "base" else config["sequence"]


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


def run_json(run):
    """What the training of a run is told."""
    return as_json(runs.run_settings(config, run))


def search_json(run):
    """What the search for a run's rate is told."""
    return as_json(runs.search_settings(config, run))


def ablation_json(name):
    """What an ablation is told."""
    return as_json(runs.ablation_settings(config, name))


def front_json(run):
    """What the front of a run is told."""
    return as_json(runs.front_settings(config, run))


def parent(path, levels):
    """The folder that lies so many levels above a path."""
    return str(Path(path).parents[levels - 1])
