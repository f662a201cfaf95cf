"""Files by which rules tell programs what to do, where a command line is too short for it.

Linux takes 131,072 bytes in one argument, and a rule's command is one; the settings of a study of
three thousand runs have more, and so have the paths of their results. Imported by the Snakefile on
every call, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from jadapt.core.files import write_text


class Files:
    """The files of a study, written when it starts to run and not in a dry run.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: str):
        self._folder = folder
        self._texts: dict[str, Callable[[], str]] = {}

    def add(self, name: str, text: Callable[[], str]) -> str:
        """Promise a file; return its path. ``text`` is asked for its content once it is written."""
        path = f"{self._folder}/{name}"
        self._texts[path] = text
        return path

    def each(
        self, pattern: str, names: Iterable[str], text: Callable[[str], str]
    ) -> Callable[[Any], str]:
        """Promise a file for each of several names.

        Args:
            pattern: its path with the wildcard in braces, ``runs/{run}.json``.
            names: the values of the wildcard.
            text: returns the content for a name.

        Returns:
            The path by the wildcards of a job, for a rule's ``params``.
        """
        wildcard = pattern[pattern.index("{") + 1 : pattern.index("}")]
        for name in names:
            self.add(pattern.format(**{wildcard: name}), partial(text, name))
        return (
            lambda wildcards: f"{self._folder}/{pattern.format(**{wildcard: wildcards[wildcard]})}"
        )

    def write(self) -> None:
        """Write the files that are not there as they are to be."""
        for name, make in self._texts.items():
            path, text = Path(name), make() + "\n"
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                write_text(path, text)


def lines(paths: Iterable[str]) -> str:
    """Return paths one per line, as argparse reads the file of an ``@file`` argument."""
    return "\n".join(paths)
