import os
import subprocess

import pytest

from jadapt.core import checksums
from jadapt.core.errors import UserError


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "models/task"
    (path / "deep").mkdir(parents=True)
    (path / "a.bin").write_bytes(b"a" * 1000)
    (path / "deep/b.bin").write_bytes(b"b" * 1000)
    checksums.seal_folder(path)
    return path


def test_a_sealed_folder_is_one_that_sha256sum_reads(folder):
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(command, cwd=folder, check=False).returncode == 0
    assert (folder / "SHA256SUMS").read_text().count("\n") == 2
    checksums.check_folder(folder)
    checksums.seal_folder(folder)
    assert (folder / "SHA256SUMS").read_text().count("\n") == 2


def test_what_changed_in_a_folder_is_named_with_what_to_delete(folder):
    def refused():
        with pytest.raises(UserError) as error:
            checksums.check_folder(folder)
        text = str(error.value)
        assert text.endswith(f"; delete {folder.parent} and run the same command again")
        return text

    (folder / "deep/b.bin").write_bytes(b"b" * 999 + b"c")
    assert refused().startswith(f"{folder}/deep/b.bin: its sha256 is not the one in SHA256SUMS")
    (folder / "deep/b.bin").unlink()
    assert refused().startswith(f"{folder}/deep/b.bin: no such file")
    (folder / "SHA256SUMS").unlink()
    assert refused().startswith(f"{folder}/SHA256SUMS: no such file")


def test_a_file_is_hashed_once_and_again_when_it_changed(folder, monkeypatch):
    hashed = []
    original = checksums.sha256_file
    monkeypatch.setattr(
        checksums, "sha256_file", lambda path: hashed.append(path) or original(path)
    )
    for _ in range(3):
        checksums.check_folder(folder)
    assert len(hashed) == len(set(hashed)) == 2
    before = (folder / "a.bin").stat()
    (folder / "a.bin").write_bytes(b"A" * 1000)
    os.utime(folder / "a.bin", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(UserError, match=r"a\.bin: its sha256"):
        checksums.check_folder(folder)


def test_a_copied_folder_is_whole_or_absent(folder, tmp_path):
    target = tmp_path / "copy"
    target.mkdir()
    (target / "old").touch()
    checksums.copy_folder(folder, target)
    assert not (target / "old").exists()
    checksums.check_folder(target)
    (folder / "a.bin").write_bytes(b"damaged")
    with pytest.raises(UserError):
        checksums.copy_folder(folder, target)
    assert not target.exists()


def test_a_record_without_its_file_and_a_file_without_its_record_are_faults(tmp_path):
    path = tmp_path / "file"
    with checksums.sealed(path) as temporary:
        temporary.write_bytes(b"content")
    assert checksums.fault(path) is None
    record = checksums.record_of(path).read_text()
    checksums.record_of(path).write_text("no record at all\n")
    assert "does not name it" in checksums.fault(path)
    checksums.record_of(path).write_text(record.replace("file", "other"))
    assert "does not name it" in checksums.fault(path)
    checksums.record_of(path).unlink()
    assert checksums.fault(path) == "file.sha256 is missing"
    checksums.record_of(path).write_text(record)
    path.unlink()
    assert checksums.fault(path) == "file is missing"
