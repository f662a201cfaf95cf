"""Small files that are either whole or absent, and the formats that rules exchange."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from jadapt.core.errors import UserError


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success fsync and rename it, on failure remove it.

    A reader therefore sees the old file or the whole new one, never a part, also after SIGKILL or
    a loss of power.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        sync(temporary)
        # mkstemp creates files that only their owner can read; outputs follow the user's umask.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replaced_folder(target: str | Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``target`` on success, whole or not at all.

    On failure ``target`` stays as it was.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as name:
        new, old = Path(name) / "new", Path(name) / "old"
        new.mkdir()
        yield new
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise


def free_space(directory: str | Path) -> str:
    """Return the free disk space at a folder, in words."""
    return f"{shutil.disk_usage(directory).free / 2**20:,.0f} MiB free"


def sync(path: str | Path) -> None:
    """Sync a file, or the directory entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256_file(path: str | Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read in blocks."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented UTF-8 JSON, atomically."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or not valid JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run again") from error


def write_jsonl(path: str | Path, records: Iterable[dict]) -> int:
    """Write one JSON object per line, atomically; return their number."""
    count = 0
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as stream:
        for record in records:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_jsonl(path: str | Path) -> Iterator[dict]:
    """Yield the objects of a JSON-lines file of this project; one bad line is fatal."""
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                yield json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise UserError(f"{path}:{number}: not a line of UTF-8 JSON ({error})") from error


def read_log(path: str | Path) -> list[dict]:
    """Return the objects of a JSON-lines log that was or is being written; [] without a file.

    The last line may be a part of one, where a process ended or writes at this moment.
    """
    path = Path(path)
    records = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            records.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return records


def named_path(text: str) -> tuple[str, Path]:
    """Split a command-line value ``NAME=PATH``."""
    name, separator, path = text.partition("=")
    if not separator:
        raise UserError(f"{text}: expected NAME=PATH")
    return name, Path(path)


def load_settings(text: str) -> dict:
    """Read the value of ``--settings``: a JSON object, or the path of a JSON or YAML file."""
    origin = "--settings"
    if not text.lstrip().startswith("{"):
        origin = f"--settings {text}"
        try:
            text = Path(text).read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"{origin}: {error.strerror}") from error
    try:
        # JSON first: YAML would read its 2e-05 as a word.
        settings = json.loads(text)
    except json.JSONDecodeError:
        try:
            settings = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f"{origin}: neither JSON nor YAML ({error})") from error
    if not isinstance(settings, dict):
        raise UserError(f"{origin}: expected a mapping")
    return settings
