"""A study as programs outside the workflow see it: its configuration, its runs, its folders."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jadapt.config import layers, runs, validation, yaml_files
from jadapt.config.layers import merged as merged
from jadapt.config.origins import Origin
from jadapt.core.errors import UserError
from jadapt.core.files import read_json
from jadapt.core.paths import ROOT
from jadapt.core.released import MANIFEST

CONFIG = Path("config/config.yaml")
CATALOGUE, MODELS = validation.CATALOGUE, validation.MODELS


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
    def fronts(self) -> list[str]:
        """The runs that have a front."""
        return [run for run in self.config["methods"] if runs.has_front(self.config, run)]

    def front(self, run: str, kind: str) -> Path:
        """Return a file of a front: its table (``csv``), its losses by document (``parquet``), or
        the chosen point (``json``)."""
        return self.results / "fronts" / f"{run}.{kind}"

    @property
    def tokenizer(self) -> Path:
        """The path of the tokenizer's model."""
        return self.results / "tokenizer" / runs.tokenizer_file(self.config["tokenizer"])

    @property
    def token_files(self) -> list[str]:
        """The token files that runs and evaluations read, as ``domain/split``."""
        trained = dict.fromkeys(
            [
                *runs.base_domains(self.config),
                *runs.known_domains(self.config),
                *self.config["sequence"],
            ]
        )
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
    config = settings(arguments.configfile)
    name = config["study"]
    return Study(
        config,
        tuple(arguments.configfile),
        arguments.results or Path("results") / name,
        arguments.released or Path("paper/released") / name,
    )


def settings(files: Sequence[str | Path], values: Iterable[str] = ()) -> dict[str, Any]:
    """Read and check a study, with the catalogue of corpora and the models that it draws on.

    Args:
        files: its files, as for `layers.read`.
        values: what ``--config`` says.

    Raises:
        UserError: the first fault; one line.
    """
    study = layers.read(files, values)
    return validation.validate(study.content, read_catalogue(), read_models(), study.origin)


def recorded(config: dict[str, Any], models: dict[str, Any]) -> dict[str, Any]:
    """Return what is recorded as the configuration of a study: what was done, in full.

    Args:
        config: of `settings`.
        models: of `read_models`, whose entry of the study's model is put in.
    """
    name = config["model"]
    # Where files were looked for is no part of what was done.
    elsewhere = dict.fromkeys(("mirror", "downloads", "results", "tensorboard"))
    return {**config, "model": {"name": name, **models["models"][name]}, **elsewhere}


def read_catalogue() -> dict[str, Any]:
    """Read and check config/corpora.yaml."""
    document = yaml_files.read_document(ROOT / CATALOGUE)
    validation.check_catalogue(document.content, _named(document, CATALOGUE))
    return document.content


def read_models() -> dict[str, Any]:
    """Read and check config/models.yaml."""
    document = yaml_files.read_document(ROOT / MODELS)
    validation.check_models(document.content, _named(document, MODELS))
    return document.content


def _named(document: yaml_files.Document, name: str) -> Origin:
    """Return the origin of a file of the repository under its name there."""
    return Origin(name, {keys: f"{name}:{line}" for keys, line in document.lines.items()})
