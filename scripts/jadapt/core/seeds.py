"""Seeds of the streams of random numbers: unlike purposes draw from unlike streams.

A study names small seeds (1, 2, 3). What is drawn with one of them depends on what it is drawn for
as well: were a pre-training and a run seeded alike, both would read the same documents first, and
the run would train on text that its base model has seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, get_args

Role = Literal["pretraining", "task", "search", "front", "ablation", "tokenization", "generation"]
# Every training has one of these, and so has whatever else draws.
ROLES: tuple[Role, ...] = get_args(Role)


def stream(role: Role, seed: int, *key: object) -> int:
    """Return the seed of one stream, in [0, 2**31).

    Args:
        role: what the drawing process is for.
        seed: of the run, as the study names it.
        key: what else tells the stream from others of the run: a purpose, a domain, a place.
    """
    if role not in ROLES:
        raise ValueError(f"role {role!r}")
    words = "\0".join(map(str, (role, seed, *key)))
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big") >> 1


def of_run(settings: Mapping[str, Any], *key: object) -> int:
    """Return the seed of one stream of a training, by the ``role`` and ``seed`` of its settings."""
    return stream(settings["role"], settings["seed"], *key)
