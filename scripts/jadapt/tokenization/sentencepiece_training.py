"""Train a lossless SentencePiece tokenizer, with bounded memory and the same result every time."""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import sentencepiece

from jadapt import segmentation
from jadapt.core.errors import UserError, nearest
from jadapt.core.files import atomic, sha256_file, write_json
from jadapt.tokenization.normalisation import NAMES as NORMALISATIONS
from jadapt.tokenization.normalisation import normalise
from jadapt.tokenization.tokenizers import (
    META_NAME,
    MODEL_NAME,
    SPACE_MARK,
    document_text,
    with_spaces,
)

SPECIAL_IDS = {"pad": 0, "start": 1, "end": 2, "unknown": 3}

_TYPES = ("unigram", "bpe")

# SentencePiece leaves out sentences above 4,192 bytes; 1,000 characters are at most 4,000 bytes.
_SENTENCE_CHARACTERS = 1000

# Stands between words where no piece may go across them: the unit separator, which text lacks.
_WORD_EDGE = "\x1f"


@dataclass(frozen=True)
class TokenizerSettings:
    """The ``tokenizer`` section of a study's configuration.

    ``maximum_sentences`` counts lines of text (of at most 1,000 characters) from each file. Texts
    are brought to the form ``normalisation``; where ``words`` names a segmenter, no piece goes
    across its words.
    """

    vocabulary_size: int
    kind: str = "sentencepiece"
    model_type: str = "unigram"
    byte_fallback: bool = True
    character_coverage: float = 0.9995
    maximum_sentences: int = 200_000
    normalisation: str = "none"
    words: str | None = None

    def __post_init__(self) -> None:
        """Check every value; a `UserError` names the key."""
        if self.kind != "sentencepiece":
            raise UserError(f"tokenizer.kind: only sentencepiece is trained, not {self.kind!r}")
        if self.model_type not in _TYPES:
            raise UserError(
                f"tokenizer.model_type: {self.model_type!r}{nearest(self.model_type, _TYPES)}"
            )
        if self.normalisation not in NORMALISATIONS:
            raise UserError(
                f"tokenizer.normalisation: {self.normalisation!r}"
                f"{nearest(self.normalisation, NORMALISATIONS)}"
            )
        if self.words is not None and self.words not in segmentation.DICTIONARIES:
            raise UserError(
                f"tokenizer.words: {self.words!r}{nearest(self.words, segmentation.DICTIONARIES)}"
            )
        if self.byte_fallback is not True:
            raise UserError(
                "tokenizer.byte_fallback: must be true; without it rare characters are lost and "
                "bits per byte are wrong"
            )
        for name in ("vocabulary_size", "maximum_sentences"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UserError(f"tokenizer.{name}: expected a positive integer, got {value!r}")
        coverage = self.character_coverage
        if not isinstance(coverage, int | float) or not 0.98 <= coverage <= 1:
            raise UserError(f"tokenizer.character_coverage: expected 0.98 … 1, got {coverage!r}")

    @classmethod
    def from_mapping(cls, settings: dict) -> TokenizerSettings:
        """Check the keys of a configuration section and build the settings."""
        known = [field.name for field in fields(cls)]
        for key in settings:
            if key not in known:
                raise UserError(f"tokenizer.{key}: unknown key{nearest(key, known)}")
        if "vocabulary_size" not in settings:
            raise UserError("tokenizer.vocabulary_size: missing; give the number of entries")
        return cls(**settings)


class _Corpus:
    """A training split, read as sentences, and what was read of it."""

    def __init__(self, language: str, path: str | Path, normalisation: str) -> None:
        self.language, self.path = language, Path(path)
        self.normalisation = normalisation
        if not self.path.is_file():
            raise UserError(f"{path}: no such file")
        if self.path.stem in ("validation", "test"):
            raise UserError(f"{path}: the tokenizer is trained on training splits only")
        self.documents = self.sentences = 0

    def read(self, maximum_sentences: int) -> Iterator[str]:
        """Yield at most so many sentences, from the start.

        Documents are sorted by a hash, so a prefix is an unbiased sample.
        """
        self.documents = self.sentences = 0
        for text in self._texts():
            self.documents += 1
            for sentence in _sentences(normalise(text, self.normalisation)):
                self.sentences += 1
                yield sentence
                if self.sentences == maximum_sentences:
                    return

    def check(self, maximum_sentences: int) -> None:
        """Read what training will read, because the trainer hides errors of its iterator."""
        for _ in self.read(maximum_sentences):
            pass

    def _texts(self) -> Iterator[str]:
        with open(self.path, "rb") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    yield document_text(line, self.language)
                except ValueError as error:
                    raise UserError(f"{self.path}:{number}: {error}") from error

    def describe(self) -> dict:
        return {
            "path": self.path.as_posix(),
            "language": self.language,
            "sha256": sha256_file(self.path),
            "documents_used": self.documents,
            "sentences_used": self.sentences,
        }


def _sentences(text: str) -> Iterator[str]:
    """Yield the non-empty lines of a text, in parts that SentencePiece does not leave out."""
    for line in text.splitlines():
        for begin in range(0, len(line), _SENTENCE_CHARACTERS):
            yield line[begin : begin + _SENTENCE_CHARACTERS]


def train(
    settings: TokenizerSettings, corpora: Iterable[tuple[str, str | Path]], output: str | Path
) -> dict:
    """Train on ``(language, file)`` pairs and write the tokenizer's directory; return its meta.

    A `UserError` names the key when the vocabulary does not fit the corpus, and the file and line
    of a broken document.
    """
    files = [_Corpus(language, path, settings.normalisation) for language, path in corpora]
    for corpus in files:
        corpus.check(settings.maximum_sentences)

    def read() -> Iterator[str]:
        return (s for corpus in files for s in corpus.read(settings.maximum_sentences))

    if settings.words is None:
        model = _train_model(settings, read())
    else:
        segmenter = segmentation.load(settings.words)
        model = _train_over_words(
            settings, lambda: (with_spaces(segmenter.segment([text])[0]) for text in read())
        )
    output = Path(output)
    meta = {
        "kind": settings.kind,
        "model_type": settings.model_type,
        "vocabulary_size": settings.vocabulary_size,
        "sha256": hashlib.sha256(model).hexdigest(),
        "special_ids": SPECIAL_IDS,
        "normalisation": settings.normalisation,
        "words": settings.words,
        "trained_on": [corpus.describe() for corpus in files],
        "settings": asdict(settings),
        "sentencepiece_version": sentencepiece.__version__,
    }
    # The meta file goes first and comes last: a directory that has one is a whole tokenizer.
    (output / META_NAME).unlink(missing_ok=True)
    with atomic(output / MODEL_NAME) as temporary:
        temporary.write_bytes(model)
    write_json(output / META_NAME, meta)
    return meta


def _train_over_words(
    settings: TokenizerSettings, read: Callable[[], Iterator[list[str]]]
) -> bytes:
    """Train on segmented sentences, which ``read()`` yields from the start.

    The unigram trainer takes its first pieces from different words, not from their uses, so that a
    frequent word such as です would never be one. It is given the counts instead.
    """
    options: dict[str, Any] = {
        "pretokenization_delimiter": _WORD_EDGE,
        # The edges count as a byte each.
        "max_sentence_length": 8 * _SENTENCE_CHARACTERS,
    }
    sentences = (_WORD_EDGE.join(words) for words in read())
    if settings.model_type != "unigram":
        return _train_model(settings, sentences, **options)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".tsv") as seeds:
        for piece, count in _seeds(read()).items():
            seeds.write(f"{piece}\t{count}\n")
        seeds.flush()
        return _train_model(settings, sentences, seed_sentencepieces_file=seeds.name, **options)


def _seeds(sentences: Iterator[list[str]]) -> Counter:
    """Count the parts of words, of at most 16 characters (SentencePiece's own limit)."""
    words = Counter(word for sentence in sentences for word in sentence)
    parts: Counter = Counter()
    for word, count in words.items():
        # A tab or line end would break the file.
        if word.isprintable():
            word = word.replace(" ", SPACE_MARK)
            for begin in range(len(word)):
                for end in range(begin + 1, min(len(word), begin + 16) + 1):
                    parts[word[begin:end]] += count
    return parts


def _train_model(settings: TokenizerSettings, sentences: Iterator[str], **options: Any) -> bytes:
    """Return the serialised model; the text is kept as it is, so that decoding is lossless."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences,
            model_writer=model,
            model_type=settings.model_type,
            vocab_size=settings.vocabulary_size,
            character_coverage=settings.character_coverage,
            byte_fallback=True,
            split_digits=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            pad_id=SPECIAL_IDS["pad"],
            bos_id=SPECIAL_IDS["start"],
            eos_id=SPECIAL_IDS["end"],
            unk_id=SPECIAL_IDS["unknown"],
            **options,
            # Sums of floats depend on the number of threads, and it is stored in the model.
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _explain(error, settings) from error
    return model.getvalue()


def _explain(error: RuntimeError, settings: TokenizerSettings) -> Exception:
    """Turn the trainer's complaint about its input into a `UserError`; return others unchanged."""
    message, size = str(error), settings.vocabulary_size
    if match := re.search(r"too high.*?<= (\d+)", message):
        return UserError(
            f"tokenizer.vocabulary_size: {size} is larger than the corpus allows "
            f"(at most {match[1]}); lower it or add training documents"
        )
    if match := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return UserError(
            f"tokenizer.vocabulary_size: {size} has no room for the characters of the corpus and "
            f"256 bytes (at least {match[1]}); raise it or lower tokenizer.character_coverage"
        )
    if "sentences_.empty()" in message:
        return UserError("the tokenizer's training files hold no text")
    return error
