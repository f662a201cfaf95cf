"""The checksum of sources that decides whether a job runs again."""

import pytest

from jadapt import modules


@pytest.fixture
def checksum(tmp_path, monkeypatch):
    (tmp_path / "room").mkdir()
    for name in ("train.py", "room/a.py", "room/b.py"):
        (tmp_path / name).write_text(f"# {name}\n")
    monkeypatch.setattr(modules, "SCRIPTS", tmp_path)

    def fresh(*parts):
        # As a new process would compute it.
        for function in (modules.checksum, modules._content, modules._sources):
            function.cache_clear()
        return modules.checksum(*parts)

    yield fresh
    fresh("train.py")
    modules.checksum.cache_clear()


def test_it_follows_content_and_names_and_nothing_else(checksum, tmp_path):
    before = checksum("train.py", "room")
    assert checksum("room", "train.py", "room/a.py") == before
    (tmp_path / "room/a.py").touch()
    (tmp_path / "room/notes.txt").write_text("no source")
    assert checksum("train.py", "room") == before
    (tmp_path / "room/a.py").rename(tmp_path / "room/c.py")
    renamed = checksum("train.py", "room")
    (tmp_path / "room/c.py").write_text("# room/a.py\n\n")
    assert len({before, renamed, checksum("train.py", "room")}) == 3


def test_a_source_that_is_not_there_is_an_error(checksum):
    with pytest.raises(FileNotFoundError):
        checksum("train.py", "rom")
