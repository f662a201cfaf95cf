"""Put all tasks of a study to a model, by lm-evaluation-harness in this process.

The harness writes nothing and reads nothing: its tasks hold the prepared items.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import lm_eval.api.task
from lm_eval import evaluator
from lm_eval.api.task import ConfigurableTask
from transformers import PreTrainedModel

from jadapt.core.files import read_json, read_jsonl
from jadapt.evaluation.metrics.registry import METRICS
from jadapt.evaluation.tasks.definition import Task, parse
from jadapt.evaluation.tasks.folders import EXAMPLES, ITEMS, RECORD
from jadapt.evaluation.tasks.harness_model import Encoder, HarnessModel
from jadapt.evaluation.tasks.scoring import AGGREGATION, SCORING
from jadapt.methods.base import Method
from jadapt.tokenization.tokenizers import Tokenizer

# Errors of means have closed forms; nothing here is resampled by the harness.
BOOTSTRAP = 1

# The harness's lines about every task and model, and its bars, which go to logs as well.
lm_eval.api.task.tqdm = lambda items, **_: items
logging.getLogger("lm-eval").setLevel(logging.ERROR)
logging.getLogger("lm_eval").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Score:
    """One metric of one task."""

    task: str
    metric: str
    value: float
    unit: str
    n: int
    standard_error: float


class PreparedTask(ConfigurableTask):
    """A task of the harness that holds its items instead of fetching them.

    Args:
        name: that of its file.
        task: its definition.
        folder: what `jadapt.evaluation.tasks.preparation` wrote.
    """

    def __init__(self, name: str, task: Task, folder: Path) -> None:
        self._folder = folder
        super().__init__(config=_harness_config(name, task))

    def download(self, dataset_kwargs: dict | None = None, **_: Any) -> None:
        """Read the prepared items and examples."""
        self.dataset = {
            split: datasets.Dataset.from_list(list(read_jsonl(self._folder / file)))
            for split, file in (("test", ITEMS), ("examples", EXAMPLES))
        }


def _harness_config(name: str, task: Task) -> dict:
    """Return a task in the harness's own terms, with the fields of items in place of templates."""
    metrics = [METRICS[key].harness for key in task.metrics]
    config = {
        "task": name,
        "output_type": task.output_type,
        "test_split": "test",
        "num_fewshot": task.num_fewshot,
        "description": task.description,
        "target_delimiter": task.target_delimiter,
        "fewshot_delimiter": task.fewshot_delimiter,
        "metric_list": [
            {
                "metric": metric,
                "aggregation": AGGREGATION.get(metric, "mean"),
                "higher_is_better": True,
            }
            for metric in metrics
        ],
        "metadata": task.metadata,
        "doc_to_text": "text",
        "doc_to_target": "answers",
    }
    if task.num_fewshot:
        config["fewshot_split"] = "examples"
    if task.output_type == "multiple_choice":
        config |= {"doc_to_choice": "choices", "doc_to_target": "gold"}
        if task.doc_to_contexts is not None:
            # In the harness's words, the text is the index of the right context.
            config |= {"doc_to_text": "gold", "doc_to_target": "continuation"}
    if task.output_type == "loglikelihood":
        config["doc_to_target"] = _first_answer
    if task.generation_kwargs is not None:
        config["generation_kwargs"] = {**task.generation_kwargs.model_dump(), "do_sample": False}
    if task.scoring:
        config["process_results"] = SCORING[task.scoring]
    return config


def _first_answer(item: dict) -> str:
    return item["answers"][0]


class Suite:
    """The tasks of a study, put to one model after another.

    Args:
        folders: that of each prepared task; a task that is not available is left out.
        tokenizer: that of all models.
        seed: of the examples in prompts.
        batch_tokens: tokens of a batch, padding included.
    """

    def __init__(
        self, folders: Sequence[Path], tokenizer: Tokenizer, *, seed: int, batch_tokens: int
    ) -> None:
        self.seed, self.batch_tokens = seed, batch_tokens
        self.encoder = Encoder(tokenizer)
        self.definitions: dict[str, Task] = {}
        self.tasks: dict[str, PreparedTask] = {}
        for folder in folders:
            record = read_json(folder / RECORD)
            name = record["task"]
            if not record["available"]:
                print(f"task {name}: {record['reason']}; left out", file=sys.stderr)
                continue
            self.definitions[name] = parse(record["definition"], str(folder / RECORD))
            self.tasks[name] = PreparedTask(name, self.definitions[name], folder)

    def evaluate(
        self, model: PreTrainedModel, method: Method | None = None
    ) -> tuple[list[Score], dict]:
        """Put every task to a model.

        Args:
            model: in evaluation mode.
            method: what wraps its layers; one that keeps something a task is told that this is
                none of its tasks.

        Returns:
            The scores, and the harness's own results, with the number of contexts that were cut
            from the left because they are longer than the model's (``cut_contexts``).
        """
        if not self.tasks:
            return [], {}
        if method is not None and method.needs_task_id:
            method.for_task(model, None)
        for task in self.tasks.values():
            # Every model gets the same examples.
            task.set_fewshot_seed(self.seed)
        lm = HarnessModel(model, self.encoder, self.batch_tokens, cached=method is None)
        results = evaluator.evaluate(
            lm, self.tasks, bootstrap_iters=BOOTSTRAP, log_samples=False, verbosity="ERROR"
        )
        for name, count in lm.cut.items():
            print(
                f"task {name}: {count} contexts were cut from the left, being longer than the "
                f"model's {lm.longest} tokens",
                file=sys.stderr,
            )
        kept = ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples")
        record = {key: results[key] for key in kept} | {"cut_contexts": lm.cut}
        return list(self._scores(record)), record

    def _scores(self, record: dict) -> Iterator[Score]:
        for name, task in self.definitions.items():
            found = record["results"][name]
            n = record["n-samples"][name]["effective"]
            for key in task.metrics:
                metric = METRICS[key]()
                value = float(found[f"{metric.harness},none"])
                error = found.get(f"{metric.harness}_stderr,none")
                if not isinstance(error, float):
                    error = metric.standard_error(value, n)
                yield Score(name, key, value, metric.unit, n, float(error))
