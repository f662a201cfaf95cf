"""What a tokenizer does to text: tokens per character and byte, words kept whole, bytes, speed."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from jadapt.corpora.scripts import NAMES, script_classes
from jadapt.tokenization.attribution import character_shares
from jadapt.tokenization.normalisation import NONE, normalise
from jadapt.tokenization.tokenizers import Tokenizer

ALL = "all"
Measure = tuple[str, str, float, str, int]


@dataclass
class Fertility:
    """Sums over texts (``size`` in bytes); `character_shares` divides tokens among characters."""

    # By script class; a token counts in parts, as its characters may be of several.
    tokens: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    characters: Counter[str] = field(default_factory=Counter)
    size: int = 0
    broken: int = 0

    def add(self, tokenizer: Tokenizer, token_bytes: list[bytes], text: str) -> None:
        """Count one text."""
        (ids,) = tokenizer.encode_batch([text])
        pieces = [token_bytes[token] for token in ids]
        if not pieces:
            return
        self.size += len(text.encode())
        shares = character_shares(pieces, np.ones(len(pieces)))
        classes = script_classes(b"".join(pieces).decode())
        for number, name in enumerate(NAMES):
            self.tokens[name] += float(shares[classes == number].sum())
            # Characters are those of the raw text, so that merging some gains nothing.
            self.characters[name] += int((script_classes(text) == number).sum())
        self.broken += sum(map(_is_broken, pieces))

    def measures(self) -> Iterator[Measure]:
        """Yield (script, metric, value, unit, n).

        ``byte_fallback_share`` is that of the tokens that are no whole characters.
        """
        characters, tokens = sum(self.characters.values()), sum(self.tokens.values())
        if not characters:
            return
        yield ALL, "tokens_per_character", tokens / characters, "token/character", characters
        yield ALL, "tokens_per_byte", tokens / self.size, "token/byte", self.size
        for name in NAMES:
            if count := self.characters[name]:
                value = self.tokens[name] / count
                yield name, "tokens_per_character", value, "token/character", count
        yield ALL, "byte_fallback_share", self.broken / tokens, "share", round(tokens)


@dataclass
class WholeWords:
    """Of the words of several characters, how many have no end of a token within them."""

    words: int = 0
    whole: int = 0

    def add(
        self, tokenizer: Tokenizer, token_bytes: list[bytes], words: Sequence[str], form: str = NONE
    ) -> None:
        """Count the words of one text, which they join to.

        They are brought to ``form``, a normalisation, as is the text that the tokenizer is meant
        for, and then to its own. A text in which that reaches across words has none that count.
        """
        text = normalise("".join(words), form)
        written = normalise(text, tokenizer.normalisation)
        words = [normalise(normalise(word, form), tokenizer.normalisation) for word in words]
        if not text or "".join(words) != written:
            return
        (ids,) = tokenizer.encode_batch([text])
        edges = set(accumulate(len(token_bytes[token]) for token in ids))
        begin = 0
        for word in words:
            end = begin + len(word.encode())
            if len(word) > 1 and not word.isspace():
                self.words += 1
                self.whole += edges.isdisjoint(range(begin + 1, end))
            begin = end

    def measures(self) -> Iterator[Measure]:
        """Yield (script, metric, value, unit, n) as `Fertility.measures` does."""
        if self.words:
            yield ALL, "words_kept_whole", self.whole / self.words, "share", self.words


def _is_broken(piece: bytes) -> bool:
    try:
        piece.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def speed(encode: Callable, texts: Sequence[str], repeats: int = 3) -> float:
    """Return the MB of UTF-8 text a second (1 MB is 10^6 bytes) that ``encode(texts)`` takes in.

    The best of ``repeats`` passes; one before them is not timed.
    """
    size = sum(len(text.encode()) for text in texts)
    seconds = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        encode(texts)
        seconds.append(time.perf_counter() - begin)
    return size / 1e6 / min(seconds[1:])


def in_library(directory: Path) -> Any | None:
    """Return the same model in the `tokenizers` library, for timing; None where it has none.

    A SentencePiece unigram is its `Unigram`, byte fallback included. Its BPE needs merges, which
    SentencePiece does not store: a piece is the merge of each pair of pieces that spell it, and a
    piece's rank is that of its merges. What goes across no words has no counterpart.
    """
    import tokenizers
    from tokenizers import models, normalizers

    from jadapt.core.files import read_json
    from jadapt.tokenization.huggingface import FILE_NAME
    from jadapt.tokenization.tokenizers import META_NAME, MODEL_NAME, SPACE_MARK
    from jadapt.tokenization.vocabulary import proto

    meta = read_json(directory / META_NAME)
    if meta.get("words"):
        return None
    if meta["kind"] == "huggingface":
        return tokenizers.Tokenizer.from_file(str(directory / FILE_NAME))
    pieces = [(piece.piece, piece.score) for piece in proto(directory / MODEL_NAME).pieces]
    if meta["model_type"] == "unigram":
        model = models.Unigram(pieces, unk_id=3, byte_fallback=True)
    else:
        ids = {piece: number for number, (piece, _) in enumerate(pieces)}
        merges = [
            (piece[:cut], piece[cut:])
            for piece, score in sorted(pieces, key=lambda item: -item[1])
            if score < 0
            for cut in range(1, len(piece))
            if piece[:cut] in ids and piece[cut:] in ids
        ]
        model = models.BPE(ids, merges, unk_token="<unk>", byte_fallback=True)
    made = tokenizers.Tokenizer(model)
    made.normalizer = normalizers.Replace(" ", SPACE_MARK)
    return made
