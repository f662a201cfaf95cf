"""Repositories of the Hugging Face Hub at a pinned revision: from a mirror, the cache, the Hub."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from jadapt.core.errors import UserError
from jadapt.core.files import sha256_file

FILES = ["config.json", "tokenizer.json", "*.safetensors", "*.safetensors.index.json"]
WEIGHTS = "model.safetensors"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def folder(entry: dict, mirror: Path | None, patterns: list[str]) -> Path:
    """Return a folder with the files of a repository that match ``patterns``.

    The mirror holds ``{repository}/config.json`` and so on. Without it, the cache of
    ``huggingface_hub`` is filled from the Hub; HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE are obeyed.

    Args:
        entry: of kind ``hub`` in ``config/models.yaml``.
        mirror: folder that is searched before the Hub.
        patterns: the files that are needed; those without wildcards must exist.

    Raises:
        UserError: the repository is no name, cannot be reached, lacks a file, or holds other
            weights.
    """
    repository = entry["repository"]
    if not _REPOSITORY.fullmatch(repository):
        raise UserError(f"config/models.yaml: repository: {repository!r} is not OWNER/NAME")
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
            f"{weights}: its sha256 is {digest}, in config/models.yaml {expected}; "
            "correct the number, or delete the file and run again"
        )
    return found


def _download(entry: dict, mirror: Path | None, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError
    from requests import exceptions

    repository, revision = entry["repository"], entry["revision"]
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except (HFValidationError, exceptions.RequestException, OSError) as error:
        place = f"{mirror or '$JADAPT_MIRROR'}/{repository}"
        raise UserError(f"{repository} at {revision[:12]}: {_reason(error, place)}") from error


def _reason(error: BaseException, place: str) -> str:
    """Return what went wrong, by the exception that it began with, and what to do.

    Args:
        error: what the library raised; others that it was made of hang on it.
        place: where in a mirror the repository would lie.
    """
    from huggingface_hub import constants
    from huggingface_hub import errors as hub

    by_hand = f"or put the repository into {place}"
    chain = list(_chain(error))

    def first(*kinds: type) -> BaseException | None:
        return next((each for each in chain if isinstance(each, kinds)), None)

    full = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    for each in chain:
        if isinstance(each, OSError) and each.errno in full:
            words = os.strerror(each.errno or 0)
            return f"{constants.HF_HUB_CACHE}: {words}; free some room, or set HF_HOME to a folder"
        if isinstance(each, OSError) and each.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            words = os.strerror(each.errno or 0)
            return f"{each.filename or constants.HF_HUB_CACHE}: {words}; set HF_HOME to a folder"
    if first(hub.GatedRepoError):
        return (
            "its owners ask for consent; give it on the repository's page, then set HF_TOKEN to a "
            f"token of yours, {by_hand}"
        )
    if first(hub.DisabledRepoError):
        return f"the Hub has disabled this repository; name another model, {by_hand}"
    if first(hub.RevisionNotFoundError):
        return "no such revision; correct 'revision' in config/models.yaml (a commit of it)"
    if first(hub.RepositoryNotFoundError, hub.HFValidationError):
        return (
            "no such repository, or a private one; correct 'repository' in config/models.yaml, or "
            f"set HF_TOKEN to a token that may read it, {by_hand}"
        )
    answers = (getattr(each, "response", None) for each in chain)
    status = next((answer.status_code for answer in answers if answer is not None), None)
    if status == 429:
        return f"the Hub's quota of requests is used up; wait, or set HF_TOKEN, {by_hand}"
    if status in (401, 403):
        return f"the Hub answered {status}; set HF_TOKEN to a token that may read it, {by_hand}"
    where = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else constants.ENDPOINT
    said = f" answered {status}" if status else ""
    return (
        f"cannot be fetched ({where}{said}), and the cache {constants.HF_HUB_CACHE} does not hold "
        f"it; connect and run again, {by_hand}"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that it was raised from, those inside of urllib3's as well."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = [word for word in each.args if isinstance(word, BaseException)]
        waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *inner]
