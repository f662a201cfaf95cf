# Adapting an English language model to Japanese without forgetting: from the corpora to the paper.
#
#   snakemake --cores 2 all                      the default study, config/config.yaml
#   snakemake --cores 2 fig_convergence          one figure and what it needs
#   snakemake --configfile MY.yaml --cores 2 all another study
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir, "scripts")))

from jadapt import clocks, cluster, leftovers
from jadapt.errors import one_line
from jadapt.schemas import read_yaml

# A study given on the command line replaces the default one instead of being mixed into it.
if not workflow.configfiles:
    with one_line():
        read_yaml(f"{workflow.basedir}/config/config.yaml")

    configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/texts.smk"
include: "rules/tables.smk"
include: "rules/corpora.smk"
include: "rules/tokenizers.smk"
include: "rules/segmentation.smk"
include: "rules/training.smk"
include: "rules/evaluation.smk"
include: "rules/claims.smk"
include: "rules/publishing.smk"
include: "rules/tokenization.smk"
include: "rules/paper.smk"
include: "rules/page.smk"


rule all:
    default_target: True
    input:
        rules.paper.output,
        # Named as well: Snakemake does not miss a file that only lies between two others.
        READ.values(),


# Jobs of a Snakemake that was killed would be submitted a second time.
onstart:
    with one_line():
        leftovers.refuse(Path.cwd())
    # IPython makes its own folder in one that is there, or takes one for temporary files.
    CACHE.mkdir(exist_ok=True)
    # Whatever rules read: a file of the future would fail the jobs that read it.
    clocks.bring_to_now([RESULTS, DOWNLOADS, "config", "notebooks", "paper"])


# SLURM's own words for a job it refused are far up by now.
onerror:
    for _line in cluster.explain(log):
        print(_line, file=sys.stderr)
