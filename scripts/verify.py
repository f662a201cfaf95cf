"""Compare the results of this machine with the released ones, and say where they differ."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from jadapt.config import runs, studies, yaml_files
from jadapt.core import notebooks, released
from jadapt.core.errors import UserError, nearest, run
from jadapt.core.files import read_json
from jadapt.core.tables import FRONTS
from jadapt.evaluation import collection
from jadapt.release import manifest, verification
from jadapt.release.front_records import choice_of

# Compared by checksum, with the text itself.
NOT_COMPARED = ("corpora",)
# Made from files of single runs, so that some runs can be compared alone.
OF_RUNS = ("metrics", "efficiency", "curves")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    studies.add_arguments(parser)
    parser.add_argument("--runs", nargs="+", default=[], help="compare these runs only")
    parser.add_argument("--figure", help="compare what this figure or table is made from")
    parser.add_argument("--targets", action="store_true", help="only print the files to compute")
    parser.add_argument("--inputs", action="store_true", help="only compare the corpora")
    parser.add_argument("--output", type=Path, help="write every compared value there (CSV)")
    return parser.parse_args()


def main() -> int:
    """Compare; exit with 1 when a value is further from the released one than is allowed."""
    arguments = parse()
    study = studies.load(arguments)
    published = released.read(study.released)
    check(arguments, study, published)
    names = tables(arguments, published)
    if arguments.targets:
        print(*targets(arguments, study, names, published), sep="\n")
        return 0
    left_out = compare_inputs(study, published)
    if arguments.inputs:
        return 0
    here, there = machines(arguments, study, published)
    print(kind(here, there))
    exact = here == there
    parts = [
        verification.compare(name, *both(arguments, study, name, left_out, published), exact=exact)
        for name in names
    ]
    return report(pd.concat(parts, ignore_index=True), arguments.output)


def check(arguments: argparse.Namespace, study: studies.Study, published: dict) -> None:
    """Refuse names that mean nothing, and a study that is not the released one."""
    for name in arguments.runs:
        if name not in study.config["methods"]:
            raise UserError(f"run '{name}': unknown{nearest(name, study.config['methods'])}")
    folder = studies.ROOT / "notebooks"
    known = sorted(path.stem for path in folder.glob("*.ipynb"))
    if arguments.figure and arguments.figure not in known:
        raise UserError(f"figure '{arguments.figure}': unknown{nearest(arguments.figure, known)}")
    settings = {**published["settings"], "model": published["settings"]["model"]["name"]}
    if different := released.difference_in_words(study.config, settings):
        raise UserError(f"{study.released}: of another configuration: {different}")


def tables(arguments: argparse.Namespace, published: dict) -> list[str]:
    """Return the names of the tables to compare."""
    names = list(published["tables"])
    if arguments.runs:
        names = [name for name in (*OF_RUNS, FRONTS.name) if name in names]
    if arguments.figure:
        notebook = studies.ROOT / "notebooks" / f"{arguments.figure}.ipynb"
        read_by_it = notebooks.facts(notebook)["tables"]
        if "card" in read_by_it:
            raise UserError(f"figure '{arguments.figure}': measured on a GPU, not by the study")
        # Verdicts on claims, the only other thing that notebooks read, rest on all tables.
        if set(read_by_it) <= set(names):
            names = read_by_it
    return [name for name in names if name not in NOT_COMPARED]


def targets(
    arguments: argparse.Namespace, study: studies.Study, names: list[str], published: dict
) -> list[str]:
    """Return the files that have to be computed before comparing."""
    # Of fronts, those that were released: a release may grow run by run.
    fronts = compared_fronts(arguments, published) if FRONTS.name in names else []
    files = [str(study.front(run, "csv")) for run in fronts]
    if not arguments.runs:
        return [*(str(study.table(name)) for name in names if name != FRONTS.name), *files]
    if not set(names) & set(OF_RUNS):
        return files
    return [*(str(study.evaluation(*each)) for each in chosen(arguments, study)), *files]


def compared_fronts(arguments: argparse.Namespace, published: dict) -> list[str]:
    """Return the runs whose fronts are compared: the released ones, of those named."""
    released_fronts = published.get("fronts", {})
    return [run for run in released_fronts if not arguments.runs or run in arguments.runs]


def chosen(arguments: argparse.Namespace, study: studies.Study) -> list[tuple[str, int]]:
    """Return the runs to compare as (name, seed): those named, and the base model."""
    wanted = ["base", *arguments.runs]
    return [each for each in study.runs if not arguments.runs or each[0] in wanted]


def compare_inputs(study: studies.Study, published: dict) -> list[str]:
    """Refuse to compare results on other text; return the optional domains to leave out."""
    if not published["corpora"]:
        print(f"note: {study.released} does not say what text it was made from")
        return []
    here = {"tokens": manifest.tokens(study), "corpora": manifest.corpora(study)}
    catalogue = yaml_files.read_yaml(studies.ROOT / "config/corpora.yaml")["domains"]
    wrong, left_out = verification.other_corpora(published, here, catalogue)
    if wrong:
        raise UserError(f"{study.results}: other text than was released: {'; '.join(wrong)}")
    for domain in left_out:
        print(f"The optional domain '{domain}' is on one side only and is not compared.")
    return left_out


def machines(
    arguments: argparse.Namespace, study: studies.Study, published: dict
) -> tuple[verification.Machine, verification.Machine]:
    """Return what the compared runs were made on, here and in the release."""
    machine = verification.Machine.of
    if not published["runs"]:
        return fronts_machines(arguments, study, published)
    found = [read_json(study.run_file(*each)) for each in chosen(arguments, study)]
    here = {
        "runs": [{"run": r["settings"]["run"], "device": r["device"]} for r in found],
        "versions": [r["versions"] for r in found],
    }
    names = [name for name, _ in chosen(arguments, study)]
    return machine(here, names), machine(published, names)


def fronts_machines(
    arguments: argparse.Namespace, study: studies.Study, published: dict
) -> tuple[verification.Machine, verification.Machine]:
    """Return what the compared fronts were made on, of a release that has fronts alone."""
    names = compared_fronts(arguments, published)
    own = [choice_of(study, run)["record"] for run in names]
    there = [published["fronts"][run] for run in names]
    here, old = (
        verification.Machine.of({
            "runs": [{"run": "", "device": str(each.get("device"))} for each in records],
            "versions": [each.get("versions") or {} for each in records],
        })
        for records in (own, there)
    )  # fmt: skip
    return here, old


def kind(here: verification.Machine, there: verification.Machine) -> str:
    """Return in words how the machines differ and what is therefore allowed."""
    if here == there:
        return "The machine is of the same kind as the released one: values have to be equal."
    if here.devices != there.devices:
        words = f"{' and '.join(here.devices)}, released on {' and '.join(there.devices)}"
    else:
        words = "other versions of the packages"
    return (
        f"The machine is of another kind than the released one ({words}): values may differ by "
        f"{verification.FACTOR:g} standard deviations between seeds (with one seed, by "
        f"{verification.ONE_SEED:.0%})."
    )


def both(
    arguments: argparse.Namespace,
    study: studies.Study,
    name: str,
    left_out: list[str],
    published: dict,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a table as released and as it is here, without what is not compared."""
    old = read(study.released / f"{name}.csv")
    if name == FRONTS.name:
        names = compared_fronts(arguments, published)
        new = collection.fronts_table([study.front(run, "csv") for run in names])
        old = old[old["method"].isin(["base", *names])]
    elif arguments.runs:
        new = of_runs(name, study, chosen(arguments, study))
        old = old[old["method"].isin(["base", *arguments.runs])]
    else:
        new = read(study.table(name))
    if "evaluated_on" in old.columns:
        old, new = (t[~t["evaluated_on"].isin(left_out)] for t in (old, new))
    return old, new


def read(path: Path) -> pd.DataFrame:
    """Read a table with its cells as text."""
    if not path.is_file():
        raise UserError(f"{path}: missing; make verify computes it first")
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")


def of_runs(name: str, study: studies.Study, some: list[tuple[str, int]]) -> pd.DataFrame:
    """Make a table of some runs, as the workflow makes it of all."""
    described = [study.run_file(*each) for each in some]
    if name == "metrics":
        known = runs.base_domains(study.config)[0]
        return collection.metrics_table([study.evaluation(*each) for each in some], known)
    if name == "efficiency":
        return collection.efficiency_table(described, study.name)
    logs = [path.with_name("train.jsonl") for path in described]
    return collection.curves_table(logs, described, study.name)


def report(compared: pd.DataFrame, output: Path | None) -> int:
    """Print the comparison; return the exit status."""
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        compared.to_csv(output, index=False)
    print(verification.printed(verification.summary(compared)))
    counts = compared["verdict"].value_counts()
    print(f"\n{len(compared)} values: " + ", ".join(f"{n} {word}" for word, n in counts.items()))
    return int(not compared["verdict"].isin(verification.PASSED).all())


if __name__ == "__main__":
    run(main)
