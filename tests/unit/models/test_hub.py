"""What the Hub answers, by its own exceptions: each has a remedy of its own."""

import errno

import huggingface_hub
import pytest
import requests
from huggingface_hub import errors

from jadapt.core.errors import UserError
from jadapt.models import hub

ENTRY = {"repository": "someone/tiny", "revision": "0123456789abcdef0123456789abcdef01234567"}


def answer(kind, status, text="told"):
    response = requests.Response()
    response.status_code = status
    return kind(text, response=response)


def behind(cause):
    """As the library raises it where the cache does not have the revision either."""
    error = errors.LocalEntryNotFoundError("An error happened while trying to locate the files")
    error.__cause__ = cause
    return error


FULL = OSError(errno.ENOSPC, "No space left on device", "/cache/blob")
CASES = {
    "gated": (answer(errors.GatedRepoError, 403), "ask for consent"),
    "gated, behind": (behind(answer(errors.GatedRepoError, 401)), "ask for consent"),
    "no repository": (answer(errors.RepositoryNotFoundError, 401), "no such repository"),
    "no revision": (answer(errors.RevisionNotFoundError, 404), "no such revision"),
    "disabled": (answer(errors.DisabledRepoError, 403), "has disabled"),
    "quota": (answer(errors.HfHubHTTPError, 429), "quota of requests"),
    "quota, behind": (behind(answer(errors.HfHubHTTPError, 429)), "quota of requests"),
    "no token": (answer(errors.HfHubHTTPError, 401), "HF_TOKEN"),
    "not allowed": (answer(errors.HfHubHTTPError, 403), "HF_TOKEN"),
    "out of order": (answer(errors.HfHubHTTPError, 503), "answered 503"),
    "full disk": (FULL, "No space left on device; free some room"),
    "full disk, behind": (behind(FULL), "No space left on device; free some room"),
    "quota of the disk": (OSError(errno.EDQUOT, "Disk quota exceeded"), "free some room"),
    "a cache of another's": (PermissionError(errno.EACCES, "no", "/cache"), "set HF_HOME"),
    "a cache that is read only": (OSError(errno.EROFS, "no", "/cache"), "set HF_HOME"),
    "no network": (requests.ConnectionError("name resolution"), "connect and run again"),
    "a slow network": (requests.Timeout("slow"), "connect and run again"),
    "certificates": (requests.exceptions.SSLError("certificate"), "connect and run again"),
    "offline": (errors.OfflineModeIsEnabled("offline"), "connect and run again"),
    "nothing in the cache": (behind(None), "connect and run again"),
    "no name": (errors.HFValidationError("Repo id must"), "no such repository"),
}


@pytest.mark.parametrize(("error", "words"), CASES.values(), ids=CASES)
def test_the_remedy_follows_the_exception(monkeypatch, error, words):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(UserError) as found:
        hub.folder(ENTRY, None, hub.FILES)
    line = str(found.value)
    assert line.startswith("someone/tiny at 0123456789ab: ")
    assert words in line
    assert "\n" not in line
    # No other case's remedy.
    others = {"ask for consent", "no such revision", "quota of requests", "free some room"}
    assert {other for other in others if other in line} <= {
        other for other in others if other in words or words in other
    }


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/x", "a", "a/b/c", "a/../b", "a/b\n", "", "-a/b", "a/b c", "あ/い"]
)
def test_a_repository_is_owner_and_name(tmp_path, name):
    with pytest.raises(UserError, match=r"^config/models\.yaml: repository: "):
        hub.folder(ENTRY | {"repository": name}, tmp_path, hub.FILES)
