"""The shipped study, and as it would be with other values."""

import copy

from jadapt.config import layers, studies, validation
from jadapt.core.paths import ROOT

CATALOGUE = studies.read_catalogue()
MODELS = studies.read_models()
DEFAULT = layers.read([ROOT / "config/config.yaml"]).content


def study(name):
    """Return one of the studies of ``config/``, put together with what it extends."""
    return layers.read([ROOT / f"config/{name}.yaml"]).content


def changed(**changes):
    """Return the default study with values replaced; a key such as `a__b` means a.b."""
    config = copy.deepcopy(DEFAULT)
    for path, value in changes.items():
        *parents, key = path.split("__")
        place = config
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[key]
        else:
            place[key] = value
    return config


def validated(**changes):
    """Validate the default study with values replaced, as `changed` does."""
    return validation.validate(changed(**changes), CATALOGUE, MODELS, "study.yaml")
