"""A copy of the repository in an empty folder, as a newcomer has it, and how to run it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOWNLOADS = Path("resources") / "downloads"


def share_downloads(source, target):
    """Link the packages of one working copy into another, without Snakemake's record of them.

    Packages are fetched once for all test sessions and for `make paper`; each copy still runs its
    own download jobs, which verify what they find.
    """
    for path in (source / DOWNLOADS).glob("*/*"):
        copy = target / path.relative_to(source)
        if path.is_file() and path.suffix in (".gz", ".whl") and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, copy)
            except OSError:
                shutil.copy2(path, copy)


def copy_repository(target):
    """Copy what git tracks or would track, symbolic links as they are."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, names):
        source = ROOT / name
        if source.is_symlink() or source.exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)
    commit(target)


def commit(folder):
    """Make a folder a git repository in which everything is committed, as a clone is."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "clone"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)


class Clone:
    """A working copy with commands run in it."""

    def __init__(self, path):
        self.path = path
        self.environment = {**os.environ, "JADAPT_MIRROR": ""}
        self.studies = ["config/config.yaml", "tests/workflow/tiny.yaml"]

    def command(self, *words):
        """Return a Snakemake command for the tiny study."""
        return [
            "snakemake", "--cores", "2", "--show-failed-logs", "--configfile", *self.studies,
            "--", *words,
        ]  # fmt: skip

    def run(self, *words, options=(), check=True):
        """Run Snakemake to its end; return what it printed and its exit status."""
        command = self.command(*words)
        at = command.index("--configfile")
        return self.shell(*command[:at], *options, *command[at:], check=check)

    def shell(self, *command, check=True):
        """Run a command at the root of the clone."""
        done = subprocess.run(
            command, cwd=self.path, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, done.stdout
        return done

    def replace(self, file, old, new):
        """Change words of a file once; they have to be there."""
        path = self.path / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def pretend_finished(self, *targets):
        """Make Snakemake believe that the targets are there, made by the code as it is now.

        All outputs are empty, as far as they can be: what a change of the code plans anew can be
        asked without the minutes that making them would take.
        """
        missing = re.compile(r"not touched because they don't exist: (.*)")
        output = self.run(*targets, options=["--touch"], check=False).stdout
        for name in {name for found in missing.findall(output) for name in found.split(", ")}:
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".json":
                path.write_text("{}", encoding="utf-8")
            elif path.suffix:
                path.touch()
            else:
                path.mkdir(exist_ok=True)
        self.run(*targets, options=["--touch"])

    def planned(self, *words, options=()):
        """Return the rules that a dry run would execute, the target `all` left out."""
        output = self.run(*words, options=["-n", *options]).stdout
        lines = output.splitlines()
        if not any(line.startswith("Job stats:") for line in lines):
            return {}
        start = next(i for i, line in enumerate(lines) if line.startswith("Job stats:")) + 3
        jobs = {}
        for line in lines[start:]:
            if not line.strip():
                break
            name, count = line.split()
            jobs[name] = int(count)
        return {name: count for name, count in jobs.items() if name not in ("total", "all")}
