"""Install the locked environment into .venv, unless it is there already: `make setup`.

Runs under any Python that is at hand, so that a wrong one is told what to install.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
READY = ENVIRONMENT / ".ready"
LOCK = ROOT / "envs" / "requirements.lock"
BUSY = ROOT / ".cache" / "setup.lock"
# That of the packages in the lock: NeMo and the wheels beside it have no other.
PYTHON = (3, 11)
# torch by itself: which build of it is wanted (CPU, CUDA) is a matter of the index.
STEPS = (
    ("torch==2.13.0",),
    ("--no-deps", "-r", str(LOCK)),
    ("--no-deps", "--no-build-isolation", "-e", str(ROOT)),
)
# Variables by which Python or pip would look, or install, elsewhere.
ELSEWHERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_DRY_RUN", "PIP_PYTHON")


def main() -> None:
    """Say nothing where all is well; else install, or end with one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--search", action="store_true", help="take python3.11 from PATH, if this Python is another"
    )
    arguments = parser.parse_args()
    if fault() is None:
        return
    if sys.version_info[:2] != PYTHON:
        other = search() if arguments.search else None
        if other is None:
            sys.exit(wrong_version())
        os.execv(other, [other, str(Path(__file__).resolve())])
    try:
        BUSY.parent.mkdir(exist_ok=True)
        with open(BUSY, "w", encoding="utf-8") as stream:
            # Another command may install at this moment: what it leaves is looked at then.
            fcntl.flock(stream, fcntl.LOCK_EX)
            found = fault()
            if found is not None:
                install(found)
    except OSError as error:
        sys.exit(f"error: {error.filename or ENVIRONMENT}: {error.strerror or error}")


def fault() -> str | None:
    """Return what keeps the environment from being used; None if nothing does."""
    if not READY.is_file():
        return "half made" if ENVIRONMENT.exists() else "not made yet"
    lines = READY.read_text(encoding="utf-8", errors="replace").split("\n")
    where, version, lock, *names = [*lines, "", ""]
    if where != str(ENVIRONMENT):
        return "made for another folder"
    if lock != checksum(LOCK):
        return "made from another envs/requirements.lock"
    command = [str(ENVIRONMENT / "bin" / "python"), "-I", "-c", "import sys; print(sys.version)"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "without a Python: the one it was made with is gone"
    if done.stdout.strip() != version:
        return "made with another Python than it has now"
    missing = sorted(set(filter(None, names)) - set(installed()))
    return f"without {missing[0]}" if missing else None


def installed() -> list[str]:
    """Return what lies among the packages of the environment and among its programs."""
    folders = [*ENVIRONMENT.glob("lib/python*/site-packages"), ENVIRONMENT / "bin"]
    return sorted(
        path.name
        for folder in folders if folder.is_dir()
        for path in folder.iterdir() if path.name != "__pycache__"
    )  # fmt: skip


def install(reason: str) -> None:
    """Make the environment anew, and mark it as ready last of all."""
    print(f"setup: .venv is {reason}; installing about 3 GB", file=sys.stderr, flush=True)
    if ENVIRONMENT.is_symlink() or ENVIRONMENT.is_file():
        ENVIRONMENT.unlink()
    elif ENVIRONMENT.exists():
        shutil.rmtree(ENVIRONMENT)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in ELSEWHERE
    }
    # What pip has fetched before is in the user's cache, which `make` has put aside.
    if cache := environment.pop("JADAPT_USER_CACHE", None):
        environment["XDG_CACHE_HOME"] = cache
    run([sys.executable, "-m", "venv", str(ENVIRONMENT)], environment)
    python = str(ENVIRONMENT / "bin" / "python")
    for step in STEPS:
        run([python, "-m", "pip", "install", "--quiet", *step], environment)
    words = [python, "-I", "-c", "import sys; print(sys.version)"]
    version = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    lines = [str(ENVIRONMENT), version, checksum(LOCK), *installed()]
    part = READY.with_name(".ready.part")
    part.write_text("\n".join(lines), encoding="utf-8")
    part.replace(READY)


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run one step; what it prints is shown, and a failure ends in one line after it."""
    done = subprocess.run(command, env=environment, check=False)
    if done.returncode:
        remedy = "install its module venv (Debian: apt-get install python3.11-venv)"
        if "pip" in command:
            remedy = "see the lines above: as a rule the index or the network; then the same again"
        sys.exit(f"error: {' '.join(command[1:4])} failed ({done.returncode}); {remedy}")


def search() -> str | None:
    """Return the path of a Python of the right version, if PATH has one under its own name."""
    name = "python{}.{}".format(*PYTHON)
    found = shutil.which(name)
    if found is None:
        return None
    command = [found, "-c", "import sys; print(*sys.version_info[:2])"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return found if done.stdout.split() == [str(part) for part in PYTHON] else None


def wrong_version() -> str:
    """Return the line that says which Python this is and how to get the right one."""
    this, wanted = sys.version.split()[0], "{}.{}".format(*PYTHON)
    return (
        f"error: {sys.executable} is Python {this}; the packages of envs/requirements.lock need "
        f"Python {wanted}: install it (Debian: apt-get install python{wanted} python{wanted}-venv; "
        f"elsewhere: uv python install {wanted}, or conda create -n jadapt python={wanted}), then "
        f"make setup PYTHON=python{wanted}"
    )


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
