"""The paper that the repository shows: of the tables that are released, and no others."""

from types import SimpleNamespace

import pytest

from jadapt.core.errors import UserError
from jadapt.core.files import read_json, sha256_file
from jadapt.core.paths import ROOT
from jadapt.release import kept_paper

KEPT = ROOT / "paper"


def test_the_kept_paper_is_of_the_released_tables():
    record = read_json(KEPT / kept_paper.RECORD)
    released = KEPT / "released" / record["study"]
    tables = {path.name: sha256_file(path) for path in released.glob("*.csv")}
    assert record["tables"] == tables, "make the paper again and keep it (make keep-paper)"
    assert record["files"] == {name: sha256_file(KEPT / name) for name in record["files"]}
    assert (KEPT / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert (KEPT / "paper.pdf").stat().st_size < 5e6


def test_a_paper_that_was_not_made_is_not_kept(tmp_path):
    study = SimpleNamespace(
        name="tiny", results=tmp_path, released=tmp_path, files=("config/tiny.yaml",)
    )
    with pytest.raises(UserError, match=r"paper\.pdf: no such file; make paper CONFIG=config/tiny"):
        kept_paper.keep(study, tmp_path)
    (tmp_path / "paper").mkdir()
    (tmp_path / "figures").mkdir()
    (tmp_path / "paper/paper.pdf").write_bytes(b"%PDF")
    (tmp_path / "figures/fronts.png").write_bytes(b"PNG")
    with pytest.raises(UserError, match="no released tables"):
        kept_paper.keep(study, tmp_path)
    assert not (tmp_path / kept_paper.RECORD).exists()
