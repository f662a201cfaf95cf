# The tables of a study, computed here or released, and the notebooks that read them.
import itertools
import os
import sys
from pathlib import Path

from jadapt.core import notebooks, released
from jadapt.core.errors import UserError, nearest, one_line
from jadapt.core.files import read_json
from jadapt.core.tables import MEASURED

SEARCH_TABLES = [
    *(f"{RESULTS}/search/{run}.csv" for run in RUNS if runs.has_grid(config, run)),
    *(f"{RESULTS}/ablations/{name}.csv" for name in config["ablations"]),
]
# Runs at each of their rates and strengths, in studies with the section `fronts`.
FRONTS = [run for run in RUNS if runs.has_front(config, run)]
# A study in which every run has one rate has no grid, and no figure of it.
ABSENT = {
    *(["grid"] if not SEARCH_TABLES else []),
    *(["segmentation"] if not SEGMENTATION else []),
    *(["tokenizers"] if not TOKENIZERS else []),
    *(["tasks", "task_data"] if not TASKS else []),
    *(["fronts"] if not FRONTS else []),
}
TABLES = {name: f"{RESULTS}/{name}.csv" for name in MEASURED if name not in ABSENT}

RELEASED = f"paper/released/{config['study']}"
FROM_RELEASE = config["results"] == "released"
# What was done, in full: the text describes it, and the manifest of the study records it.
SETTINGS = studies.recorded(config, MODELS)
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
    # What the authors say of the plan is said of the study, whenever it was released.
    SETTINGS = {**release["settings"], "deviations": config["deviations"]}
    READ = {name: f"{RELEASED}/{name}.csv" for name in release["tables"]}
    MANIFEST = f"{RELEASED}/{released.MANIFEST}"
else:
    READ = TABLES
    MANIFEST = f"{RESULTS}/{released.MANIFEST}"
    # Once, and not in every job.
    if workflow.is_main_process and Path(MANIFEST).is_file():
        with one_line():
            finished = read_json(MANIFEST).get("settings", {})
        different = released.difference_in_words(SETTINGS, finished, "made")
        if different:
            print(
                f"note: {RESULTS} was made with another configuration: {different};"
                " what differs is made again",
                file=sys.stderr,
            )
# What was measured on a GPU by itself is part of every study's paper, once it is released.
CARD_PARTS = set()
if Path(released.CARD_RECORD).is_file():
    with one_line():
        released.check_card()
    READ = {**READ, "card": released.CARD_RECORD}
    CARD_PARTS = set(released.card_parts())
# What claims may be about.
CLAIMABLE = {
    name: path
    for name, path in READ.items()
    if name
    not in (
        *("segmentation", "tokenizers", "card", "tasks", "task_data"),
        *("baselines", "fronts"),
    )
}
# Of a study whose fronts alone are released, only what concerns them is shown.
FRONTS_ONLY = "metrics" not in READ

# What notebooks may read: the tables of measurements, and what follows from them: verdicts on
# claims, and how the fronts compare.
LEDGER = f"{RESULTS}/claims.csv"
FOLLOWING = {
    **({} if FRONTS_ONLY else {"claims": LEDGER}),
    **({"front_measures": f"{RESULTS}/front_measures.csv"} if "fronts" in READ else {}),
}
READABLE = {**READ, **FOLLOWING}
DERIVED = ["claims", "front_measures"]

# The options that name these tables to what reads all of them.
TABLE_OPTIONS = [
    f"--{name}={path}" for name, path in READABLE.items() if name != "claims"
]
LEDGER_OPTIONS = [] if FRONTS_ONLY else ["--claims", LEDGER, "--sources", CLAIMS]

# The numbers of the paper, by name.
NUMBERS = f"{RESULTS}/numbers.csv"

NOTEBOOK_FOLDER = Path(os.path.relpath(f"{workflow.basedir}/notebooks"))
# Once, and not in every job.
ALL_NOTEBOOKS = notebooks.declared(
    NOTEBOOK_FOLDER,
    [*TABLES, *ABSENT, "card", *DERIVED],
    notes=workflow.is_main_process,
)
NOTEBOOKS = {
    name: facts
    for name, facts in ALL_NOTEBOOKS.items()
    if set(facts["tables"]) <= set(READABLE)
    and set(facts.get("parts", [])) <= CARD_PARTS
}
FIGURES = [name for name, facts in NOTEBOOKS.items() if facts["kind"] == "figure"]
TABLE_NAMES = [name for name, facts in NOTEBOOKS.items() if facts["kind"] == "table"]


def check_targets(words):
    """Refuse a figure or table that does not exist, before Snakemake does in many lines."""
    for word in words:
        if word == "html" and FRONTS_ONLY:
            raise UserError(
                f"html: {RELEASED} has the fronts of the study alone, and its page shows the final"
                " runs as well; make paper"
            )
        kind, underscore, name = word.partition("_")
        if kind not in ("fig", "table") or not underscore or "." in name:
            continue
        same = FIGURES if kind == "fig" else TABLE_NAMES
        if name in same:
            continue
        broken = NOTEBOOK_FOLDER / f"{name}.ipynb"
        if name not in ALL_NOTEBOOKS and broken.exists():
            notebooks.facts(broken, [*TABLES, *ABSENT, "card", *DERIVED])
        if name in ALL_NOTEBOOKS and name not in NOTEBOOKS:
            facts = ALL_NOTEBOOKS[name]
            if "card" in facts["tables"]:
                raise UserError(
                    f"{word}: {released.CARD} has no {facts['parts'][0]}.csv, which it reads; "
                    "measure on a GPU and release it (docs/gpu.md)"
                )
            missing = sorted(set(facts["tables"]) - set(READABLE))
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


def in_paper(name):
    """Whether the paper may show a figure or table: that of fronts alone shows nothing else."""
    return not FRONTS_ONLY or "front_measures" in NOTEBOOKS[name]["tables"]


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
