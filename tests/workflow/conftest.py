"""A clone of the repository that the tests of one session share."""

import shutil
from pathlib import Path

import pytest

from working_copy import ROOT, Clone, copy_repository, share_downloads


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory):
    """What lies outside of the working directory: a home and a folder for temporary files."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    return folder


@pytest.fixture(scope="session")
def nothing_left_elsewhere(elsewhere):
    """A check that the commands so far wrote nothing outside of their folder, but for caches."""

    def check():
        assert [path.name for path in (elsewhere / "home").iterdir() if path.name != ".cache"] == []
        assert list((elsewhere / "tmp").iterdir()) == []

    return check


@pytest.fixture(scope="session")
def clone(tmp_path_factory, elsewhere):
    path = tmp_path_factory.mktemp("clone")
    copy_repository(path)
    share_downloads(ROOT, path)
    clone = Clone(path)
    # Nothing may be written there, but for caches, and no command may print or keep the token.
    clone.environment |= {
        "HOME": str(elsewhere / "home"),
        "TMPDIR": str(elsewhere / "tmp"),
        "HF_TOKEN": "hf_aTokenThatNobodyMayEverSee",
    }
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        clone.environment.pop(name, None)
    # The index that the user's own pip is set to.
    settings = Path("~/.config/pip/pip.conf").expanduser()
    if settings.exists():
        clone.environment.setdefault("PIP_CONFIG_FILE", str(settings))
    yield clone
    share_downloads(path, ROOT)


@pytest.fixture(scope="session")
def study(clone):
    """The finished tiny study; every test of the chain looks at it."""
    clone.run("all")
    return clone


@pytest.fixture
def edited(clone, tmp_path):
    """A clone of its own, for a test that changes files."""
    path = tmp_path / "edited"
    ignored = shutil.ignore_patterns("results", "resources", ".snakemake")
    shutil.copytree(clone.path, path, symlinks=True, ignore=ignored)
    copy = Clone(path)
    copy.environment = dict(clone.environment)
    return copy
