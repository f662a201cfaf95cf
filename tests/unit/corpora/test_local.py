"""The user's own files: what is no file, cannot be read, or has an odd name."""

import os

import pytest

from corpus_example import entry, prepare, sentence
from jadapt.core.errors import UserError
from jadapt.corpora import verification
from jadapt.corpora.building import build
from jadapt.corpora.fetching import fetch
from jadapt.corpora.verification import checksum, is_special, read_fetched


def refusal(path, tmp_path):
    """Return what is said of a local source at ``path``."""
    with pytest.raises(UserError) as raised:
        fetch("mine", entry(path), tmp_path / "d/fetched.json", None, False)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_pipe_is_named_and_not_waited_for(tmp_path):
    path = tmp_path / "own.txt"
    os.mkfifo(path)
    remedy = "a pipe or a device; write its text to a file and name that"
    assert refusal(path, tmp_path) == f"source mine: {path}: {remedy}"
    assert is_special(path)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_is_named(device, tmp_path):
    assert "a pipe or a device" in refusal(device, tmp_path)


def test_a_folder_is_named(tmp_path):
    assert refusal(tmp_path, tmp_path) == f"source mine: {tmp_path}: a folder; name a file in it"
    assert is_special(tmp_path)


@pytest.mark.parametrize("name", ["no.txt", "own.txt/x", "no/own.txt"])
def test_a_file_that_is_not_there_is_named(name, tmp_path):
    (tmp_path / "own.txt").write_text("x")
    assert refusal(tmp_path / name, tmp_path).endswith("no such file; correct its 'path'")
    assert not is_special(tmp_path / name)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "loop"])
def test_a_path_that_no_file_has_is_named(name, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert refusal(tmp_path / name, tmp_path).endswith("; name another file")
    assert is_special(tmp_path / name)


@pytest.mark.parametrize("call", ["stat", "open"])
def test_a_file_without_permission_is_named(call, tmp_path, monkeypatch):
    """As root may read anything, the system's answer is put in."""
    path = tmp_path / "own.txt"
    path.write_text("x")

    def denied(*_):
        raise PermissionError(13, "Permission denied", str(path))

    if call == "stat":
        monkeypatch.setattr(type(path), "stat", denied)
    else:
        monkeypatch.setattr(verification, "sha256_file", denied)
    with pytest.raises(UserError, match=r"own\.txt: no permission to read it; give it with chmod"):
        checksum(path, "source mine: ", "")


def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("x")
    path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match=r"own\.txt: no permission to read it"):
            checksum(path, "source mine: ", "")
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("kind", ["fifo", "folder", "gone"])
def test_a_file_that_is_none_any_more_is_named_when_it_is_read(kind, tmp_path):
    settings, fetched = prepare(tmp_path, {"own.txt": sentence(1)})
    path = tmp_path / "own.txt"
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(UserError, match=r"own\.txt: (a pipe|a folder|no such file)"):
        build("own", settings, fetched, tmp_path / "corpus")


@pytest.mark.parametrize(
    "name", ["a[b].txt", "{source}.txt", "a{0}b.txt", "}{.txt", "*?.txt", "%s $x.txt", "猫 犬.txt"]
)
def test_a_file_may_have_any_name(name, tmp_path):
    text = "".join(f"{sentence(number)}\n" for number in range(60))
    settings, fetched = prepare(tmp_path, {name: text})
    manifest = build("own", settings, fetched, tmp_path / "corpus")
    assert manifest["total"]["documents"] > 50
    [record] = fetched.values()
    assert read_fetched(record)["files"][0]["file"].endswith(name)
