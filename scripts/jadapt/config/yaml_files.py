"""YAML files of settings: read so that a fault of the text ends in one line with file and line.

YAML 1.1 reads `12:00` in base 60, `0123` in base 8 and `1e-3` as a word, lets the second of two
equal keys win, and Snakemake passes configuration files through a template engine that runs Python.
All of that is refused here, with how to write what was meant. Imported by the Snakefile on every
call, so it imports nothing heavy.
"""

from __future__ import annotations

import re
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from jadapt.core.errors import UserError

Keys = tuple[str | int, ...]

# No file of settings comes near; a larger one, or aliases of aliases, would only take time.
MAXIMUM_BYTES = 16 << 20
MAXIMUM_VALUES = 500_000
MAXIMUM_DEPTH = 100
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_EXPONENT = re.compile(r"([-+]?)(\d*)\.?(\d*)[eE]([-+]?)(\d+)")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
# Keys by which YTE, the template engine, is told to run Python.
_YTE = ("__use_yte__", "__variables__", "__definitions__")
_SPACES = (("\t", "a tab"), ("\u3000", "an ideographic space (U+3000)"))
_ENCODINGS = (("Shift_JIS", "cp932"), ("EUC-JP", "euc_jp"), ("ISO-2022-JP", "iso2022_jp"))


@dataclass(frozen=True)
class Document:
    """The content of a file, and the line of each of its keys and list items."""

    path: Path
    content: dict[str, Any]
    lines: dict[Keys, int] = field(default_factory=dict)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping; its faults are `UserError`s that name the line."""
    return read_document(path).content


def read_document(path: str | Path) -> Document:
    """Read a YAML file that holds a mapping, with the lines of what is in it.

    Raises:
        UserError: the file is absent, no file, not UTF-8, not YAML, or is read as something else
            than what is written; one line that names the file, the line and the remedy.
    """
    return parse(_text(Path(path)), path)


def _text(path: Path) -> str:
    """Return the text of a regular file in UTF-8, without its byte-order mark."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise UserError(f"{path}: is {kind}; name a YAML file")
        if status.st_size > MAXIMUM_BYTES:
            raise UserError(f"{path}: {status.st_size:,} bytes are too many for settings")
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw:
        raise UserError(f"{path}: is UTF-16, or no text; save it as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8{_remedy(raw)}") from None


def _remedy(raw: bytes) -> str:
    for name, codec in _ENCODINGS:
        try:
            raw.decode(codec)
        except UnicodeDecodeError:
            continue
        return f" but, it seems, {name}; save it as UTF-8 (iconv -f {codec.upper()} -t UTF-8)"
    return " (perhaps Latin-1); save it as UTF-8"


def parse(text: str, path: str | Path) -> Document:
    """Read YAML text; ``path`` is the file that messages name. See `read_document`."""
    if not text.strip():
        raise UserError(f"{path}: is empty")
    try:
        _refuse_depth(text, path)
        node = yaml.compose(text, Loader=_LOADER)
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"{path}: expected a mapping (`key: value` lines)")
        lines = _Walk(path).lines(node)
        loader = _LOADER("")
        try:
            content = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _syntax(text, path, error) from error
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path}: not valid YAML ({error})") from error
    return Document(Path(path), content, lines)


def _refuse_depth(text: str, path: str | Path) -> None:
    """Refuse what is nested so deeply that libyaml, which calls itself, would crash."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAXIMUM_DEPTH:
            line = event.start_mark.line + 1
            raise UserError(f"{path}:{line}: is nested more than {MAXIMUM_DEPTH} levels deep")


def _syntax(text: str, path: str | Path, error: yaml.YAMLError) -> UserError:
    mark = getattr(error, "problem_mark", None)
    problem = " ".join((getattr(error, "problem", None) or str(error)).split())
    if isinstance(error, yaml.reader.ReaderError):
        number = text.count("\n", 0, error.position) + 1
        return UserError(f"{path}:{number}: not valid YAML (a character that is no text)")
    if "expected a single document" in str(error):
        return UserError(f"{path}: holds several documents; keep one, without `---` between them")
    last = mark.line + 2 if mark else text.count("\n") + 1
    for number, line in enumerate(text.splitlines()[:last], 1):
        # The space that is to blame is in an indentation, or near the place that makes no sense.
        indentation = line[: len(line) - len(line.lstrip())]
        part = line.partition("#")[0] if number >= last - 3 else indentation
        for space, name in _SPACES:
            if space in part and line.strip():
                return UserError(f"{path}:{number}: {name} between the words; use spaces")
    place = f":{mark.line + 1}" if mark else ""
    return UserError(f"{path}{place}: not valid YAML ({problem})")


class _Walk:
    """The lines of a YAML tree, and the refusal of what is read as something else than written."""

    def __init__(self, path: str | Path):
        self._path = path
        self._count = 0
        self._open: set[int] = set()

    def lines(self, root: yaml.MappingNode) -> dict[Keys, int]:
        """Return the line of each key and item, by the keys that lead to it."""
        return dict(self._below(root, ()))

    def _below(self, node: yaml.Node, at: Keys) -> Iterator[tuple[Keys, int]]:
        self._count += 1
        if self._count > MAXIMUM_VALUES:
            raise UserError(f"{self._path}: more than {MAXIMUM_VALUES:,} values")
        if isinstance(node, yaml.ScalarNode):
            self._check(node)
            return
        if id(node) in self._open:
            self._refuse(node, f"'{'.'.join(map(str, at))}' contains itself; remove the alias")
        self._open.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                yield (*at, index), item.start_mark.line + 1
                yield from self._below(item, (*at, index))
        else:
            yield from self._mapping(node, at)
        self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, at: Keys) -> Iterator[tuple[Keys, int]]:
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = key.value
            if not isinstance(name, str):
                self._refuse(key, "a key is a word, not a list or a mapping; put it in quotes")
            if key.tag == f"{_TAG}merge":
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in sources:
                    if not isinstance(source, yaml.MappingNode):
                        self._refuse(key, "`<<` takes in a mapping, such as `<<: *name`")
                    yield from self._below(source, at)
                continue
            if name in _YTE or (not key.style and name.startswith("?")):
                self._refuse(key, f"'{name}' would make Snakemake run Python code; remove it")
            self._check(key)
            if name in seen:
                self._refuse(key, f"'{name}' stands here twice, first in line {seen[name]}")
            seen[name] = line
            yield (*at, name), line
            yield from self._below(value, (*at, name))

    def _check(self, node: yaml.ScalarNode) -> None:
        if node.style:
            return  # in quotes, or a block
        text, kind = node.value, node.tag.removeprefix(_TAG)
        if kind in ("int", "float") and ":" in text:
            self._refuse(
                node, f"{text} is read as a number in base 60; write minutes or '{text}' in quotes"
            )
        if kind == "int" and _OCTAL.fullmatch(text):
            plain = text.replace("_", "").lstrip("+-0") or "0"
            self._refuse(
                node,
                f"{text} is read as a number in base 8; write {plain}, or '{text}' in quotes",
            )
        if kind != "str":
            return
        if (found := _EXPONENT.fullmatch(text)) and (found[2] or found[3]) and len(text) < 24:
            number = f"{found[1]}{found[2] or 0}.{found[3] or 0}e{found[4] or '+'}{found[5]}"
            self._refuse(node, f"{text} is read as a word; write {number}")
        plain = unicodedata.normalize("NFKC", text)
        if not text.isascii() and re.fullmatch(r"[-+]?[\d_]*\.?\d+([eE][-+]?\d+)?", plain):
            self._refuse(node, f"{text} has full-width digits; write {plain}")
        for space, name in _SPACES:
            if space in text:
                self._refuse(node, f"{name} in {text!r}; write spaces, or put the text in quotes")

    def _refuse(self, node: yaml.Node, message: str) -> None:
        raise UserError(f"{self._path}:{node.start_mark.line + 1}: {message}")
