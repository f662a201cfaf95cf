"""A tiny study that a file's tests train in; imported by those only, as NeMo takes seconds."""

import pytest


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    import tiny_study

    return tiny_study.build(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def module(study):
    from jadapt.training.module import AdaptationModule

    return AdaptationModule(study / "model")
