"""What an edit of the package's own sources plans anew: the runs that import it, and no others."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from jadapt.config import runs
from jadapt.config.yaml_files import read_yaml
from jadapt.core import paths
from jadapt.methods import registry
from jadapt.workflow import code_hash

TESTS = Path(__file__).parents[2]
CONFIG = read_yaml(paths.ROOT / "config" / "config.yaml")
RUNS = ["base", *CONFIG["methods"]]
MODULES = {run: registry.modules_of(runs.run_settings(CONFIG, run)) for run in RUNS}
PENALISED = {"l2", "ewc", "online_ewc", "lora_ewc"}
LOW_RANK = {"lora", "dora", "lora_replay", "lora_ewc"}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the sources; its `checksums` are those of every run of the default study."""
    tmp_path, monkeypatch = tmp_path_factory.mktemp("package"), pytest.MonkeyPatch()
    shutil.copytree(paths.SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pyc*"))
    monkeypatch.setattr(code_hash, "SCRIPTS", tmp_path / "scripts")
    monkeypatch.setattr(code_hash, "PACKAGE", tmp_path / "scripts" / "jadapt")
    monkeypatch.setattr(code_hash, "CACHE", tmp_path / "code.json")
    monkeypatch.setattr(code_hash, "_new", {})
    yield Package(tmp_path / "scripts" / "jadapt")
    monkeypatch.undo()
    Package.forget()


class Package:
    """The sources below a folder, and what runs follow of them."""

    def __init__(self, folder):
        self.folder = folder
        self.forget()
        self.checksums()
        code_hash.save_cache()
        # From here on a source that is as it was is found in the cache.
        self.forget()
        self.before = self.checksums()

    @staticmethod
    def forget(*names):
        for cached in names or ("closure", "_file_of", "_source", "_cache"):
            getattr(code_hash, cached).cache_clear()

    @staticmethod
    def checksums():
        return {run: code_hash.checksum("train.py", *MODULES[run]) for run in RUNS}

    def changed_by(self, file, edit):
        """Return the runs that an edit of a file plans anew, and take the edit back."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8") if path.exists() else None
        path.write_text(edit(text or ""), encoding="utf-8")
        self.forget("closure", "_source")
        after = self.checksums()
        path.write_text(text, encoding="utf-8") if text is not None else path.unlink()
        return {run for run in RUNS if self.before[run] != after[run]}


def appended(text):
    return f"{text}\n_CHANGED = 1\n"


def test_any_module_counts_for_exactly_the_runs_that_import_it(package, monkeypatch):
    imports = {run: set(code_hash.closure("train.py", *MODULES[run])) for run in RUNS}
    read = code_hash._source
    for path in sorted(package.folder.rglob("*.py")):
        # As if a line had been changed; below, files are edited.
        monkeypatch.setattr(
            code_hash,
            "_source",
            lambda asked, edited=path: replace(read(asked), computation="another")
            if asked == edited
            else read(asked),
        )
        after = package.checksums()
        file = path.relative_to(package.folder)
        name = ".".join(("jadapt", *file.with_suffix("").parts)).removesuffix(".__init__")
        expected = {run for run in RUNS if name in imports[run]}
        assert {run for run in RUNS if package.before[run] != after[run]} == expected, name


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("core/bucketing.py", set(RUNS)),
        ("training/module.py", set(RUNS)),
        ("methods/base.py", set(RUNS)),
        ("methods/continual/fisher.py", PENALISED),
        ("methods/continual/quadratic.py", PENALISED),
        ("methods/continual/projection.py", {"gem", "agem"}),
        ("methods/peft/lora_layers.py", LOW_RANK),
        ("methods/peft/dora_layers.py", {"dora"}),
        ("methods/peft/houlsby_layers.py", {"houlsby"}),
        ("methods/peft/prefix_layers.py", {"prefix"}),
        ("methods/peft/den_units.py", {"den"}),
        ("analysis/labels.py", set()),
        ("figures/style.py", set()),
        ("paper/template.py", set()),
        ("release/manifest.py", set()),
    ],
)
def test_each_run_follows_what_it_is(package, file, expected):
    assert package.changed_by(file, appended) == expected


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("methods/peft/lora.py", 'label = "LoRA"', 'label = "Low rank"'),
        ("methods/peft/lora.py", "*LoRA* @lora freezes", "*LoRA* freezes"),
        ("methods/peft/lora.py", "#d55e00", "#123456"),
        ("methods/peft/lora.py", "order = 20", "order = 25"),
        ("methods/peft/lora.py", "Rank r of the update.", "The rank."),
        ("methods/peft/lora.py", "examples=[16]", "examples=[32]"),
        ("methods/peft/lora.py", "\n    def check(", "\n    # A comment.\n    def check("),
        ("methods/continual/ewc.py", 'stores = "the weights', 'stores = "weights'),
    ],
)
def test_what_readers_see_plans_no_run(package, file, old, new):
    def edit(text):
        assert old in text
        return text.replace(old, new)

    assert package.changed_by(file, edit) == set()


def test_a_bound_of_a_hyperparameter_plans_its_runs(package):
    edited = package.changed_by(
        "methods/peft/lora.py",
        lambda text: text.replace(
            "rank: int = Field(examples=[16], ge=1", "rank: int = Field(ge=2"
        ),
    )
    assert edited == LOW_RANK


def test_a_new_method_plans_no_other_run(package):
    source = (TESTS / "bitfit.py").read_text(encoding="utf-8")
    assert package.changed_by("methods/peft/bitfit.py", lambda text: source) == set()


@pytest.mark.parametrize("name", ["lora_ewc", "houlsby_gem", "den"])
def test_a_training_loads_nothing_that_it_does_not_follow(name, tmp_path):
    code = (
        "import json, sys\nfrom pathlib import Path\nimport tiny_study\n"
        "from jadapt.training.module import AdaptationModule\n"
        "study = tiny_study.build(Path('study'))\n"
        f"run = tiny_study.run(study, Path('work'), AdaptationModule(study / 'model'),"
        f" **tiny_study.RUNS['{name}'], steps=4, checkpoint_interval=4, validation_interval=4)\n"
        "run.train(); run.publish()\n"
        "from jadapt.methods import registry\n"
        "loaded = [m for m in sys.modules if m.partition('.')[0] == 'jadapt']\n"
        "json.dump([registry.modules_of(run.settings), loaded], open('loaded.json', 'w'))\n"
    )
    path = [str(paths.SCRIPTS), str(TESTS / "unit"), str(TESTS)]
    code = f"import sys; sys.path[:0] = {path!r}\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    own, loaded = json.loads((tmp_path / "loaded.json").read_text())
    # What the tests' own small models are made with is no part of a run.
    helpers = {"jadapt.models.scratch", "jadapt.data.tokens"}
    assert set(loaded) - helpers <= set(code_hash.closure("train.py", *own))
