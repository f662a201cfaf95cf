"""A study as programs outside the workflow see it: its configuration, its runs, its folders."""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jadapt.config import runs, validation, yaml_files
from jadapt.core.errors import UserError
from jadapt.core.files import read_json
from jadapt.core.paths import ROOT
from jadapt.core.released import MANIFEST

CONFIG = Path("config/config.yaml")


@dataclass(frozen=True)
class Study:
    """A study: its checked configuration and where its results lie.

    The layout below ``results`` is that of the rules; tests compare the two.
    """

    config: dict[str, Any]
    files: tuple[Path, ...]
    results: Path
    released: Path

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.config["study"]

    @property
    def runs(self) -> list[tuple[str, int]]:
        """Every run as (name, seed), the base model first."""
        return [
            ("base", runs.base_seed(self.config)),
            *((run, seed) for run in self.config["methods"] for seed in self.config["seeds"]),
        ]

    def run_file(self, run: str, seed: int) -> Path:
        """Return the path of ``run.json``."""
        return self.results / "runs" / run / f"seed{seed}" / "run.json"

    def evaluation(self, run: str, seed: int) -> Path:
        """Return the path of a run's evaluation."""
        return self.results / "evaluation" / run / f"seed{seed}.csv"

    def table(self, name: str) -> Path:
        """Return the path of a table."""
        return self.results / f"{name}.csv"

    @property
    def searches(self) -> list[Path]:
        """The learning-rate grids and ablations of the study."""
        grids = [run for run in self.config["methods"] if runs.has_grid(self.config, run)]
        return [
            *(self.results / "search" / f"{run}.csv" for run in grids),
            *(self.results / "ablations" / f"{name}.csv" for name in self.config["ablations"]),
        ]

    @property
    def tokenizer(self) -> Path:
        """The path of the tokenizer's model."""
        return self.results / "tokenizer" / runs.tokenizer_file(self.config["tokenizer"])

    @property
    def token_files(self) -> list[str]:
        """The token files that runs and evaluations read, as ``domain/split``."""
        trained = dict.fromkeys([*runs.base_domains(self.config), *self.config["sequence"]])
        return [
            *(f"{domain}/{split}" for domain in trained for split in ("train", "validation")),
            *(f"{domain}/test" for domain in self.config["evaluation"]["domains"]),
        ]

    def tokens(self, name: str) -> Path:
        """Return the path of the ``meta.json`` of a token file, ``name`` as in `token_files`."""
        return self.results / "tokens" / name / "meta.json"

    def corpus(self, domain: str) -> Path:
        """Return the path of the manifest of a corpus."""
        return self.results / "corpora" / domain / "manifest.json"

    def manifest(self) -> dict:
        """Read the manifest of the results of this machine."""
        path = self.results / MANIFEST
        if not path.is_file():
            raise UserError(f"{path}: missing; build the study first (make paper)")
        return read_json(path)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a study."""
    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[CONFIG], metavar="YAML",
        help="the study; a later file overrides an earlier one, as for snakemake",
    )  # fmt: skip
    parser.add_argument("--results", type=Path, help="default: results/{study}")
    parser.add_argument("--released", type=Path, help="default: paper/released/{study}")


def load(arguments: argparse.Namespace) -> Study:
    """Read and check the study that the options of `add_arguments` name."""
    config: dict[str, Any] = {}
    for path in arguments.configfile:
        config = merged(config, yaml_files.read_yaml(path))
    origin = ", ".join(map(str, arguments.configfile))
    catalogue = yaml_files.read_yaml(ROOT / "config/corpora.yaml")
    models = yaml_files.read_yaml(ROOT / "config/models.yaml")
    config = validation.validate(config, catalogue, models, origin)
    name = config["study"]
    return Study(
        config,
        tuple(arguments.configfile),
        arguments.results or Path("results") / name,
        arguments.released or Path("paper/released") / name,
    )


def merged(old: dict, new: dict) -> dict:
    """Return ``old`` with the values of ``new``, section by section, as Snakemake merges files."""
    result = copy.deepcopy(old)
    for key, value in new.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result
