"""Every Snakemake command that the documentation shows is taken as it is meant."""

import re
import shlex
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

ROOT = Path(__file__).resolve().parents[3]
DOCS = [f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")]
SOURCES = ["README.md", "CONTRIBUTING.md", *DOCS]
SOURCES += [f"config/{path.name}" for path in (ROOT / "config").glob("*.yaml")]
# At the beginning of a line, or of a comment; three dots stand for what the reader has in mind.
COMMAND = re.compile(r"^(?:# +)?(snakemake (?:-|all|fronts).*)$", re.MULTILINE)


def commands():
    for name in SOURCES:
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        for command in COMMAND.findall(text):
            if "..." not in command:
                yield pytest.param(command, id=f"{name}: {command[:60]}")


@pytest.mark.parametrize("command", commands())
def test_a_command_names_its_target_and_configurations(command):
    """Options that take several values take a target that follows them, too."""
    words = shlex.split(command, comments=True)[1:]
    taken = get_argument_parser().parse_args(words)
    assert taken.targets
    for path in taken.configfile or []:
        assert (ROOT / path).is_file() or path.name == "my_changes.yaml", path


def test_commands_are_found():
    assert len(list(commands())) > 10
