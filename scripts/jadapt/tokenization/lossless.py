"""What tokenizers share whose ids of a text, joined as bytes, are its UTF-8 bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence


class LosslessTokenizer(ABC):
    """The way back from ids to text."""

    @property
    @abstractmethod
    def _bytes(self) -> list[bytes]:
        """The bytes that each id stands for; a special token has none."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``; special tokens are empty, broken UTF-8 becomes U+FFFD."""
        return b"".join(self._bytes[token] for token in ids).decode("utf-8", errors="replace")

    def token_bytes(self) -> list[bytes]:
        """Return the UTF-8 bytes that each id stands for; ``b""`` for special tokens."""
        return list(self._bytes)
