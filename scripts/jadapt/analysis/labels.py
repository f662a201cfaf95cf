"""Names that readers see, kept in one place so that figures, tables and text say the same.

Those of methods and strategies are what their classes declare.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from jadapt.core.declarations import METHODS, STRATEGIES, Declared

BASE = "base"
# Runs that compose several stand after what they consist of, and before the upper bound.
COMPOSED = 800

# What a method is about, for figures that cannot show all of them in one panel. References are
# what the others are measured against and appear beside every family.
REFERENCE, OTHER = "reference", "other"
FAMILIES = {
    REFERENCE: "References",
    "efficient": "Few parameters",
    "regularisation": "Regularisation and growth",
    "memory": "Memory of old text",
    OTHER: "Other runs",
}

SCRIPTS = {
    "hiragana": "hiragana\nひらがな",
    "katakana": "katakana\nカタカナ",
    "kanji": "kanji\n漢字",
    "latin": "Latin\nABC",
    "digit": "digits\n123",
    "other": "other\n。、「」",
}

SEGMENTERS = {
    "unidic_lite": "MeCab with UniDic",
    "ipadic": "MeCab with IPADIC",
    "bilstm_crf": "BiLSTM-CRF",
}

LANGUAGES = {"en": "English", "ja": "Japanese"}

# Words of the names of ablations that stand for something else than themselves.
_SETTINGS = {"a init": "initial values of A", "ratio": "share of old text"}


def script_label(name: str) -> str:
    """Return the name of a script class, or of what else a word can be of, for readers."""
    return SCRIPTS[name].split("\n")[0] if name in SCRIPTS else name


def segmenter_label(name: str) -> str:
    """Return the name of a segmenter for readers."""
    return SEGMENTERS.get(name, name)


@cache
def declared() -> dict[str, type[Declared]]:
    """Return every method and strategy by key: methods that only train, one that grows, strategies
    against forgetting, and the upper bound."""
    found = {**METHODS, **STRATEGIES}
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[1].label)))


def known_runs() -> list[str]:
    """Return the names of runs that need no other: the base model's, and those of one class."""
    return [BASE, *declared()]


def method_label(name: str) -> str:
    """Return the name of a method for readers.

    A run that is no method or strategy is named by its parts: ``lora_gem`` is ``LoRA + GEM`` and
    ``lora_r64`` is ``LoRA r64``. One that names none keeps its own name.
    """
    if name == BASE:
        return "Base model"
    parts, words = split_name(name)
    labels = [declared()[part].label for part in parts]
    # In the middle of a label only abbreviations and names keep their capitals.
    labels = [*labels[:1], *map(lower_first, labels[1:])]
    return " ".join([*([" + ".join(labels)] if labels else []), *words])


def lower_first(label: str) -> str:
    """Return a label for the middle of a sentence; abbreviations and names keep their capitals."""
    first = label.split()[0]
    people = {cls.label.split()[0] for cls in declared().values() if cls.proper_name}
    named = first[1:] != first[1:].lower() or not first[1:].isalpha() or first in people
    return label if named else label[:1].lower() + label[1:]


def split_name(name: str) -> tuple[list[str], list[str]]:
    """Split a run's name into the methods that it begins with and the words after them."""
    words, found = name.split("_"), []
    while words:
        for length in range(len(words), 0, -1):
            part = "_".join(words[:length])
            if part in declared():
                found.append(part)
                words = words[length:]
                break
        else:
            break
    return found, words


def family(name: str) -> str:
    """Return the key in `FAMILIES` of a run; that of its last part, when composed."""
    if name == BASE:
        return REFERENCE
    parts = [declared()[part].family for part in split_name(name)[0]]
    if len(parts) == 1 and name in declared():
        return parts[0]
    own = [part for part in parts if part != REFERENCE]
    return own[-1] if own else OTHER


def is_bound(name: str) -> bool:
    """Tell whether a run has all data at once: a bound on the others, not a rival."""
    return any(is_bound_strategy(part) for part in split_name(name)[0])


def is_bound_strategy(key: str) -> bool:
    """Tell whether a strategy has all data at once."""
    return key in STRATEGIES and STRATEGIES[key].upper_bound


def families(methods: Iterable[str]) -> dict[str, list[str]]:
    """Sort methods into their families, in the order of `FAMILIES`; none of them is empty."""
    methods = in_order(methods)
    found = {key: [name for name in methods if family(name) == key] for key in FAMILIES}
    return {key: names for key, names in found.items() if names}


def ablation_label(name: str, method: str) -> str:
    """Return a heading such as ``LoRA: rank`` for an ablation called ``lora_rank``."""
    return f"{method_label(method)}: {setting_label(name, method)}"


def setting_label(name: str, method: str) -> str:
    """Return what an ablation varies, such as ``rank`` for ``lora_rank``."""
    setting = name.removeprefix(f"{method}_").replace("_", " ")
    return _SETTINGS.get(setting, setting)


def domain_label(name: str) -> str:
    """Return the name of a domain for readers."""
    return name.replace("_", " ")


def in_order(methods: Iterable[str]) -> list[str]:
    """Sort runs: the base model, those of one method or strategy by their ``order``, compositions
    before the upper bound, then the others by name."""
    return sorted(set(methods), key=_place)


def _place(name: str) -> tuple[int, int, list[int], str]:
    """Return what runs are sorted by."""
    if name == BASE:
        return (0, 0, [], name)
    parts, words = split_name(name)
    if not parts or words:
        return (2, 0, [], name)
    orders = [declared()[part].order for part in parts]
    return (1, orders[0] if len(parts) == 1 else max(COMPOSED, *orders), orders, name)


def tokenizer_label(name: str) -> str:
    """Return the name of a tokenizer for readers; abbreviations are in capitals."""
    words = (word.upper() if word in ("bpe", "nfkc") else word for word in name.split("_"))
    return " ".join(words)


def join_words(words: Iterable[str]) -> str:
    """Join words as English does: ``a``, ``a and b``, ``a, b and c``."""
    *head, last = list(words) or [""]
    return f"{', '.join(head)} and {last}" if head else last
