"""A real SLURM on this machine, and a reduced study for it."""

import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import yaml

from working_copy import ROOT, Clone

SCRIPT = Path(__file__).with_name("one_node_slurm.sh")
# Always the same folder: what a killed session left running there is found and stopped.
FOLDER = Path(tempfile.gettempdir()) / "jadapt_test_slurm"
SITE = {"every_stage": {"slurm_account": "acc", "slurm_partition": "cpu"}}
STUDY = "reduced.yaml"


class Slurm:
    """A one-node cluster with accounting, the partitions `cpu` and `gpu`, and the account `acc`."""

    def __init__(self):
        self.environment = {**os.environ, "SLURM_CONF": str(FOLDER / "etc/slurm.conf")}

    def up(self, gpus=2):
        """Start it; more processors and memory than the machine has, since little is used."""
        knobs = {"GPUS": str(gpus), "CPUS": "4", "MEM_MB": "32000"}
        self._script("up", knobs)

    def down(self, forget=False):
        """Stop it, with all jobs; ``forget`` what it has kept of them, too."""
        self._script("down", {}, *(["--purge"] if forget else []))

    def _script(self, command, knobs, *options):
        # Into a file: the daemons that it starts would keep a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                ["bash", SCRIPT, command, FOLDER, *options], env={**os.environ, **knobs},
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            output.seek(0)
            assert done.returncode == 0, output.read()

    def ask(self, *command):
        """Run a command of SLURM and return what it prints."""
        done = subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def queue(self):
        """Return the jobs in the queue: comment to (id, state)."""
        lines = self.ask("squeue", "--noheader", "--format", "%k\t%i\t%T").splitlines()
        return {words[0]: (words[1], words[2]) for words in (line.split("\t") for line in lines)}

    def history(self, comment):
        """Return what accounting knows of the jobs with this comment, the oldest first."""
        fields = ["JobID", "State", "ReqMem", "Timelimit", "Account", "Partition", "AllocTRES"]
        rows = self._accounting("Comment", *fields)
        return [dict(zip(fields, row[1:], strict=True)) for row in rows if row[0] == comment]

    def submitted(self):
        """Return the comments of all jobs that Snakemake ever submitted."""
        return [row[0] for row in self._accounting("Comment") if row[0].startswith("rule_")]

    def _accounting(self, *fields):
        lines = self.ask(
            "sacct", "--allocations", "--duplicates", "--noheader", "--parsable2",
            "--starttime", "now-1days", "--format", ",".join(fields),
        ).splitlines()  # fmt: skip
        return [line.split("|") for line in lines]


class ClusterClone(Clone):
    """A working copy whose Snakemake submits to the cluster, as a user types it."""

    def __init__(self, path, slurm):
        super().__init__(path)
        self.slurm = slurm
        self.environment = {**self.environment, **slurm.environment}
        self.results = path / "results/reduced"
        self.site(SITE)

    def site(self, content):
        """Write the user's own file of accounts, partitions, memory and minutes."""
        path = self.path / "profiles/slurm/local.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")

    def command(self, *words):
        # Looks at the queue more often than the profile would: these jobs are short.
        return [
            "snakemake", "--profile", "slurm", "--slurm-init-seconds-before-status-checks", "4",
            "--configfile", STUDY, "--", *words,
        ]  # fmt: skip

    def start(self, *words):
        """Start Snakemake in the background; its output goes to ``snakemake.log``."""
        with open(self.path / "snakemake.log", "w", encoding="utf-8") as log:
            return subprocess.Popen(
                self.command(*words), cwd=self.path, env=self.environment,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def printed(self):
        return (self.path / "snakemake.log").read_text(encoding="utf-8")

    def freeze(self, folder, process):
        """Stop the training under ``checkpoints/FOLDER`` after a checkpoint; return its process id.

        What then happens to its job meets it in the middle of a task, however fast it trains.
        """
        checkpoints = self.results / "checkpoints" / folder

        def saved():
            assert process.poll() is None, self.printed()
            return any(checkpoints.glob("*/step=*.ckpt"))

        wait_for(saved, f"no checkpoint of {folder}")
        lock = checkpoints.with_name(f"{checkpoints.name}.lock").read_text(encoding="utf-8")
        trainer = int(re.search(r"process (\d+)", lock).group(1))
        os.kill(trainer, signal.SIGSTOP)
        assert not (self.results / "runs" / folder / "run.json").exists()
        return trainer


def wait_for(condition, what, seconds=600):
    """Wait until ``condition()`` holds; looked at so often that a fast run is met in the middle."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} within {seconds} s"
        time.sleep(0.02)


def reduced_study(path):
    """Write the default study with two domains, one task and three runs of a few steps."""
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    settings.update(study="reduced", seeds=[1], seeds_per_job=1, sequence=["everyday"])
    # The studies beside it train nothing that a cluster would treat otherwise.
    settings.update(ablations={}, tokenization=None)
    settings.pop("segmentation")
    domains = ["english", "everyday"]
    documents = dict.fromkeys(domains, 3000)
    settings["corpora"].update(domains=domains, maximum_documents=documents)
    settings["tokenizer"].update(domains=domains, vocabulary_size=2000, maximum_sentences=2000)
    few = {"warmup_steps": 2, "log_interval": 2, "validation_interval": 8}
    settings["training"].update(few, steps=16, validation_tokens=1000, checkpoint_interval=2)
    settings["pretraining"].update(few, steps=16, global_batch_size=8, micro_batch_size=8)
    settings["evaluation"].update(domains=domains, maximum_tokens=2000)
    rates = {"sft": [1e-3, 2e-3], "lora": 5e-3, "replay": 1e-3}
    settings["methods"] = {
        run: {**settings["methods"][run], "learning_rate": rate} for run, rate in rates.items()
    }
    # Dropout, so that a resumed run is seen to go on with the same random numbers.
    settings["methods"]["lora"]["dropout"] = 0.1
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
