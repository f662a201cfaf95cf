"""Trivial language models of the study's own text, in the columns of the metrics table.

======================  =======================================  ===================================
method                  trained on                               rows
======================  =======================================  ===================================
``unigram``             the tokens that a run is trained on, all  after each task, on every domain
                        tasks so far together, without contexts
``ngram``               the characters of the same documents      the same
``unigram_own``         those of one task alone                   of that task, on its own domain
``ngram_own``           the same, by characters                   the same
``ngram_all``           all that runs may draw of all tasks      after the last, on every domain
======================  =======================================  ===================================

A run sees a sample of the documents that its seed draws; here it is the first documents of the
split, whose order is that of a hash, so that no row depends on a seed. Documents that are reserved
for pre-training (`jadapt.data.partition`) stand at the end of a split and take no part, as they
take none in a run. The order of an n-gram is
the one of 1 to 6 that is best on validation text of the domain it is evaluated on. Domains of
another language than that of the tasks have no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jadapt.core.errors import UserError
from jadapt.core.files import read_jsonl
from jadapt.data.evaluation_rows import evaluation_documents
from jadapt.data.partition import unreserved
from jadapt.data.tokens import TokenFile
from jadapt.evaluation.ngram import CHARACTERS, NGram, bits_per_byte, code_points

LARGEST_ORDER = 6
VALIDATION_CHARACTERS = 100_000
"""Characters of a domain's validation split by which an order is chosen."""


class Row(NamedTuple):
    """One value: the columns of the metrics table without study and seed."""

    method: str
    trained_through: str
    evaluated_on: str
    metric: str
    value: float
    unit: str
    n: int


@dataclass(frozen=True)
class Domain:
    """Where a domain's text lies: a folder with its splits as documents, one with them as tokens.

    Tokens of the training split are read of domains that are trained on, those of the test split of
    domains that are evaluated.
    """

    corpus: Path
    tokens: Path

    def token_file(self, split: str) -> TokenFile:
        """Open the tokens of a split."""
        return TokenFile(self.tokens / split)

    def texts(self, split: str, language: str, count: int | None = None) -> Iterator[np.ndarray]:
        """Yield the first ``count`` documents of a split (all by default) as code points."""
        for document in islice(read_jsonl(self.corpus / f"{split}.jsonl"), count):
            yield code_points(document[language])


def documents_seen(token_file: TokenFile, labels: int, available: int) -> int:
    """Return how many first documents of a split hold so many labels: its tokens and an end each.

    At least one, and at most the ``available`` first: a run of more labels sees documents again.
    """
    ends = token_file.offsets[1:] + np.arange(1, len(token_file) + 1)
    return min(max(int(np.searchsorted(ends, labels, side="right")), 1), available)


def baseline_rows(
    domains: dict[str, Domain],
    labels: dict[str, int],
    evaluated: Sequence[str],
    maximum_tokens: int | None,
    reserved: Mapping[str, float],
) -> Iterator[Row]:
    """Yield the rows of the baselines.

    Args:
        domains: every domain that is trained or evaluated on.
        labels: how many labels a run is trained on, by task, in the order of the tasks; all tasks
            are in one language.
        evaluated: domains whose test text is scored; one without documents is left out.
        maximum_tokens: how much of it, as for the models.
        reserved: shares of a domain's training documents that only pre-training draws, by domain.

    Raises:
        UserError: a domain to train on has no documents for it, or text and tokens do not belong
            together.
    """
    tasks = list(labels)
    files = {task: domains[task].token_file("train") for task in tasks}
    available = {
        task: len(unreserved(len(token_file), reserved.get(task, 0.0)))
        for task, token_file in files.items()
    }
    for task, token_file in files.items():
        if not available[task]:
            raise UserError(f"{token_file.directory}: no documents to train a baseline on")
    language = files[tasks[0]].meta["language"]
    tests = {}
    for name in evaluated:
        token_file = domains[name].token_file("test")
        if len(token_file) and token_file.meta["language"] == language:
            tests[name] = _Test(domains[name], token_file, maximum_tokens)
    for place, task in enumerate(tasks):
        models: dict[str, _Tokens | _Characters] = {}
        for ending, names in (("", tasks[: place + 1]), ("_own", [task])):
            # After the first task the two are the same.
            if ending and place == 0:
                models |= {f"{method}_own": model for method, model in models.items()}
                continue
            seen = {
                name: documents_seen(files[name], labels[name], available[name]) for name in names
            }
            parts = [_tokens(files[name], count) for name, count in seen.items()]
            texts = (domains[name].texts("train", language, seen[name]) for name in names)
            models[f"unigram{ending}"] = _Tokens(parts)
            models[f"ngram{ending}"] = _Characters(chain(*texts))
        for method, model in models.items():
            own = method.endswith("_own")
            scored = {name: test for name, test in tests.items() if not own or name == task}
            yield from _scores(method, task, model, scored)
    texts = (domains[name].texts("train", language, available[name]) for name in tasks)
    yield from _scores("ngram_all", tasks[-1], _Characters(chain(*texts)), tests)


class _Test:
    """The test text of a domain, as characters and tokens, and its validation text."""

    def __init__(self, domain: Domain, token_file: TokenFile, maximum_tokens: int | None) -> None:
        language = token_file.meta["language"]
        count = evaluation_documents(token_file, maximum_tokens)
        self.tokens = [np.asarray(token_file.document(n), np.int64) for n in range(count)]
        self.texts = list(domain.texts("test", language, count))
        self.bytes, characters = token_file.sizes[:count].sum(axis=0).tolist()
        if sum(map(len, self.texts)) != characters:
            raise UserError(
                f"{domain.corpus}/test.jsonl is not the text of {token_file.directory}; delete "
                f"{token_file.directory} and run the same command again"
            )
        self.validation: list[np.ndarray] = []
        size = 0
        for text in domain.texts("validation", language):
            self.validation.append(text)
            size += len(text)
            if size >= VALIDATION_CHARACTERS:
                break


def _tokens(token_file: TokenFile, count: int) -> tuple[int, list[np.ndarray]]:
    """Return the size of the vocabulary, and the tokens of the first documents."""
    documents = [np.asarray(token_file.document(n), np.int64) for n in range(count)]
    return token_file.meta["vocabulary_size"], documents


class _Tokens:
    """A unigram of tokens."""

    def __init__(self, parts: Iterable[tuple[int, list[np.ndarray]]]) -> None:
        sizes, documents = zip(*parts, strict=True)
        self._model = NGram(chain(*documents), 1, sizes[0])

    def bits_per_byte(self, test: _Test) -> float:
        nats = sum(float(each.sum()) for each in self._model.nats(test.tokens))
        return bits_per_byte(nats, test.bytes)


class _Characters:
    """An n-gram of characters, of the order that is best on a domain's validation text."""

    def __init__(self, texts: Iterable[np.ndarray]) -> None:
        self._model = NGram(texts, LARGEST_ORDER, CHARACTERS)

    def _nats(self, texts: list[np.ndarray], order: int) -> float:
        return sum(float(each.sum()) for each in self._model.nats(texts, order))

    def bits_per_byte(self, test: _Test) -> float:
        orders = range(1, LARGEST_ORDER + 1)
        order = min(orders, key=lambda order: self._nats(test.validation, order))
        return bits_per_byte(self._nats(test.texts, order), test.bytes)


def _scores(
    method: str, task: str, model: _Tokens | _Characters, tests: dict[str, _Test]
) -> Iterator[Row]:
    for name, test in tests.items():
        value = model.bits_per_byte(test)
        yield Row(method, task, name, "bits_per_byte", value, "bit/byte", test.bytes)
