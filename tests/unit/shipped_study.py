"""The shipped study, and as it would be with other values."""

import copy

from jadapt.config import validation, yaml_files

ROOT = yaml_files.SCHEMAS.parents[1]
CATALOGUE = yaml_files.read_yaml(ROOT / "config/corpora.yaml")
MODELS = yaml_files.read_yaml(ROOT / "config/models.yaml")
DEFAULT = yaml_files.read_yaml(ROOT / "config/config.yaml")


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
    return validation.validate(config, CATALOGUE, MODELS, "study.yaml")
