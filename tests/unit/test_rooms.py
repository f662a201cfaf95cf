"""The rooms of the package: who may import whom, and what the light ones leave alone."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import jadapt

PACKAGE = Path(jadapt.__file__).parent
# Rooms of one line know each other; each may import those of the lines before it.
ORDER = [
    {"core"},
    {"config"},
    {"workflow"},
    {"corpora"},
    {"tokenization", "segmentation"},
    {"data"},
    {"models"},
    {"methods"},
    {"training"},
    {"evaluation"},
    {"analysis"},
    {"figures"},
    {"paper"},
    {"release"},
]
ROOMS = [room for rooms in ORDER for room in sorted(rooms)]
# The network of the BiLSTM-CRF segmenter, and what trains and applies it.
HEAVY = {f"jadapt.segmentation.{name}" for name in ("network", "neural", "training")}
LIGHT = [
    "core", "config", "workflow", "corpora", "tokenization", "segmentation", "analysis", "figures",
    "paper", "release",
]  # fmt: skip


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_those_before_it(room):
    level = next(i for i, rooms in enumerate(ORDER) if room in rooms)
    allowed = set().union(*ORDER[: level + 1])
    wrong = [
        (path.name, name)
        for path in (PACKAGE / room).rglob("*.py")
        for name in imported(path)
        if name.startswith("jadapt.") and name.split(".")[1] not in allowed
    ]
    assert wrong == []


@pytest.fixture(scope="module")
def loaded():
    """By light room, what of the heavy libraries was loaded after its modules and those before."""
    code = "import importlib, json, sys\nfound = {}\n"
    code += "for room, names in json.load(sys.stdin).items():\n"
    code += "    for name in names: importlib.import_module(name)\n"
    code += "    found[room] = sorted({'torch', 'transformers', 'nemo'} & set(sys.modules))\n"
    code += "print(json.dumps(found))"
    modules = {
        room: sorted(
            {
                ".".join(("jadapt", *path.relative_to(PACKAGE).with_suffix("").parts))
                for path in (PACKAGE / room).rglob("*.py")
            }
            - HEAVY
        )
        for room in LIGHT
    }
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(modules), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("room", LIGHT)
def test_the_light_rooms_load_no_torch(room, loaded):
    assert loaded[room] == []


def test_every_module_lies_in_a_room():
    assert {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"} == {
        "__init__.py",
        *ROOMS,
    }


def test_no_module_leads_back_to_itself():
    graph = {
        ".".join(("jadapt", *path.relative_to(PACKAGE).with_suffix("").parts)): path
        for path in PACKAGE.rglob("*.py")
    }
    graph = {name.removesuffix(".__init__"): set(imported(path)) for name, path in graph.items()}
    for name, others in graph.items():
        # `from package import module` within the package is no import of the package.
        graph[name] = {other for other in others if not f"{name}.".startswith(f"{other}.")}
    done, circles = set(), []

    def visit(name, trail):
        if name in trail:
            circles.append([*trail[trail.index(name) :], name])
        elif name not in done:
            for other in graph[name] & set(graph):
                visit(other, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    assert circles == []


@pytest.mark.parametrize("room", ROOMS)
def test_only_training_knows_nemos_trainer(room):
    users = [
        path.name
        for path in (PACKAGE / room).rglob("*.py")
        for name in imported(path)
        if name in ("nemo.lightning", "lightning.pytorch.Trainer")
    ]
    assert not users or room == "training"
