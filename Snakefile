# Adapting an English language model to Japanese without forgetting: from the corpora to the paper.
#
#   snakemake --cores 2 all                      the default study, config/config.yaml
#   snakemake --cores 2 fig_convergence          one figure and what it needs
#   snakemake --configfile MY.yaml --cores 2 all another study
import os
import sys
from pathlib import Path

import snakemake

if int(snakemake.__version__.partition(".")[0]) < 9:
    # At once, and past an older Snakemake's own way of printing exceptions.
    sys.stderr.write(
        f"error: this is Snakemake {snakemake.__version__}, of another environment; version 9 is "
        "needed: make setup, then put .venv/bin first on PATH\n"
    )
    sys.stderr.flush()
    os._exit(1)

# The package of this very copy, also in an environment that has none.
sys.path.insert(0, f"{workflow.basedir}/scripts")

from jadapt.core import code_version
from jadapt.core.errors import one_line
from jadapt.workflow import (
    code_hash,
    mtimes,
    preloaded,
    settings_files,
    slurm_answers,
    stale_jobs,
    surroundings,
)

# What libraries keep for the next time lies here, not in the user's home or a folder for temporary
# files.
CACHE = Path(".cache").absolute()
surroundings.settle(os.environ, CACHE, Path(workflow.basedir, "scripts"))


include: "rules/common.smk"
include: "rules/texts.smk"
include: "rules/tables.smk"
include: "rules/corpora.smk"
include: "rules/tokenizers.smk"
include: "rules/segmentation.smk"
include: "rules/training.smk"
include: "rules/tasks.smk"
include: "rules/evaluation.smk"
include: "rules/fronts.smk"
include: "rules/claims.smk"
include: "rules/publishing.smk"
include: "rules/tokenization.smk"
include: "rules/paper.smk"
include: "rules/page.smk"


code_hash.save_cache()

# Imports NeMo once for the jobs that train and evaluate on this machine.
PRELOADED = preloaded.Server()


rule all:
    default_target: True
    input:
        rules.paper.output,
        # Named as well: Snakemake does not miss a file that only lies between two others.
        READ.values(),


# Jobs of a Snakemake that was killed would be submitted a second time.
onstart:
    with one_line():
        stale_jobs.check(Path.cwd())
        surroundings.check_loopback()
    code_version.note()
    # IPython makes its own folder in one that is there, or takes one for temporary files.
    CACHE.mkdir(exist_ok=True)
    # Whatever rules read: a file of the future would fail the jobs that read it.
    mtimes.bring_to_now([RESULTS, DOWNLOADS, "config", "notebooks", "paper"])
    # Only now: a dry run writes nothing, and jobs find them written.
    SETTINGS_FILES.write()
    if workflow.is_main_process and workflow.local_exec:
        PRELOADED.serve(job.rule.conda_env for job in workflow.dag.needrun_jobs())


onsuccess:
    PRELOADED.stop()


# SLURM's own words for a job it refused are far up by now.
onerror:
    PRELOADED.stop()
    for _line in slurm_answers.explain(log):
        print(_line, file=sys.stderr)
