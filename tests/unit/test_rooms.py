"""The rooms of the package: who may import whom, and what the light ones leave alone."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import jadapt

PACKAGE = Path(jadapt.__file__).parent
ROOMS = [
    "corpora", "text", "data", "models", "methods", "training", "evaluation", "reporting",
    "publishing",
]  # fmt: skip
# The script classes are a table without dependencies that manifests count with.
EXCEPTIONS = {("corpora", "jadapt.text.scripts")}
# The network of the BiLSTM-CRF segmenter, and what trains and applies it.
HEAVY = {f"jadapt.text.segmentation.{name}" for name in ("network", "neural", "training")}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_those_before_it(room):
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    wrong = [
        (path.name, name)
        for path in (PACKAGE / room).rglob("*.py")
        for name in imported(path)
        if name.startswith("jadapt.")
        and name.split(".")[1] in ROOMS
        and name.split(".")[1] not in allowed
        and not any(
            room == who and (name == what or name.startswith(f"{what}."))
            for who, what in EXCEPTIONS
        )
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ["corpora", "text", "reporting", "publishing"])
def test_the_light_rooms_load_no_torch(room):
    modules = [
        ".".join(("jadapt", *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in (PACKAGE / room).rglob("*.py")
    ]
    code = f"import sys, {', '.join(sorted(set(modules) - HEAVY))}\n"
    code += "heavy = {'torch', 'transformers', 'nemo'} & set(sys.modules)\n"
    code += "sys.exit(', '.join(sorted(heavy)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_only_training_knows_nemos_trainer(room):
    users = [
        path.name
        for path in (PACKAGE / room).rglob("*.py")
        for name in imported(path)
        if name in ("nemo.lightning", "lightning.pytorch.Trainer")
    ]
    assert not users or room == "training"
