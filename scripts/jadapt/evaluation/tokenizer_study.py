"""Make one tokenizer of the tokenization study, measure it on held-out text, write its tokens."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from jadapt import segmentation
from jadapt.core.errors import UserError
from jadapt.data.encoding import encode_corpus
from jadapt.models import tokenizer_making as making
from jadapt.segmentation.reference import describe, read
from jadapt.tokenization import fertility
from jadapt.tokenization.tokenizers import document_text, load

TEXT = "text"
"""The name of the joint training text of all domains, and of the field that holds a text."""

TREEBANK = "treebank"
"""The name that gold words have in place of a domain: they are of text of their own."""

# Domain, script, metric, value, unit, n, and of words the reference and whether it is gold.
Row = tuple[str, str, str, float, str, int, str, str]
# Enough text to measure a speed; the slowest tokenizer takes a second for a megabyte.
_SPEED_BYTES = 300_000


def prepare(
    entry: dict,
    materials: making.Materials,
    splits: dict[str, dict[str, Path]],
    settings: dict,
    output: Path,
    reference: Path | None = None,
) -> list[Row]:
    """Make a tokenizer under ``output`` with the tokens that a small model needs.

    Args:
        entry: of ``tokenization.tokenizers``.
        materials: what it is made of.
        splits: the split files of each domain.
        settings: ``maximum_documents`` per domain for training, ``test_documents`` per domain for
            measuring, ``words`` (the dictionary that is used where there are no gold words),
            ``normalisation`` (of the text) and ``languages`` (the field that holds each text).
        output: the folder, in which ``tokenizer/``, ``tokens/text/{train,validation}`` and
            ``tokens/{domain}/test`` are written.
        reference: what `jadapt.segmentation.reference.prepare` wrote, if it exists.

    Returns:
        Rows (domain, script, metric, value, unit, n, reference, gold); the last two say which words
        were counted, and are empty for metrics that count no words.
    """
    making.make(entry, materials, output / "tokenizer")

    def texts(domain: str, split: str, count: int) -> list[str]:
        return list(_texts(splits[domain][split], settings["languages"][domain], count))

    tests = {domain: texts(domain, "test", settings["test_documents"]) for domain in splits}
    for split, count in (
        ("train", settings["maximum_documents"]),
        ("validation", settings["test_documents"]),
    ):
        joint = (text for domain in splits for text in texts(domain, split, count))
        _encode(joint, output / "tokenizer", output / "tokens" / TEXT / split)
    for domain, some in tests.items():
        _encode(some, output / "tokenizer", output / "tokens" / domain / "test")
    plain = [*_measure(tests, output / "tokenizer"), *_speeds(tests, output)]
    whole = _whole_words(tests, output / "tokenizer", settings, reference)
    return [*((*row, "", "") for row in plain), *whole]


def _texts(path: Path, language: str, count: int) -> Iterator[str]:
    """Yield the first texts of a split, which is sorted by a hash: an unbiased sample."""
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, 1):
            if number > count:
                return
            try:
                yield document_text(line, language)
            except ValueError as error:
                raise UserError(f"{path}:{number}: {error}") from error


def _encode(texts: Iterable[str], tokenizer: Path, output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=output.parent) as stream:
        for text in texts:
            stream.write(json.dumps({TEXT: text}, ensure_ascii=False) + "\n")
        stream.flush()
        encode_corpus(tokenizer, stream.name, TEXT, output)


def _measure(tests: dict[str, list[str]], directory: Path) -> Iterator[tuple]:
    tokenizer = load(directory)
    token_bytes = tokenizer.token_bytes()
    for domain, texts in tests.items():
        counts = fertility.Fertility()
        for text in texts:
            counts.add(tokenizer, token_bytes, text)
        for measure in counts.measures():
            yield domain, *measure
    size = tokenizer.vocabulary_size
    yield fertility.ALL, fertility.ALL, "vocabulary_size", size, "entry", 1


def _whole_words(
    tests: dict[str, list[str]], directory: Path, settings: dict, reference: Path | None
) -> Iterator[Row]:
    """Count gold words on their own text; without gold words, a dictionary's on the test texts."""
    name, gold, texts = settings["words"], False, {}
    if reference is not None and (meta := describe(reference))["gold"]:
        name, gold, texts = meta["name"], True, {TREEBANK: read(reference, "test")}
    else:
        segmenter = segmentation.load(name)
        texts = {domain: segmenter.segment(some) for domain, some in tests.items()}
    tokenizer = load(directory)
    token_bytes = tokenizer.token_bytes()
    for domain, some in texts.items():
        counts = fertility.WholeWords()
        for words in some:
            counts.add(tokenizer, token_bytes, words, settings["normalisation"])
        for measure in counts.measures():
            yield domain, *measure, name, str(gold).lower()


def _speeds(tests: dict[str, list[str]], output: Path) -> Iterator[tuple]:
    """Time the tokenizer and the `tokenizers` library's form of the same model, side by side."""
    sample, size = [], 0
    for text in (text for texts in tests.values() for text in texts):
        sample.append(text)
        size += len(text.encode())
        if size >= _SPEED_BYTES:
            break
    tokenizer = load(output / "tokenizer")
    library = fertility.in_library(output / "tokenizer")
    encoders: dict[str, Callable] = {"encoding_speed": tokenizer.encode_batch}
    if library is not None:
        encoders["library_encoding_speed"] = library.encode_batch_fast
    for metric, encode in encoders.items():
        value = fertility.speed(encode, sample)
        yield fertility.ALL, fertility.ALL, metric, value, "MB/s", size
