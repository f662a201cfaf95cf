"""Small corpora that tokenizers are trained on."""

from __future__ import annotations

import json
import random
from pathlib import Path

WORDS = {
    "ja": [
        "猫が",
        "東京で",
        "2024年に",
        "コーヒーを",
        "飲みます。",
        "漢字と",
        "違いは",
        "何ですか？",
    ],
    "en": ["The", "cat", "drinks", "coffee", "in", "Tokyo", "since", "2024,", "doesn't", "it?"],
}


def write_corpus(path: Path, language: str, documents: int = 300) -> Path:
    path.parent.mkdir(exist_ok=True)
    generator = random.Random(language)
    with open(path, "w", encoding="utf-8") as stream:
        for _ in range(documents):
            # Random names give a unigram vocabulary more to learn than the words do.
            names = ("".join(generator.choices("あかさたなtoknea", k=3)) for _ in range(4))
            text = " ".join([*generator.choices(WORDS[language], k=8), *names])
            stream.write(json.dumps({language: text}, ensure_ascii=False) + "\n")
    return path


def write_corpora(root: Path) -> list[tuple[str, Path]]:
    """Write a corpus of each language; return them as (language, path)."""
    return [(lang, write_corpus(root / lang / "train.jsonl", lang)) for lang in WORDS]
