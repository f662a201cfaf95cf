"""Repositories of the Hugging Face Hub at a pinned revision: from a mirror, the cache, the Hub."""

from __future__ import annotations

from pathlib import Path

from jadapt.core.errors import UserError
from jadapt.core.files import sha256_file

FILES = ["config.json", "tokenizer.json", "*.safetensors", "*.safetensors.index.json"]
WEIGHTS = "model.safetensors"


def folder(entry: dict, mirror: Path | None, patterns: list[str]) -> Path:
    """Return a folder with the files of a repository that match ``patterns``.

    The mirror holds ``{repository}/config.json`` and so on. Without it, the cache of
    ``huggingface_hub`` is filled from the Hub; HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE are obeyed.

    Args:
        entry: of kind ``hub`` in ``config/models.yaml``.
        mirror: folder that is searched before the Hub.
        patterns: the files that are needed; those without wildcards must exist.

    Raises:
        UserError: the repository cannot be reached, lacks a file, or holds other weights.
    """
    repository = entry["repository"]
    if mirror and (mirror / repository / "config.json").is_file():
        found = mirror / repository
    else:
        found = _download(entry, mirror, patterns)
    for name in patterns:
        if "*" not in name and not (found / name).is_file():
            raise UserError(f"{found}: no {name}; copy the whole repository {repository} there")
    weights = found / WEIGHTS
    expected = entry.get("sha256")
    if expected and weights.is_file() and (digest := sha256_file(weights)) != expected:
        raise UserError(
            f"{weights}: its sha256 is {digest}, in config/models.yaml {expected}; delete it and "
            "run again"
        )
    return found


def _download(entry: dict, mirror: Path | None, patterns: list[str]) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from requests import exceptions

    repository, revision = entry["repository"], entry["revision"]
    by_hand = f"or put the repository into {mirror or '$JADAPT_MIRROR'}/{repository}"
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{repository} at {revision[:12]}: {reason}; {by_hand}") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, exceptions.RequestException, OSError) as error:
        offline = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else constants.ENDPOINT
        raise UserError(
            f"cannot fetch {repository} ({offline}), and the cache {constants.HF_HUB_CACHE} does "
            f"not hold revision {revision[:12]}; connect and run again, {by_hand}"
        ) from error
