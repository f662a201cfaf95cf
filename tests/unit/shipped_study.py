"""The shipped study, and as it would be with other values."""

import copy

from jadapt import schemas, settings

ROOT = schemas.SCHEMAS.parents[1]
CATALOGUE = schemas.read_yaml(ROOT / "config/corpora.yaml")
MODELS = schemas.read_yaml(ROOT / "config/models.yaml")
DEFAULT = schemas.read_yaml(ROOT / "config/config.yaml")


def validated(**changes):
    """Validate the default study with values replaced; a key such as `a__b` means a.b."""
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
    return settings.validate(config, CATALOGUE, MODELS, "study.yaml")
