"""Small models, one per tokenizer and seed, trained with equal compute on the same text."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from transformers import AutoConfig

from jadapt.core import checksums, seeds
from jadapt.core.files import read_json, write_json
from jadapt.data.evaluation_rows import evaluation_documents, evaluation_rows
from jadapt.data.tokens import TokenFile
from jadapt.evaluation.likelihood import evaluate
from jadapt.evaluation.tokenizer_study import TEXT
from jadapt.models import scratch
from jadapt.tokenization.tokenizers import Tokenizer, load
from jadapt.training import provenance
from jadapt.training.async_scalars import Diverged
from jadapt.training.module import AdaptationModule
from jadapt.training.run import Places, Run

PLAIN = ""
RESULT = "result.json"
Measured = tuple[str, str, float, str, int]


@dataclass(frozen=True)
class Point:
    """One model: its tokenizer, how training texts are segmented, and the seed."""

    tokenizer: str
    variant: str
    regularisation: dict | None
    seed: int


def flops_per_token(config: AutoConfig, sequence_length: int) -> float:
    """Return the FLOPs of training per token: 6 N + 12 * layers * width * sequence_length.

    N counts the weights of matrix products, those of the layers and of the output layer but not of
    the input embedding (Kaplan et al. 2020; the attention term as in PaLM, Chowdhery et al. 2022).
    """
    width, heads = config.hidden_size, config.num_attention_heads
    shared = config.num_key_value_heads / heads
    layer = width * width * (2 + 2 * shared) + 3 * width * config.intermediate_size
    weights = config.num_hidden_layers * layer + config.vocab_size * width
    return 6 * weights + 12 * config.num_hidden_layers * width * sequence_length


class TokenizerModels:
    """Trains and evaluates the models of the tokenization study in one process.

    Args:
        settings: ``training`` (a run's settings), ``model`` (an entry of kind ``scratch``),
            ``reference`` (the tokenizer that ``steps`` are meant for), ``seeds``,
            ``regularisation`` and ``batch_size``.
        folders: what `jadapt.evaluation.tokenizer_study.prepare` wrote, by tokenizer.
        work: where finished points are kept until all are done.
    """

    def __init__(self, settings: dict, folders: dict[str, Path], work: Path) -> None:
        self.settings, self.folders, self.work = settings, folders, work

    def run(self) -> Iterator[tuple[Point, Measured]]:
        """Yield (point, (domain, metric, value, unit, n)): bits per raw byte, steps, parameters."""
        for point in self.points():
            for row in self._result(point):
                yield point, tuple(row)

    def points(self) -> Iterator[Point]:
        """Yield every model to train: each tokenizer, then the variants of one."""
        for name in self.folders:
            for seed in self.settings["seeds"]:
                yield Point(name, PLAIN, None, seed)
        grid = self.settings["regularisation"]
        if grid is None:
            return
        for seed in grid["seeds"]:
            if seed not in self.settings["seeds"]:
                yield Point(grid["tokenizer"], PLAIN, None, seed)
            for variant, drawn in grid["variants"].items():
                yield Point(grid["tokenizer"], variant, drawn, seed)

    def _result(self, point: Point) -> list[list]:
        folder = self.work / f"{point.tokenizer}-{point.variant or 'plain'}-seed{point.seed}"
        tokenizer = load(self.folders[point.tokenizer] / "tokenizer")
        model = self._initial(point, tokenizer)
        settings = self._run_settings(point, model)
        tokens = {TEXT: self.folders[point.tokenizer] / "tokens" / TEXT}
        with provenance.alone(folder):
            expected = provenance.fingerprint(settings, model, tokens)
            provenance.claim(folder, {**expected, "study": self._shared()})
            if (folder / RESULT).exists():
                return read_json(folder / RESULT)
            print(f"{folder.name}: {settings['steps']} steps", file=sys.stderr, flush=True)
            run = Run(settings, Places(model, tokens, folder, folder), tokenizer, self._module)
            try:
                report = run.train()
            except Diverged as error:
                print(f"{folder.name}: {error}", file=sys.stderr, flush=True)
                result = [[TEXT, "bits_per_byte", None, "bit/byte", 0]]
            else:
                result = [
                    [TEXT, "steps", report["steps"], "1", 1],
                    [TEXT, "parameters", report["parameters"], "1", 1],
                    [TEXT, "training_tokens", report["tokens"], "token", 1],
                    *self._evaluate(point, tokenizer),
                ]
            write_json(folder / RESULT, result)
        return result

    def _shared(self) -> dict:
        return {"model": self.settings["model"], "batch_size": self.settings["batch_size"]}

    def _initial(self, point: Point, tokenizer: Tokenizer) -> Path:
        """Draw the initial model of a point; models differ only by the size of the vocabulary."""
        folder = self.work / "models" / f"{point.tokenizer}-seed{point.seed}"
        special = {
            "bos_token_id": tokenizer.start_id,
            "eos_token_id": tokenizer.end_id,
            "pad_token_id": tokenizer.pad_id,
        }
        seed = seeds.stream("tokenization", point.seed, "weights")
        scratch.prepare(self.settings["model"], tokenizer.vocabulary_size, special, seed, folder)
        checksums.seal_folder(folder)
        return folder

    def _run_settings(self, point: Point, model: Path) -> dict:
        settings = {
            **self.settings["training"],
            "run": point.tokenizer,
            "method": "sft",
            "sequence": [TEXT],
            "source_domain": TEXT,
            "role": "tokenization",
            "seed": point.seed,
            # No model of this study was pre-trained.
            "reserved": {},
            "subword_regularisation": point.regularisation,
        }
        reference = load(self.folders[self.settings["reference"]] / "tokenizer")
        config = AutoConfig.from_pretrained(model, local_files_only=True)
        own = flops_per_token(config, settings["sequence_length"])
        config.vocab_size = reference.vocabulary_size
        share = flops_per_token(config, settings["sequence_length"]) / own
        for key in ("steps", "warmup_steps"):
            settings[key] = max(1, round(settings[key] * share))
        settings["steps"] = max(settings["steps"], settings["warmup_steps"] + 1)
        return settings

    @cached_property
    def _module(self) -> AdaptationModule:
        return AdaptationModule(self.work)

    def _evaluate(self, point: Point, tokenizer: Tokenizer) -> Iterator[list]:
        """Measure on test texts, in bits per byte of the text as it was before normalisation."""
        model = self._module.model.eval()
        for folder in sorted((self.folders[point.tokenizer] / "tokens").glob("*/test")):
            tokens = TokenFile(folder)
            rows = evaluation_rows(
                tokens,
                self.settings["training"]["sequence_length"],
                start_id=tokenizer.start_id,
            )
            tally = evaluate(model, rows, tokenizer.token_bytes(), self.settings["batch_size"])
            size = int(tokens.sizes[: evaluation_documents(tokens), 0].sum())
            bits = tally.nats / math.log(2) / size
            yield [folder.parent.name, "bits_per_byte", bits, "bit/byte", size]
