import functools
import hashlib
import http.server
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import zipfile
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

import disks
from jadapt.core import errors
from jadapt.core.errors import UserError
from jadapt.corpora import urls
from jadapt.corpora.fetching import fetch
from jadapt.corpora.verification import Unreachable, read_fetched
from tiny_packages import make_sdist, make_wheel, package, sha256

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip is told to look into, and nothing else."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "index"


def test_an_sdist_is_fetched_once_and_mended_when_damaged(index, tmp_path, capsys):
    entry = package(make_sdist(index))
    output = tmp_path / "downloads/tiny/fetched.json"
    record = fetch("tiny", entry, output, None, False)
    assert record["available"]
    assert [file["from"] for file in record["files"]] == ["index"]
    assert sha256(output.parent / entry["file"]) == entry["sha256"]
    assert sorted(path.name for path in output.parent.iterdir()) == [output.name, entry["file"]]
    assert json.loads(output.read_text()) == record
    assert fetch("tiny", entry, output, None, False)["files"][0]["from"] == "present"
    (output.parent / entry["file"]).write_bytes(b"cut off")
    with pytest.raises(UserError, match="changed since it was fetched, expected sha256"):
        read_fetched(output)
    assert fetch("tiny", entry, output, None, False)["files"][0]["from"] == "index"
    assert "wrong checksum" in capsys.readouterr().err
    read_fetched(output)


def test_a_wheel_is_fetched(index, tmp_path):
    entry = package(make_wheel(index))
    record = fetch("tiny", entry, tmp_path / "tiny/fetched.json", None, False)
    assert record["files"][0]["sha256"] == entry["sha256"]


def test_a_wrong_checksum_of_a_package_is_fatal_and_leaves_nothing(index, tmp_path):
    path = make_wheel(index)
    entry = package(path, sha256="0" * 64)
    output = tmp_path / "tiny/fetched.json"
    with pytest.raises(UserError) as error:
        fetch("tiny", entry, output, None, True)
    assert not isinstance(error.value, Unreachable)
    for part in ("source tiny", path.name, f"expected sha256 {'0' * 64}", f"found {sha256(path)}"):
        assert part in str(error.value)
    assert list(output.parent.iterdir()) == []


def test_an_absent_package_says_what_to_set(index, tmp_path):
    index.mkdir()
    entry = {"kind": "pypi", "package": "tinycorpus", "version": "1.0", "file": "t.whl"}
    entry["sha256"] = "0" * 64
    with pytest.raises(Unreachable, match=r"source tiny: .*tinycorpus==1\.0.*PIP_FIND_LINKS"):
        fetch("tiny", entry, tmp_path / "tiny/fetched.json", None, False)


def test_no_network_for_a_package_is_one_line(index, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    entry = {"kind": "pypi", "package": "tinycorpus", "version": "1.0", "file": "t.whl"}
    entry["sha256"] = "0" * 64
    with pytest.raises(Unreachable, match=r"no network.*PIP_INDEX_URL"):
        fetch("tiny", entry, tmp_path / "tiny/fetched.json", None, False)


PATH = "github/owner/repository/abc/docs/page.md"
CONTENT = b"# Page\n"


@pytest.fixture
def page(tmp_path):
    """A mirror with one file, and the entry that pins it."""
    path = tmp_path / "mirror" / PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    pins = tmp_path / "pins.tsv"
    pins.write_text(f"path\tbytes\tsha256\n{PATH}\t{len(CONTENT)}\t{sha256(path)}\n")
    return tmp_path / "mirror", {"kind": "url", "pins": str(pins)}


@pytest.fixture
def big_page(page):
    """The same with half a mebibyte in the file."""
    mirror, entry = page
    big = mirror / PATH
    big.write_bytes(os.urandom(2**19))
    Path(entry["pins"]).write_text(f"path\tbytes\tsha256\n{PATH}\t{2**19}\t{sha256(big)}\n")
    return mirror, entry


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(urls, "HOST", "http://127.0.0.1:9")
    monkeypatch.setattr(urls, "RETRIES", 0)


@pytest.mark.parametrize("root", ["", "github"])
def test_files_come_from_the_mirror(page, offline, tmp_path, root):
    mirror, entry = page
    output = tmp_path / "page/fetched.json"
    assert fetch("page", entry, output, mirror / root, False)["files"][0]["from"] == "mirror"
    assert (output.parent / PATH).read_bytes() == CONTENT
    assert fetch("page", entry, output, None, False)["files"][0]["from"] == "present"


def test_a_wrong_file_of_the_mirror_is_named_and_kept(page, offline, tmp_path):
    mirror, entry = page
    (mirror / PATH).write_bytes(b"other")
    output = tmp_path / "page/fetched.json"
    expected = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(UserError) as error:
        fetch("page", entry, output, mirror, True)
    for part in (str(mirror / PATH), f"expected sha256 {expected}", sha256(mirror / PATH)):
        assert part in str(error.value)
    assert (mirror / PATH).exists()
    assert not list(output.parent.iterdir())


def test_an_unreachable_source_is_an_error_unless_optional(page, offline, tmp_path, capsys):
    mirror, entry = page
    output = tmp_path / "page/fetched.json"
    with pytest.raises(Unreachable, match=r"source page: .*no network.*JADAPT_MIRROR"):
        fetch("page", entry, output, None, False)
    assert not output.exists()
    record = fetch("page", entry, output, None, True)
    assert (record["available"], record["files"]) == (False, [])
    assert "JADAPT_MIRROR" in record["reason"]
    assert capsys.readouterr().err.count("\n") == 1
    assert fetch("page", entry, output, mirror, True)["available"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(page, monkeypatch):
    handler = functools.partial(Quiet, directory=str(page[0] / "github"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setattr(urls, "HOST", f"http://127.0.0.1:{running.server_port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield
        running.shutdown()


def test_files_come_from_the_network(page, server, tmp_path):
    output = tmp_path / "page/fetched.json"
    assert fetch("page", page[1], output, None, False)["files"][0]["from"] == "remote"
    assert (output.parent / PATH).read_bytes() == CONTENT


@pytest.fixture
def small_disk(tmp_path):
    with disks.small(tmp_path / "disk", mebibytes=1) as folder:
        yield folder


@contextmanager
def files_no_larger_than(limit):
    """What stands for a full disk where nothing may be mounted."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def full_disk_is_one_line(small_disk, tmp_path, fetch_into, capsys):
    """Fetch into a folder without room, then into the same with room."""
    directory = (small_disk or tmp_path) / "source"
    directory.mkdir()
    if small_disk:
        other = small_disk / "other"
        other.write_bytes(bytes(shutil.disk_usage(small_disk).free - 2**18))
    with (
        pytest.raises(SystemExit) as end,
        errors.one_line(),
        nullcontext() if small_disk else files_no_larger_than(2**18),
    ):
        fetch_into(directory / "fetched.json")
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith("free some room and run the same command again")
    assert not [path for path in directory.rglob("*") if path.is_file()]
    if small_disk:
        other.unlink()
    (file,) = fetch_into(directory / "fetched.json")["files"]
    assert sha256(directory / file["file"]) == file["sha256"]


def test_a_full_disk_during_a_download_is_one_line(big_page, server, small_disk, tmp_path, capsys):
    _, entry = big_page
    full_disk_is_one_line(
        small_disk, tmp_path, lambda output: fetch("page", entry, output, None, False), capsys
    )


def test_a_full_disk_during_a_copy_from_the_mirror_is_one_line(
    big_page, offline, small_disk, tmp_path, capsys
):
    mirror, entry = big_page
    full_disk_is_one_line(
        small_disk, tmp_path, lambda output: fetch("page", entry, output, mirror, False), capsys
    )


def test_a_full_disk_during_a_download_by_pip_is_one_line(index, small_disk, tmp_path, capsys):
    path = make_wheel(index)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tinycorpus/text.txt", os.urandom(2**18 + 2**17))
    entry = package(path)
    full_disk_is_one_line(
        small_disk, tmp_path, lambda output: fetch("tiny", entry, output, None, False), capsys
    )


def test_what_a_killed_download_left_is_cleared(page, offline, tmp_path):
    mirror, entry = page
    output = tmp_path / "page/fetched.json"
    leftover = output.parent / PATH
    leftover.parent.mkdir(parents=True)
    leftover = leftover.with_name(".page.md.x1y2z3.part")
    leftover.write_bytes(b"#")
    fetch("page", entry, output, mirror, False)
    assert not leftover.exists()


def test_a_wrong_file_from_the_network_is_removed(page, server, tmp_path):
    (page[0] / PATH).write_bytes(b"other")
    output = tmp_path / "page/fetched.json"
    with pytest.raises(UserError, match=r"page\.md: wrong checksum, expected sha256 .*removed"):
        fetch("page", page[1], output, None, True)
    assert not [path for path in output.parent.rglob("*") if path.is_file()]


def test_a_missing_file_on_the_server_is_named(page, server, tmp_path):
    (page[0] / PATH).unlink()
    with pytest.raises(Unreachable, match=r"page\.md \(the server answered 404\)"):
        fetch("page", page[1], tmp_path / "page/fetched.json", None, False)


def test_bad_pins_and_mirrors_are_named(page, tmp_path):
    mirror, entry = page
    output = tmp_path / "page/fetched.json"
    with pytest.raises(UserError, match="no such directory"):
        fetch("page", entry, output, mirror / "absent", False)
    Path(entry["pins"]).write_text("path\tbytes\tsha256\nx\t1\n")
    with pytest.raises(UserError, match=r"pins\.tsv:2: 2 fields, expected 3"):
        fetch("page", entry, output, mirror, False)
    files = [{"path": "github/a/b/c/../../../d", "sha256": "0" * 64}]
    with pytest.raises(UserError, match="expected github/OWNER"):
        fetch("page", {"kind": "url", "files": files}, output, mirror, False)
    with pytest.raises(UserError, match="neither 'files' nor 'pins'"):
        fetch("page", {"kind": "url"}, output, mirror, False)


def test_a_missing_local_file_ends_the_script_with_one_line(tmp_path):
    settings = json.dumps({"kind": "local", "path": str(tmp_path / "absent.txt")})
    output = str(tmp_path / "own/fetched.json")
    command = [sys.executable, "scripts/fetch_source.py", "--name", "own", "--settings", settings]
    done = subprocess.run(
        [*command, "--output", output],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: source own: ")
    assert "absent.txt: no such file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_pip_leaves_nothing_in_the_home_of_a_user_with_rustup(index, tmp_path, monkeypatch):
    """For its version pip asks `rustc`; where that is of rustup, it starts a `.rustup` at home."""
    home, programs = tmp_path / "home", tmp_path / "programs"
    home.mkdir()
    programs.mkdir()
    asked = tmp_path / "asked"
    stand_in = programs / "rustc"
    stand_in.write_text(
        f'#!/bin/sh\ntouch "{asked}"\nmkdir -p "${{RUSTUP_HOME:-$HOME/.rustup}}"\n'
        "echo rustc 1.0.0\n"
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("RUSTUP_HOME", raising=False)
    fetch("tiny", package(make_wheel(index)), tmp_path / "tiny/fetched.json", None, False)
    assert asked.exists()
    assert list(home.iterdir()) == []
