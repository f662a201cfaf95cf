"""`make setup`: when .venv is made again, when nothing is done, and what is refused."""

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "setup_environment.py"
_spec = importlib.util.spec_from_file_location("setup_environment", SCRIPT)
setup = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(setup)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """An empty clone in which one small package is installed, from a folder."""
    (tmp_path / "envs").mkdir()
    lock = tmp_path / "envs/requirements.lock"
    lock.write_text("x\n")
    venv = tmp_path / ".venv"
    for name, value in {
        "ROOT": tmp_path, "ENVIRONMENT": venv, "READY": venv / ".ready", "LOCK": lock,
        "BUSY": tmp_path / ".cache/setup.lock", "PYTHON": sys.version_info[:2],
    }.items():  # fmt: skip
        monkeypatch.setattr(setup, name, value)
    made = []

    def run(command, environment):
        made.append(command)
        assert not {name for name in environment if name.startswith(("PYTHON", "PIP_TARGET"))}
        if "venv" in command:
            subprocess.run([*command, "--without-pip"], env=environment, check=True)
            (package,) = venv.glob("lib/python*/site-packages")
            (package / "one").mkdir()
            (package / "one-1.dist-info").mkdir()

    monkeypatch.setattr(setup, "run", run)
    monkeypatch.setattr(sys, "argv", ["setup"])
    setup.main()
    assert len(made) == 1 + len(setup.STEPS)
    made.clear()
    return tmp_path, made


def test_what_is_there_is_left_alone(clone):
    path, made = clone
    os.utime(path / "envs/requirements.lock")
    (package,) = path.glob(".venv/lib/python*/site-packages")
    (package / "another").mkdir()
    setup.main()
    assert made == []


def kill_python(venv):
    for path in (venv / "bin").glob("python*"):
        path.unlink()
    (venv / "bin/python").symlink_to("/nowhere/python")


DAMAGES = {
    "half made": (lambda venv: (venv / ".ready").unlink(), "half made"),
    "an empty mark, of an earlier make": (lambda venv: (venv / ".ready").write_text(""), ""),
    "a package is gone": (
        lambda venv: shutil.rmtree(next(venv.glob("lib/*/site-packages/one"))), "without one",
    ),
    "all packages are gone": (
        lambda venv: shutil.rmtree(next(venv.glob("lib/*/site-packages"))), "without ",
    ),
    "a program is gone": (lambda venv: (venv / "bin/activate").unlink(), "without activate"),
    "its Python is dead": (kill_python, "without a Python"),
    "its Python does not start": (
        lambda venv: (venv / "bin/python").unlink() or (venv / "bin/python").write_text("x"),
        "without a Python",
    ),
    "nothing there": (shutil.rmtree, "not made yet"),
    "a file in its place": (lambda venv: shutil.rmtree(venv) or venv.touch(), "half made"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES)
def test_what_cannot_be_used_is_made_again(clone, capsys, damage, words):
    path, made = clone
    damage(path / ".venv")
    setup.main()
    assert len(made) == 1 + len(setup.STEPS)
    assert f".venv is {words}" in capsys.readouterr().err or not words
    assert setup.fault() is None


def test_another_lock_and_another_folder_make_it_again(clone, monkeypatch):
    path, _ = clone
    (path / "envs/requirements.lock").write_text("y\n")
    assert setup.fault() == "made from another envs/requirements.lock"
    setup.install("x")
    moved = path.with_name("moved")
    path.rename(moved)
    for name in ("ENVIRONMENT", "READY", "LOCK"):
        monkeypatch.setattr(setup, name, moved / getattr(setup, name).relative_to(path))
    assert setup.fault() == "made for another folder"


def test_a_link_is_removed_and_not_what_it_leads_to(clone):
    path, _ = clone
    other = path.with_name("precious")
    (path / ".venv").rename(other)
    (path / ".venv").symlink_to(other)
    (other / ".ready").unlink()
    setup.main()
    assert (other / "bin").is_dir()
    assert not (path / ".venv").is_symlink()


def test_two_at_once_install_once(clone, monkeypatch):
    path, made = clone
    (path / ".venv/.ready").unlink()
    slow = setup.run

    def run(*words):
        time.sleep(0.2)
        slow(*words)

    monkeypatch.setattr(setup, "run", run)
    both = [threading.Thread(target=setup.main) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len(made) == 1 + len(setup.STEPS)


@pytest.mark.parametrize("version", [(3, 8), (3, 10), (3, 12), (3, 13), (4, 0)])
def test_another_python_is_refused_at_once(clone, monkeypatch, version):
    path, made = clone
    (path / ".venv/.ready").unlink()
    monkeypatch.setattr(setup, "PYTHON", version)
    with pytest.raises(SystemExit) as error:
        setup.main()
    assert made == []
    line = str(error.value)
    name = "python{}.{}".format(*version)
    assert sys.version.split()[0] in line
    assert f"apt-get install {name} {name}-venv" in line
    assert f"make setup PYTHON={name}" in line
    # One that is not there, or is another than its name says, is none.
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert setup.search() is None
    monkeypatch.setattr(shutil, "which", lambda name: sys.executable)
    assert setup.search() is None


def test_a_failed_step_ends_in_one_line(tmp_path):
    for command, words in (
        ([sys.executable, "-m", "venv", "/dev/null/x"], "apt-get install python3.11-venv"),
        ([sys.executable, "-m", "pip", "nosuch"], "see the lines above"),
    ):
        with pytest.raises(SystemExit) as error:
            setup.run(command, dict(os.environ))
        assert words in str(error.value)
        assert "\n" not in str(error.value)


def test_cores_are_counted_whatever_one_program_may_use(tmp_path):
    makefile = SCRIPT.parents[1] / "Makefile"
    probe = tmp_path / "probe.mk"
    probe.write_text(f"include {makefile}\nprobe:\n\t@echo $(CORES)\n")
    counted = {
        subprocess.run(
            ["make", "-f", str(probe), "probe"], capture_output=True, text=True, check=True,
            cwd=makefile.parent, env={**os.environ, "OMP_NUM_THREADS": threads},
        ).stdout
        for threads in ("1", "3", "77")
    }  # fmt: skip
    assert len(counted) == 1
