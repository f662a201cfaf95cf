"""``docs/methods.md`` says what the classes declare, and its examples are entries of a study."""

import re
from pathlib import Path

import pytest
import yaml

from jadapt.analysis import method_docs
from jadapt.config import validation
from jadapt.config.yaml_files import read_yaml
from jadapt.core.declarations import METHODS, STRATEGIES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def test_the_page_is_current():
    assert method_docs.page() == PAGE, "run make method-docs"


def test_every_class_has_an_example():
    assert {key for example in EXAMPLES for key in example} == {*METHODS, *STRATEGIES}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: next(iter(example)))
def test_an_example_is_a_run_that_a_study_may_have(example):
    study, corpora, models = (
        read_yaml(ROOT / "config" / name) for name in ("config.yaml", "corpora.yaml", "models.yaml")
    )
    study |= {"methods": example, "ablations": {}, "claims": study.get("claims", {})}
    if "claims" not in read_yaml(ROOT / "config" / "config.yaml"):
        del study["claims"]
    assert validation.validate(study, corpora, models, "page")["methods"] == example
