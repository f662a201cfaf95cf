"""A method that the project does not have: one file, or one package, and one entry of a study."""

import re
import shutil

import pytest

from working_copy import ROOT

BITFIT = ROOT / "tests" / "bitfit.py"
ENTRY = "  bitfit: {method: bitfit, learning_rate: 1.0e-3}\n"
# What puts the results of all runs together.
COLLECTING = {
    "metrics", "tasks", "curves", "efficiency", "claims", "numbers", "manifest", "figure", "table",
    "paper",
}  # fmt: skip
SITE = "elsewhere/site"


@pytest.fixture
def finished(edited):
    """A clone whose tiny study is finished, as far as Snakemake can tell."""
    edited.pretend_finished("all")
    assert edited.planned("all") == {}
    return edited


def as_a_file(clone):
    shutil.copyfile(BITFIT, clone.path / "scripts/jadapt/methods/peft/bitfit.py")


def as_a_package(clone):
    """What pip leaves behind of a package with an entry point, in a folder of its own."""
    site = clone.path.parent / SITE
    info = site / "jadapt_bitfit-1.0.dist-info"
    info.mkdir(parents=True)
    shutil.copyfile(BITFIT, site / "jadapt_bitfit.py")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: jadapt-bitfit\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[jadapt.methods]\nbitfit = jadapt_bitfit:BitFit\n")
    clone.environment["PYTHONPATH"] = str(site)


@pytest.mark.parametrize("bring", [as_a_file, as_a_package])
def test_a_new_method_plans_its_own_runs_and_what_collects_them(finished, bring):
    assert len(BITFIT.read_text(encoding="utf-8").splitlines()) <= 60
    bring(finished)
    # Its being there changes nothing.
    assert finished.planned("all") == {}
    finished.replace("tests/workflow/tiny.yaml", "methods:\n", f"methods:\n{ENTRY}")
    planned = finished.planned("all")
    assert (planned.pop("adapt"), planned.pop("evaluate")) == (1, 1)
    assert set(planned) <= COLLECTING and {"metrics", "curves", "figure", "paper"} <= set(planned)
    output = finished.run("all", options=["-n"]).stdout
    for work in ("Adapting by", "Evaluating"):
        assert set(re.findall(rf"{work} (\w+)", output)) == {"bitfit"}

    # It composes with what changes rows, loss and gradient, and is refused by its own bounds.
    study = finished.path / "tests/workflow/tiny.yaml"
    own = ENTRY.strip().removeprefix("bitfit: {").removesuffix("}")
    replay = "replay: {ratio: 0.25, memory_rows: 4}"
    ewc = "ewc: {strength: 1.0, fisher: sampled, rows: 64, draws: 1}"
    finished.replace(
        study, ENTRY, f"{ENTRY}  bitfit_replay: {{{own}, continual: {{{replay}}}}}\n"
        f"  bitfit_ewc: {{{own}, continual: {{{ewc}}}}}\n",
    )  # fmt: skip
    assert finished.planned("all")["adapt"] == 3
    finished.replace(study, ENTRY, ENTRY.replace("bitfit,", "bitfit, querys_only: true,"))
    output = finished.run("all", options=["-n"], check=False)
    assert output.returncode == 1
    assert "methods.bitfit.querys_only'; did you mean 'queries_only'?" in output.stdout

    # It is called by its name wherever readers look.
    page = finished.shell(
        "python", "-c", "import sys; sys.path.insert(0, 'scripts')\n"
        "from jadapt.analysis import labels, method_docs\n"
        "print(labels.method_label('bitfit_ewc'), method_docs.page())",
    ).stdout  # fmt: skip
    assert page.startswith("BitFit + EWC ") and "### BitFit (`bitfit`)" in page
