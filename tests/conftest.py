"""What every test shares."""

import os
from pathlib import Path

# For the processes that tests start: the package is found as the scripts find it.
_SCRIPTS = str(Path(__file__).resolve().parents[1] / "scripts")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_SCRIPTS, os.environ.get("PYTHONPATH")]))
