"""Names that readers see, kept in one place so that figures, tables and text say the same."""

from __future__ import annotations

from collections.abc import Iterable

BASE = "base"

# Order of appearance everywhere: the model before adaptation, methods that only train, one that
# grows, strategies against forgetting, compositions of both, and the upper bound.
METHODS = {
    BASE: "Base model",
    "sft": "Full fine-tuning",
    "lora": "LoRA",
    "dora": "DoRA",
    "houlsby": "Houlsby adapters",
    "prefix": "Prefix tuning",
    "den": "DEN",
    "replay": "Replay",
    "l2": "L2 to the previous weights",
    "ewc": "EWC",
    "online_ewc": "Online EWC",
    "gem": "GEM",
    "agem": "A-GEM",
    "lora_replay": "LoRA + replay",
    "lora_ewc": "LoRA + EWC",
    "joint": "Joint training",
}

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
_FAMILY_OF = {
    BASE: REFERENCE,
    "sft": REFERENCE,
    "joint": REFERENCE,
    "lora": "efficient",
    "dora": "efficient",
    "houlsby": "efficient",
    "prefix": "efficient",
    "den": "regularisation",
    "l2": "regularisation",
    "ewc": "regularisation",
    "online_ewc": "regularisation",
    "lora_ewc": "regularisation",
    "replay": "memory",
    "gem": "memory",
    "agem": "memory",
    "lora_replay": "memory",
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


def method_label(name: str) -> str:
    """Return the name of a method for readers.

    A run that is not in `METHODS` is named by its parts: ``lora_gem`` is ``LoRA + GEM`` and
    ``lora_r64`` is ``LoRA r64``. One that names no method keeps its own name.
    """
    if name in METHODS:
        return METHODS[name]
    parts, words = split_name(name)
    # In the middle of a label only abbreviations and names keep their capitals.
    labels = [METHODS[part] for part in parts[:1]] + [
        lower_first(METHODS[part]) for part in parts[1:]
    ]
    return " ".join([*([" + ".join(labels)] if labels else []), *words])


def lower_first(label: str) -> str:
    """Return a label for the middle of a sentence; abbreviations and names keep their capitals."""
    first = label.split()[0]
    named = first[1:] != first[1:].lower() or not first[1:].isalpha() or first in {"Houlsby"}
    return label if named else label[:1].lower() + label[1:]


def split_name(name: str) -> tuple[list[str], list[str]]:
    """Split a run's name into the methods that it begins with and the words after them."""
    words, found = name.split("_"), []
    while words:
        for length in range(len(words), 0, -1):
            part = "_".join(words[:length])
            if part in METHODS:
                found.append(part)
                words = words[length:]
                break
        else:
            break
    return found, words


def family(name: str) -> str:
    """Return the key in `FAMILIES` of a run; that of its last part, when composed."""
    if name in _FAMILY_OF:
        return _FAMILY_OF[name]
    parts, _ = split_name(name)
    own = [_FAMILY_OF[part] for part in parts if _FAMILY_OF[part] != REFERENCE]
    return own[-1] if own else OTHER


def is_bound(name: str) -> bool:
    """Tell whether a run has all data at once: a bound on the others, not a rival."""
    return "joint" in split_name(name)[0]


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
    """Sort methods: the known ones in the order of `METHODS`, then the others by name."""
    known = list(METHODS)
    return sorted(
        set(methods), key=lambda name: (known.index(name) if name in known else len(known), name)
    )


def tokenizer_label(name: str) -> str:
    """Return the name of a tokenizer for readers; abbreviations are in capitals."""
    words = (word.upper() if word in ("bpe", "nfkc") else word for word in name.split("_"))
    return " ".join(words)


def join_words(words: Iterable[str]) -> str:
    """Join words as English does: ``a``, ``a and b``, ``a, b and c``."""
    *head, last = list(words) or [""]
    return f"{', '.join(head)} and {last}" if head else last
