"""Import what training and evaluation need, once, and fork a process for each job that asks.

The workflow starts this in the background (Snakefile); it ends with its standard input. See
`jadapt.workflow.preloaded`.
"""

from __future__ import annotations

import argparse
import pkgutil
import runpy
from collections.abc import Iterator

from jadapt.core.paths import PACKAGE
from jadapt.workflow.preloaded_server import serve

ROOMS = ("data", "models", "methods", "training", "evaluation")
# Loaded by name, when a model of that shape is.
BY_NAME = ("transformers.models.qwen2.modeling_qwen2", "transformers.models.llama.modeling_llama")


def modules() -> Iterator[str]:
    """Yield every module of the rooms that train and evaluate, and what these load by name."""
    for room in ROOMS:
        folder = PACKAGE / room
        for module in pkgutil.walk_packages([str(folder)], f"{PACKAGE.name}.{room}."):
            yield module.name
    yield from BY_NAME


def main() -> str:
    """Serve; in a child, return the script of its job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", nargs="*", help="import these instead")
    arguments = parser.parse_args()
    return serve(modules() if arguments.modules is None else arguments.modules)


if __name__ == "__main__":
    runpy.run_path(main(), run_name="__main__")
