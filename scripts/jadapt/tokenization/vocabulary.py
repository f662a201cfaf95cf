"""A vocabulary extended with pieces of another language, so that its old ids keep their meaning."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from jadapt.core.errors import UserError
from jadapt.core.files import atomic, read_json, write_json
from jadapt.corpora.scripts import script_classes
from jadapt.tokenization import huggingface
from jadapt.tokenization.tokenizers import META_NAME, MODEL_NAME, SPACE_MARK, load

BASE_NAME = "base"
_JAPANESE = (0, 1, 2)  # hiragana, katakana, kanji


def extend(base: Path, donor: Path, output: Path) -> dict:
    """Write the tokenizer ``base`` with the Japanese pieces of ``donor`` appended; return its meta.

    Pieces with a kana or kanji that the base lacks come after its own, in the donor's order. In a
    SentencePiece model they bring their scores; in one of the `tokenizers` library they are found
    in a text before the merges of the base, the longest first. A copy of the base goes along, for
    the initial embeddings of new pieces are means of their old ones.

    Raises:
        UserError: the donor is no SentencePiece model, is of another type than a SentencePiece
            base, or adds nothing.
    """
    old, meta = load(base), read_json(base / META_NAME)
    given = read_json(donor / META_NAME)
    if given["kind"] != "sentencepiece":
        raise UserError("tokenizer.pieces.kind: new pieces come from a sentencepiece model")
    known = set(old.token_bytes())
    pieces = [(text, score) for text, score in _pieces(donor) if text.encode() not in known]
    if not pieces:
        raise UserError(f"{donor}: no Japanese piece that {base} lacks; train it on Japanese text")
    output.mkdir(parents=True, exist_ok=True)
    (output / META_NAME).unlink(missing_ok=True)
    if meta["kind"] == "sentencepiece":
        if meta["model_type"] != given["model_type"]:
            raise UserError(
                f"tokenizer.pieces.model_type: {given['model_type']} pieces have no place in a "
                f"{meta['model_type']} model; use the same type for both"
            )
        name, model = MODEL_NAME, _sentencepiece_model(base / MODEL_NAME, pieces)
    else:
        name = huggingface.FILE_NAME
        model = _library_model(base / name, [text for text, _ in pieces])
    shutil.rmtree(output / BASE_NAME, ignore_errors=True)
    shutil.copytree(base, output / BASE_NAME, ignore=shutil.ignore_patterns(BASE_NAME))
    with atomic(output / name) as temporary:
        temporary.write_bytes(model)
    meta = {
        **meta,
        "vocabulary_size": old.vocabulary_size + len(pieces),
        "base_vocabulary_size": old.vocabulary_size,
        "base_sha256": old.sha256,
        "sha256": hashlib.sha256(model).hexdigest(),
    }
    write_json(output / META_NAME, meta)
    return meta


def old_pieces(directory: Path) -> list[list[int]] | None:
    """Return the ids in the base vocabulary that spell each new piece; None without a base."""
    meta = read_json(directory / META_NAME)
    if "base_vocabulary_size" not in meta:
        return None
    new = load(directory).token_bytes()[meta["base_vocabulary_size"] :]
    return load(directory / BASE_NAME).encode_batch([piece.decode() for piece in new])


def _pieces(donor: Path) -> list[tuple[str, float]]:
    """Return the donor's pieces that hold a kana or kanji, with their scores."""
    found = []
    for piece in proto(donor / MODEL_NAME).pieces:
        text = piece.piece.replace(SPACE_MARK, " ")
        if piece.type == piece.NORMAL and any(c in _JAPANESE for c in script_classes(text)):
            found.append((text, piece.score))
    return found


def proto(path: Path):
    """Return the message in a SentencePiece model's file."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    return model


def _sentencepiece_model(path: Path, pieces: list[tuple[str, float]]) -> bytes:
    model = proto(path)
    # The scores of BPE are ranks, and new merges come after the old ones.
    ranked = model.trainer_spec.model_type == model.trainer_spec.BPE
    shift = min(piece.score for piece in model.pieces) if ranked else 0.0
    for text, score in pieces:
        piece = model.pieces.add()
        piece.piece, piece.score = text.replace(" ", SPACE_MARK), score + shift
    model.trainer_spec.vocab_size = len(model.pieces)
    return model.SerializeToString(deterministic=True)


def _library_model(path: Path, pieces: list[str]) -> bytes:
    import tokenizers

    made = tokenizers.Tokenizer.from_file(str(path))
    made.add_tokens([tokenizers.AddedToken(text, normalized=False) for text in pieces])
    return made.to_str().encode("utf-8")
