"""How long each task of a run is trained: steps, or tokens by task."""

import pytest

from jadapt.config import budget

SETTINGS = {
    "steps": 100, "warmup_steps": 8, "global_batch_size": 4, "sequence_length": 10,
    "tokens": {"first": 2000, "short": 30},
}  # fmt: skip


@pytest.mark.parametrize(
    ("task", "steps", "warmup"), [("first", 50, 4), ("other", 100, 8), ("short", 1, 0)]
)
def test_tokens_of_a_task_take_the_place_of_steps(task, steps, warmup):
    own = budget.of_task(SETTINGS, task)
    assert (own["steps"], own["warmup_steps"]) == (steps, warmup)
    assert budget.steps(SETTINGS, task) == steps
    assert budget.rows(SETTINGS, task) == 4 * steps
    assert budget.labels(SETTINGS, task) == 40 * steps


def test_without_tokens_every_task_takes_the_steps_of_the_run():
    plain = {**SETTINGS, "tokens": None}
    assert budget.of_task(plain, "first") == plain


def test_rows_that_pretraining_mixes_in_are_no_labels_of_its_own_text():
    mixed = {**SETTINGS, "mixture": {"domain": "other", "share": 0.05}}
    assert budget.labels(mixed, "known") == 10 * (400 - 20)
    assert budget.rows(mixed, "known") == 400
