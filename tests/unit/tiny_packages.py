"""Packages that pip takes from a folder, and the entries of the catalogue that pin them."""

import hashlib
import io
import tarfile
import zipfile

BACKEND = """
from pathlib import Path

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    info = Path(directory) / "tinycorpus-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: tinycorpus\\nVersion: 1.0\\n")
    return info.name
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_sdist(directory):
    """An sdist whose metadata needs no other package, so that no index is asked."""
    directory.mkdir()
    path = directory / "tinycorpus-1.0.tar.gz"
    files = {"pyproject.toml": PROJECT, "backend.py": BACKEND, "text.txt": "text\n"}
    files["PKG-INFO"] = "Metadata-Version: 2.1\nName: tinycorpus\nVersion: 1.0\n"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"tinycorpus-1.0/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    return path


def make_wheel(directory):
    directory.mkdir()
    path = directory / "tinycorpus-1.0-py3-none-any.whl"
    info = "tinycorpus-1.0.dist-info"
    metadata = "Metadata-Version: 2.1\nName: tinycorpus\nVersion: 1.0\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def package(path, **changes):
    entry = {"kind": "pypi", "package": "tinycorpus", "version": "1.0", "file": path.name}
    return entry | {"sha256": sha256(path)} | changes
