"""What several files train in or look at; they alone import it, as torch and NeMo take seconds."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
# The files that take longest, so that none of them is begun when the other worker has no more.
FIRST = (
    "training/distributed/test_two_devices.py", "training/test_faults.py", "training/test_runs.py",
    "training/kernels/test_settings_of_kernels.py", "benchmarks", "training", "evaluation",
    "figures", "methods", "paper",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Begin with what takes longest; the order within a file stays."""

    def place(item):
        if not item.path.is_relative_to(HERE):
            return len(FIRST)
        name = item.path.relative_to(HERE).as_posix()
        return next((n for n, first in enumerate(FIRST) if name.startswith(first)), len(FIRST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """The tiny study, which nobody writes to."""
    import tiny_study

    return tiny_study.build(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def module(study):
    """NeMo's module, as a job keeps it for all of its runs."""
    from jadapt.training.module import AdaptationModule

    return AdaptationModule(study / "model")


@pytest.fixture(scope="session")
def sequence(tmp_path_factory):
    """An expandable network after three tasks: model, method, and of each task the logits at its
    end and the folder saved then."""
    import torch

    from den_example import adapted, logits, train

    model, method = adapted()
    torch.manual_seed(11)
    ends, folders = [logits(model)], [None]
    for task in (1, 2, 3):
        train(model, method, task)
        ends.append(logits(model))
        folders.append(tmp_path_factory.mktemp("task"))
        method.save(model, folders[-1])
    return model, method, ends, folders
