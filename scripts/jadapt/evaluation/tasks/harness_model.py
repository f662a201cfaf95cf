"""A model as lm-evaluation-harness asks for one: scores of continuations, and greedy answers.

The model is the one that is in memory, with the tokenizer that it was trained with. Every text
begins with the start token, as every training document does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from tqdm import tqdm
from transformers import PreTrainedModel

from jadapt.core.errors import UserError
from jadapt.data.evaluation_rows import UNSCORED
from jadapt.evaluation.tasks.generation import greedy
from jadapt.models.scoring import score
from jadapt.tokenization.tokenizers import Tokenizer

Pair = tuple[list[int], list[int]]


class Encoder:
    """Encodes prompts and continuations, each once: the same ones are put to every model."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._known: dict[tuple[str, str], Pair] = {}

    def pair(self, context: str, continuation: str) -> Pair:
        """Return the tokens of a context, the start token before them, and of its continuation.

        White space at the end of the context goes to the continuation, where tokenizers have it.
        They are encoded together, as the harness does, unless a token goes across the boundary:
        then each by itself, so that all of the continuation is scored and nothing else.
        """
        if (context, continuation) not in self._known:
            self._known[context, continuation] = self._encoded(context, continuation)
        return self._known[context, continuation]

    def _encoded(self, context: str, continuation: str) -> Pair:
        stripped = context.rstrip()
        continuation = context[len(stripped) :] + continuation
        both, before = self.tokenizer.encode_batch([stripped + continuation, stripped])
        after = both[len(before) :]
        if both[: len(before)] != before or not after:
            (after,) = self.tokenizer.encode_batch([continuation])
        return [self.tokenizer.start_id, *before], after


class HarnessModel(LM):
    """Answers the harness's requests with a model that is in memory.

    Args:
        model: in evaluation mode.
        encoder: shared by the models that have one tokenizer.
        batch_tokens: tokens of a batch, padding included.
        cached: whether generation may keep keys and values; a model whose layers a method has
            wrapped computes them anew.
    """

    def __init__(
        self, model: PreTrainedModel, encoder: Encoder, batch_tokens: int, *, cached: bool
    ) -> None:
        super().__init__()
        self.model, self.encoder = model, encoder
        self.batch_tokens, self.cached = batch_tokens, cached
        self.longest = model.config.max_position_embeddings
        self.cut: dict[str, int] = {}

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Return the log-probability of each continuation, and whether it is the greedy one."""
        rows = [self._row(request) for request in requests]
        found: list[tuple[float, bool]] = [(0.0, False)] * len(rows)
        for places in self._batches([len(inputs) for inputs, _ in rows], "scoring"):
            inputs, labels = (
                _padded([rows[place][part] for place in places], fill)
                for part, fill in ((0, self.encoder.tokenizer.start_id), (1, UNSCORED))
            )
            # Padding is on the right, where no token sees it.
            positions = np.broadcast_to(np.arange(inputs.shape[1]), inputs.shape).copy()
            batch = {"input_ids": inputs, "labels": labels, "position_ids": positions}
            nats, predicted = score(self.model, batch)
            scored = labels != UNSCORED
            greedily = ((predicted == labels) | ~scored).all(axis=1)
            for place, own, is_greedy in zip(places, nats.sum(axis=1), greedily, strict=True):
                found[place] = (-float(own), bool(is_greedy))
        return found

    def _row(self, request: Instance) -> tuple[list[int], list[int]]:
        """Return the inputs of a request and their labels, those of the context unscored."""
        context, continuation = self.encoder.pair(*request.args)
        if len(continuation) >= self.longest:
            raise UserError(
                f"task {request.task_name}: an answer of {len(continuation)} tokens is longer than "
                f"the model's {self.longest} positions; leave the task out"
            )
        context = self._fitting(context, self.longest - len(continuation) + 1, request)
        inputs = [*context, *continuation][:-1]
        labels = [UNSCORED] * (len(context) - 1) + continuation
        return inputs, labels

    def _fitting(self, context: list[int], room: int, request: Instance) -> list[int]:
        """Cut a context that is too long from the left, after the start token, and count it."""
        if len(context) <= room:
            return context
        if request.idx == 0:
            self.cut[request.task_name] = self.cut.get(request.task_name, 0) + 1
        return [context[0], *context[len(context) - room + 1 :]] if room > 1 else context[-1:]

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Return the greedy answer to each prompt, up to the first of its stop strings."""
        found = [""] * len(requests)
        decode = self.encoder.tokenizer.decode
        prompts = []
        for request in requests:
            context, options = request.args
            tokens = [self.encoder.tokenizer.start_id, *self._encode(context)]
            prompts.append(self._fitting(tokens, self.longest - options["max_gen_toks"], request))
        for places in self._batches([len(prompt) for prompt in prompts], "generating"):
            options = [requests[place].args[1] for place in places]

            def done(row: int, tokens: list[int], options: list[dict] = options) -> bool:
                text = decode(tokens)
                return any(stop in text for stop in options[row]["until"])

            answers = greedy(
                self.model,
                [prompts[place] for place in places],
                max(option["max_gen_toks"] for option in options),
                end=self.encoder.tokenizer.end_id,
                done=done,
                cached=self.cached,
            )
            for place, tokens, option in zip(places, answers, options, strict=True):
                found[place] = _until(decode(tokens), option["until"])
        return found

    def _encode(self, text: str) -> list[int]:
        return self.encoder.pair(text, "")[0][1:] + self.encoder.pair(text, "")[1]

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
        """Refuse: texts as a whole are measured in bits per byte, by the evaluation itself."""
        raise NotImplementedError("no task asks for the likelihood of whole texts")

    def _batches(self, lengths: Sequence[int], what: str) -> Iterator[list[int]]:
        """Yield places of rows, the longest first, in batches of `batch_tokens` with padding."""
        places = sorted(range(len(lengths)), key=lambda place: -lengths[place])
        with tqdm(total=len(places), desc=what, disable=not sys.stderr.isatty()) as progress:
            while places:
                size = max(1, self.batch_tokens // lengths[places[0]])
                batch, places = places[:size], places[size:]
                yield batch
                progress.update(len(batch))


def _padded(rows: Sequence[list[int]], fill: int) -> np.ndarray:
    width = max(map(len, rows))
    return np.array([[*row, *[fill] * (width - len(row))] for row in rows], np.int64)


def _until(text: str, stops: Sequence[str]) -> str:
    ends = [text.index(stop) for stop in stops if stop in text]
    return text[: min(ends)] if ends else text
