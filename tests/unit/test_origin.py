"""Which commit and which packages a run names as its own."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from jadapt import origin
from jadapt.files import sha256_file

HEAD = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the code that is no working copy, within a folder that may become one."""
    root = tmp_path / "outer" / "copy"
    root.mkdir(parents=True)
    monkeypatch.setattr(origin, "ROOT", root)
    monkeypatch.setattr(origin, "ARCHIVED", root / ".git_archival.txt")
    monkeypatch.setattr(origin, "__file__", str(root / "origin.py"))
    return root


def repository(folder: Path) -> str:
    """Make a repository of one commit, and return the commit."""
    for words in (
        ["init", "-q"],
        ["-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "--allow-empty", "-m", "m"],
    ):
        subprocess.run(["git", "-C", folder, *words], check=True)
    words = ["git", "-C", folder, "rev-parse", "HEAD"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def test_a_working_copy_is_of_its_head(copy):
    assert origin.commit() is None
    head = repository(copy)
    assert origin.commit() == head
    (copy / "file").touch()
    subprocess.run(["git", "-C", copy, "add", "file"], check=True)
    assert origin.commit() == head + origin.CHANGED


def test_an_archive_is_of_the_commit_that_it_was_made_from(copy):
    origin.ARCHIVED.write_text("$Format:%H$\n")
    assert origin.commit() is None
    origin.ARCHIVED.write_text(f"{HEAD}\n")
    assert origin.commit() == HEAD
    # Also where it was unpacked within something else.
    repository(copy.parent)
    assert origin.commit() == HEAD


def test_git_archive_writes_the_commit_into_a_copy(tmp_path):
    root = Path(__file__).resolve().parents[2]
    head = subprocess.run(
        ["git", "-C", root, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout
    names = [".git_archival.txt", ".gitattributes"]
    made = subprocess.run(
        ["git", "-C", root, "archive", "HEAD", *names], check=True, capture_output=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", tmp_path], input=made, check=True)
    assert (tmp_path / ".git_archival.txt").read_text() == head


def test_the_lock_file_is_named_only_where_its_packages_are(tmp_path, monkeypatch):
    lock = tmp_path / "requirements.lock"
    monkeypatch.setattr(origin, "LOCK", lock)
    assert origin.lock() is None
    lock.write_text(f"pytest=={version('pytest')} \\\n    --hash=sha256:0\nnumpy==0.1\n")
    assert origin.lock(["pytest", "PyYAML"]) == sha256_file(lock)
    assert origin.lock(["pytest", "numpy"]) is None
