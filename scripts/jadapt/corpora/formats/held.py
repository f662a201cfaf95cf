"""Keep pieces of a text out of the way while markup is taken out of the rest."""

from __future__ import annotations

import re

_OPEN, _CLOSE = "\ue000", "\ue001"
_RESERVED = re.compile("[\0\r\ue000-\ue00f]")
_TOKEN = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


class Held:
    """Pieces that wait behind private-use characters, which no pattern of markup touches."""

    def __init__(self):
        self._pieces: list[str] = []

    def prepared(self, text: str) -> str:
        """Return ``text`` with its own reserved characters held, as they mean something here."""
        return _RESERVED.sub(lambda match: self.hold(match[0]), text)

    def hold(self, piece: str) -> str:
        """Return what stands for ``piece`` until `restored`; pieces held in it come back first."""
        self._pieces.append(self.restored(piece))
        return f"{_OPEN}{len(self._pieces) - 1}{_CLOSE}"

    def restored(self, text: str) -> str:
        """Return ``text`` with the pieces back in their places."""
        return _TOKEN.sub(lambda match: self._pieces[int(match[1])], text)
