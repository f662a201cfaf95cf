"""Which commit and which packages a run names as its own."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from jadapt.core import code_version
from jadapt.core.files import sha256_file

HEAD = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the code that is no working copy, within a folder that may become one."""
    root = tmp_path / "outer" / "copy"
    root.mkdir(parents=True)
    monkeypatch.setattr(code_version, "ROOT", root)
    monkeypatch.setattr(code_version, "ARCHIVED", root / ".git_archival.txt")
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
    assert code_version.commit() is None
    head = repository(copy)
    assert code_version.commit() == head
    (copy / "file").touch()
    subprocess.run(["git", "-C", copy, "add", "file"], check=True)
    assert code_version.commit() == head + code_version.CHANGED


def test_an_archive_is_of_the_commit_that_it_was_made_from(copy):
    code_version.ARCHIVED.write_text("$Format:%H$\n")
    assert code_version.commit() is None
    code_version.ARCHIVED.write_text(f"{HEAD}\n")
    assert code_version.commit() == HEAD
    # Also where it was unpacked within something else.
    repository(copy.parent)
    assert code_version.commit() == HEAD


def test_git_archive_writes_the_commit_into_a_copy(tmp_path):
    root = Path(__file__).resolve().parents[3]
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
    monkeypatch.setattr(code_version, "LOCK", lock)
    assert code_version.lock() is None
    lock.write_text(f"pytest=={version('pytest')} \\\n    --hash=sha256:0\nnumpy==0.1\n")
    assert code_version.lock(["pytest", "PyYAML"]) == sha256_file(lock)
    assert code_version.lock(["pytest", "numpy"]) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "is no git repository; clone the project"),
        (FileNotFoundError("git"), "git is not installed"),
        ("fatal: detected dubious ownership in repository at '/x'\nTo add", "safe.directory"),
        ("fatal: bad config line 1", "fatal: bad config line 1"),
    ],
)
def test_that_no_commit_is_known_is_said_with_the_reason(copy, monkeypatch, capsys, answer, words):
    def git(*_):
        if answer is None:
            return str(copy.parent)
        if isinstance(answer, str):
            raise subprocess.CalledProcessError(128, "git", stderr=answer)
        raise answer

    monkeypatch.setattr(code_version, "_git", git)
    code_version.note()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: results will name no commit of the code: ")
    assert words in line
    code_version.ARCHIVED.write_text(f"{HEAD}\n")
    code_version.note()
    assert capsys.readouterr().err == ""


def test_variables_of_git_lead_to_no_other_repository(copy, monkeypatch):
    head = repository(copy)
    other = copy.parent / "other"
    other.mkdir()
    repository(other)
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.setenv(name, str(other / ".git"))
    assert code_version.commit() == head
