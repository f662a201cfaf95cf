"""Keep pieces of a text out of the way while markup is taken out of the rest."""

from __future__ import annotations

import re

_OPEN, _CLOSE = "\ue000", "\ue001"
_TOKEN = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


class Held:
    """Pieces that wait behind private-use characters, which no pattern of markup touches."""

    def __init__(self):
        self._pieces: list[str] = []

    @staticmethod
    def prepared(text: str) -> str:
        """Return ``text`` without the private-use characters that mark held pieces."""
        return text.replace(_OPEN, "").replace(_CLOSE, "")

    def hold(self, piece: str) -> str:
        """Return what stands for ``piece`` until `restored`."""
        self._pieces.append(piece)
        return f"{_OPEN}{len(self._pieces) - 1}{_CLOSE}"

    def restored(self, text: str) -> str:
        """Return ``text`` with the pieces back in their places."""
        return _TOKEN.sub(lambda match: self._pieces[int(match[1])], text)
