"""Token files of documents that a test makes up."""

from pathlib import Path

import numpy as np

from jadapt.core.files import sha256_file, write_json
from jadapt.data.tokens import FORMAT_VERSION


def write(
    directory: Path, documents: list[list[int]], dtype: str = "uint16", tokenizer: str = "0" * 64
) -> None:
    """Write a token file of these documents; three bytes and one character a token."""
    lengths = [len(document) for document in documents]
    tokens = np.array([token for document in documents for token in document], dtype)
    arrays = {
        "tokens": tokens.astype(tokens.dtype.newbyteorder("<")),
        "offsets": np.cumsum([0, *lengths]).astype("<i8"),
        "sizes": np.array([[3 * n, n] for n in lengths], "<i8").reshape(-1, 2),
    }
    meta = {
        "format_version": FORMAT_VERSION,
        "dtype": dtype,
        "tokens": sum(lengths),
        "documents": len(documents),
        "bytes": 3 * sum(lengths),
        "characters": sum(lengths),
        "tokenizer_sha256": tokenizer,
    }
    for name, array in arrays.items():
        array.tofile(directory / f"{name}.bin")
        meta[f"{name}_sha256"] = sha256_file(directory / f"{name}.bin")
    write_json(directory / "meta.json", meta)
