"""What a downstream task is: one file of ``config/tasks/``, checked.

Its keys are those of lm-evaluation-harness where it has them (``doc_to_text`` and so on), with two
differences. The data are files of a pinned source instead of a repository of the Hub, and templates
are rendered once, when the task is prepared, so that a template that loses the answer is found
before any model is loaded.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from jadapt.config.yaml_files import read_yaml
from jadapt.core.errors import UserError, nearest
from jadapt.core.paths import ROOT
from jadapt.evaluation.metrics.base import TaskMetric
from jadapt.evaluation.metrics.registry import METRICS

FOLDER = ROOT / "config" / "tasks"

Template = Annotated[str, Field(min_length=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Strict):
    """The files that a task is made of, as paths within the repository that the source pins."""

    source: str = Field(description="An entry of `sources` in config/corpora.yaml.")
    format: Literal["json_lines", "squad", "winograd", "zip_json_lines"]
    items: str = Field(description="The items that models answer.")
    examples: str | None = Field(None, description="The items that prompts take examples from.")
    language: str | None = Field(None, description="Rows of a table in several languages to keep.")
    overlaps: list[str] = Field([], description="Files whose texts are taken out of the items.")
    example_overlaps: list[str] = Field([], description="The same for the examples.")


class Generation(_Strict):
    """When greedy generation ends."""

    until: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    max_gen_toks: int = Field(gt=0)


class Task(_Strict):
    """A downstream task."""

    label: str = Field(min_length=1, description="Its name for readers.")
    language: Literal["en", "ja"]
    data: Data
    output_type: Literal["multiple_choice", "loglikelihood", "generate_until"]
    scoring: Literal["expected_value", "extracted_answer"] | None = Field(
        None, description="How answers become scores, where the harness has no such way."
    )
    num_fewshot: int = Field(0, ge=0)
    description: str = Field("", description="Begins every prompt.")
    doc_to_text: Template = Field("", description="What comes before the answer.")
    doc_to_choice: list[Template] | Template | None = None
    doc_to_contexts: list[Template] | Template | None = Field(
        None, description="Beginnings that compete for the same continuation."
    )
    doc_to_continuation: Template | None = None
    doc_to_target: Template | int | list[Template] = Field(
        description="The answer: a choice, its index, or texts; a number means that the choice is "
        "at this place in every item, and then their order is drawn anew for each item."
    )
    doc_to_value: Template | None = Field(None, description="A gold number beside the choice.")
    doc_to_decontamination_query: Template = Field(
        description="The text of an item by which repetitions and overlaps are found."
    )
    target_delimiter: str = " "
    fewshot_delimiter: str = "\n\n"
    generation_kwargs: Generation | None = None
    metrics: list[str] = Field(min_length=1)
    metadata: dict[str, Any] = Field(description="`version`, raised with every change of a prompt.")

    @model_validator(mode="after")
    def _belong_together(self) -> Task:
        if "version" not in self.metadata:
            raise ValueError("metadata: 'version' is missing")
        if self.output_type == "multiple_choice" and (self.doc_to_choice is None) == (
            self.doc_to_contexts is None
        ):
            raise ValueError("multiple_choice needs either doc_to_choice or doc_to_contexts")
        if (self.doc_to_contexts is None) != (self.doc_to_continuation is None):
            raise ValueError("doc_to_contexts and doc_to_continuation need each other")
        if (self.output_type == "generate_until") != (self.generation_kwargs is not None):
            raise ValueError("generate_until and generation_kwargs need each other")
        if (self.output_type == "generate_until") != (self.scoring == "extracted_answer"):
            raise ValueError("generate_until and scoring: extracted_answer need each other")
        if (self.scoring == "expected_value") != (self.doc_to_value is not None):
            raise ValueError("scoring: expected_value and doc_to_value need each other")
        if self.num_fewshot and self.data.examples is None:
            raise ValueError("num_fewshot needs data.examples")
        return self


def names(folder: Path = FOLDER) -> list[str]:
    """Return the names of all tasks: those of their files."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read(name: str, where: str, folder: Path = FOLDER) -> Task:
    """Read the task ``name``.

    Raises:
        UserError: there is none (the message begins with ``where``), or its file is wrong.
    """
    if name not in names(folder):
        raise UserError(f"{where}: unknown task '{name}'{nearest(name, names(folder))}")
    path = folder / f"{name}.yaml"
    return parse(read_yaml(path), f"config/tasks/{path.name}")


def of_study(names: Iterable[str], sources: Container[str]) -> dict[str, Task]:
    """Read the tasks of a study, whose sources must be in the catalogue; else a `UserError`."""
    tasks = {name: read(name, "evaluation.tasks") for name in names}
    for name, task in tasks.items():
        if task.data.source not in sources:
            raise UserError(
                f"config/tasks/{name}.yaml: data.source: unknown source '{task.data.source}'; add "
                "it to config/corpora.yaml"
            )
    return tasks


def parse(content: dict, origin: str) -> Task:
    """Check the content of a task's file; ``origin`` is named in messages."""
    try:
        task = Task.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        hint = ""
        if first["type"] == "extra_forbidden":
            hint = nearest(str(first["loc"][-1]), Task.model_fields)
        place = f"{origin}: {key}: " if key else f"{origin}: "
        raise UserError(f"{place}{first['msg'].removeprefix('Value error, ')}{hint}") from error
    for metric in task.metrics:
        found = METRICS.get_or_refuse(metric, f"{origin}: metrics")
        if not issubclass(found, TaskMetric):
            raise UserError(f"{origin}: metrics: '{metric}' is not a metric of tasks")
    return task
