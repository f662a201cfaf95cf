"""The checksum of the code that decides whether a job runs again."""

import json

import pytest

from jadapt.workflow import code_hash

SOURCES = {
    "train.py": "from pkg.a import run\n",
    "pkg/__init__.py": "",
    "pkg/a.py": "import pkg.b\n\ndef run():\n    return pkg.b.one()\n",
    "pkg/b.py": "def one():\n    return 1\n",
    "pkg/c.py": "THREE = 3\n",
    "pkg/d.py": (
        "class D:\n    key = 'd'\n    label = 'D'\n"
        "    size: int = Field(1, ge=0, description='x')\n"
    ),
}


@pytest.fixture
def checksum(tmp_path, monkeypatch):
    """The function as a new process would run it, over sources of its own."""
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(code_hash, "SCRIPTS", tmp_path)
    monkeypatch.setattr(code_hash, "PACKAGE", tmp_path / "pkg")
    monkeypatch.setattr(code_hash, "CACHE", tmp_path / ".cache" / "code.json")
    monkeypatch.setattr(code_hash, "_new", {})
    cached = (code_hash.closure, code_hash._file_of, code_hash._source, code_hash._cache)

    def fresh(*parts, **options):
        for function in cached:
            function.cache_clear()
        found = code_hash.checksum(*parts, **options)
        code_hash.save_cache()
        return found

    yield fresh
    for function in cached:
        function.cache_clear()


def change(folder, name, old, new):
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("name", ["train.py", "pkg/__init__.py", "pkg/a.py", "pkg/b.py"])
def test_a_changed_line_of_anything_imported_counts(checksum, tmp_path, name):
    before = checksum("train.py")
    (tmp_path / name).write_text((tmp_path / name).read_text() + "MORE = 1\n")
    assert checksum("train.py") != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("pkg/c.py", "3", "4"),
        ("pkg/b.py", "def one():\n", "def one():\n    # A comment.\n"),
        ("pkg/b.py", "def one():\n", 'def one():\n    """A docstring."""\n\n'),
        ("train.py", "from pkg.a", "if TYPE_CHECKING:\n    import pkg.c\nfrom pkg.a"),
    ],
)
def test_what_cannot_change_the_result_does_not(checksum, tmp_path, name, old, new):
    before = checksum("train.py")
    change(tmp_path, name, old, new)
    assert checksum("train.py") == before


@pytest.mark.parametrize(
    ("old", "new", "computes", "presents"),
    [
        ("'D'", "'Another'", False, True),
        ("description='x'", "description='y'", False, False),
        ("ge=0", "ge=1", True, True),
        ("'d'", "'e'", True, True),
    ],
)
def test_labels_count_for_what_readers_see(checksum, tmp_path, old, new, computes, presents):
    parts = ("train.py", "pkg.d")
    before = checksum(*parts), checksum(*parts, presentation=True)
    change(tmp_path, "pkg/d.py", old, new)
    assert (checksum(*parts) != before[0]) is computes
    assert (checksum(*parts, presentation=True) != before[1]) is presents


def test_order_dates_and_other_files_do_not_count(checksum, tmp_path):
    before = checksum("train.py", "pkg.c")
    (tmp_path / "pkg/a.py").touch()
    (tmp_path / "pkg/notes.txt").write_text("no source")
    (tmp_path / "pkg/unused.py").write_text("x = 1\n")
    assert checksum("pkg.c", "train.py") == before


def test_a_notebook_counts_with_what_its_cells_import(checksum, tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["import nothing"]},
        {"cell_type": "code", "source": ["from pkg import c\n", "c.THREE"]},
    ]
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells}))
    before = checksum("n.ipynb")
    change(tmp_path, "pkg/c.py", "3", "4")
    assert checksum("n.ipynb") != before


def test_a_broken_cache_is_no_cache(checksum, tmp_path):
    before = checksum("train.py")
    (tmp_path / ".cache/code.json").write_text("{")
    assert checksum("train.py") == before
    (tmp_path / ".cache/code.json").write_text('{"version": 1, "sources": []}')
    assert checksum("train.py") == before


def test_a_source_that_is_not_there_is_an_error(checksum):
    with pytest.raises(FileNotFoundError):
        checksum("trian.py")
    with pytest.raises(FileNotFoundError, match=r"pkg\.e: no such module"):
        checksum("pkg.e")
