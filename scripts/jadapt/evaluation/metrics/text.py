"""How well a model predicts a text. The end of a document is not scored."""

from __future__ import annotations

import math

from jadapt.evaluation.metrics.base import HIGHER, LOWER, ScriptMetric, TextMetric, Value
from jadapt.evaluation.tally import Tally


class BitsPerByte(TextMetric):
    """Surprise divided by the UTF-8 bytes of the text: comparable across tokenizers."""

    key = "bits_per_byte"
    label = "Bits per byte"
    unit = "bit/byte"
    direction = LOWER

    def value(self, tally: Tally) -> Value:
        """Return it with the number of bytes."""
        return tally.bits / tally.bytes, tally.bytes


class BitsPerByteWithTask(BitsPerByte):
    """What a method that keeps something of each task reaches when it is told the task."""

    key = "bits_per_byte_with_task"
    label = "Bits per byte, told the task"
    told = True


class BitsPerCharacter(TextMetric):
    """Surprise divided by the code points of the text."""

    key = "bits_per_character"
    label = "Bits per character"
    unit = "bit/character"
    direction = LOWER

    def value(self, tally: Tally) -> Value:
        """Return it with the number of characters."""
        characters = sum(tally.characters.values())
        return tally.bits / characters, characters


class Perplexity(TextMetric):
    """Per token, so it depends on the tokenizer."""

    key = "perplexity"
    label = "Perplexity"
    unit = "1"
    direction = LOWER
    digits = 1

    def value(self, tally: Tally) -> Value:
        """Return it with the number of tokens."""
        return math.exp(tally.nats / tally.tokens), tally.tokens


class NextCharacterAccuracy(TextMetric):
    """Share of characters that the most probable tokens spell (`jadapt.evaluation.likelihood`)."""

    key = "next_character_accuracy"
    label = "Next character"
    unit = "share"
    direction = HIGHER

    def value(self, tally: Tally) -> Value:
        """Return it with the number of characters."""
        characters = sum(tally.characters.values())
        return sum(tally.correct.values()) / characters, characters


class NextCharacterAccuracyByScript(ScriptMetric):
    """The same for the characters of one script."""

    key = "next_character_accuracy_{script}"
    label = "Next character"
    unit = "share"
    direction = HIGHER

    def value(self, tally: Tally, script: str) -> Value:
        """Return it with the number of characters of the script."""
        count = tally.characters[script]
        return tally.correct[script] / count, count


class BitsPerCharacterByScript(ScriptMetric):
    """The same for the characters of one script, each with its share of the surprise of tokens."""

    key = "bits_per_character_{script}"
    label = "Bits per character"
    unit = "bit/character"
    direction = LOWER

    def value(self, tally: Tally, script: str) -> Value:
        """Return it with the number of characters of the script."""
        count = tally.characters[script]
        return tally.script_nats[script] / math.log(2) / count, count
