"""What surrounds a job: no variable or file of the user's own reaches a result.

Variables that programs of this workflow obey are dropped or set, whatever they were; where files
are kept for the next time is decided here as well, so that a home need not be writable. What a site
needs stays: paths, proxies, indexes, tokens, the choice of GPUs, the settings of its network.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import MutableMapping
from pathlib import Path

from jadapt.core.errors import UserError

# Beginnings of the names of variables that change what a program computes, draws or imports.
DROPPED = (
    # The shell that runs a job reads a file of its own, and functions can take a command's place.
    "BASH_ENV", "BASH_FUNC_", "BASHOPTS", "SHELLOPTS", "CDPATH", "GREP_OPTIONS", "POSIXLY_CORRECT",
    "PYTHON", "IPYTHON", "JUPYTER", "PAPERMILL", "MPL", "MATPLOTLIB", "FREETYPE", "FONTCONFIG",
    "LC_", "LANG", "TZ", "SOURCE_DATE_EPOCH", "TYPST",
    "OMP_", "GOMP_", "KMP_", "MKL_", "BLIS_", "GOTO_", "OPENBLAS_", "VECLIB_", "NUMEXPR_", "NPY_",
    "ATEN_", "DNNL_", "ONEDNN_", "CUBLAS", "NVIDIA_TF32", "TORCH", "PYTORCH", "TRITON", "NVTE_",
    "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_",
    "PL_", "LIGHTNING_", "NEMO_", "TRANSFORMERS_", "TOKENIZERS_", "MECAB", "JADAPT_",
)  # fmt: skip
KEPT = frozenset({
    "JADAPT_DEBUG", "JADAPT_MIRROR", "JADAPT_PRELOADED", "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX", "PYTORCH_CUDA_ALLOC_CONF", "TORCH_CUDA_ARCH_LIST",
    "TRANSFORMERS_OFFLINE",
})  # fmt: skip
KEPT_BEGINNINGS = ("TORCH_NCCL_", "PYTORCH_NVML")
# The user's cache, where `make` has given Snakemake another; dropped after it was read.
USER_CACHE = "JADAPT_USER_CACHE"
SET = {
    "LC_ALL": "C.UTF-8",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    "PYTHONUTF8": "1",
    "MPLBACKEND": "agg",
    # Kernels and settings of the environment that runs, never those of the home.
    "JUPYTER_PREFER_ENV_PATH": "1",
    "JUPYTER_NO_CONFIG": "1",
}
FOLDERS = {
    "XDG_CACHE_HOME": "",
    "IPYTHONDIR": "ipython",
    "JUPYTER_CONFIG_DIR": "jupyter/config",
    "JUPYTER_DATA_DIR": "jupyter/data",
    "JUPYTER_RUNTIME_DIR": "jupyter/runtime",
    "MPLCONFIGDIR": "matplotlib",
    "NEMO_HOME": "nemo",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
    "CUDA_CACHE_PATH": "cuda",
}


def settle(environment: MutableMapping[str, str], cache: Path, scripts: Path) -> None:
    """Make an environment the one that every job has.

    Args:
        environment: changed in place.
        cache: the folder, absolute, for what libraries keep.
        scripts: the folder that holds the package.
    """
    hub = _hub(environment, cache)
    for name in list(environment):
        if name.startswith(DROPPED) and name not in KEPT and not name.startswith(KEPT_BEGINNINGS):
            del environment[name]
    environment.update(SET)
    environment.update({name: str(cache / folder) for name, folder in FOLDERS.items()})
    environment["HF_HOME"] = hub
    # The package of this very copy, and the programs of the environment that Snakemake is in.
    environment["PYTHONPATH"] = str(scripts)
    programs = str(Path(sys.executable).parent)
    paths = environment.get("PATH", os.defpath).split(os.pathsep)
    if paths[0] != programs:
        environment["PATH"] = os.pathsep.join([programs, *paths])


def check_loopback() -> None:
    """Raise a `UserError` unless programs of this machine can talk to each other.

    Kernels of notebooks do, and the processes of a run on several devices.
    """
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), timeout=10),
        ):
            return
    except OSError as error:
        raise UserError(
            f"127.0.0.1: {error.strerror or error}; the loopback interface is down or blocked: "
            "ip link set lo up, or take the network sandbox away"
        ) from error


def _hub(environment: MutableMapping[str, str], cache: Path) -> str:
    """Return where the Hub's files are: the user's cache, which other projects fill as well.

    One that is not there and cannot be made is replaced by the project's own.
    """
    if given := environment.get("HF_HOME"):
        return given
    usual = environment.get(USER_CACHE) or environment.get("XDG_CACHE_HOME")
    folder = Path(usual or Path("~/.cache").expanduser()).absolute() / "huggingface"
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    usable = folder.is_dir() or (there is not None and there.is_dir() and os.access(there, os.W_OK))
    return str(folder if usable else cache / "huggingface")
