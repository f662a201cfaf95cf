"""Files that are no configuration: each ends in one line with file, line and remedy."""

import itertools
import os

import pytest

from jadapt.config import studies, yaml_files
from jadapt.core.errors import UserError
from jadapt.core.paths import ROOT

TEXT = (ROOT / "config/config.yaml").read_text(encoding="utf-8")


def line_of(words):
    return TEXT[: TEXT.index(words)].count("\n") + 1


def refusal(path):
    with pytest.raises(UserError) as raised:
        studies.settings([path])
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


# Words of the default study, what stands there instead, and what is said of it in which line: that
# of the words, or so many lines below.
@pytest.mark.parametrize(
    ("old", "new", "below", "message"),
    [
        ("seeds: [1, 2, 3]\n", "seeds: [1]\nseeds: [2]\n", 1, "'seeds' stands here twice, first"),
        ("    rank: 8\n", "    rank: 8\n    rank: 9\n", 1, "'rank' stands here twice, first in"),
        ("rank: 8", "rank: 1e1", 0, "1e1 is read as a word; write 1.0e+1"),
        ("[3.0e-4, 1.0e-3", "[3e-4, 1.0e-3", 0, "3e-4 is read as a word; write 3.0e-4"),
        ("gradient_clip: 1.0", "gradient_clip: 1.5e0", 0, "1.5e0 is read as a word; write 1.5e+0"),
        ("gradient_clip: 1.0", "gradient_clip: .5e1", 0, ".5e1 is read as a word; write 0.5e+1"),
        ("rank: 8", "rank: ８", 0, "８ has full-width digits; write 8"),
        ("beta1: 0.9", "beta1: ０．９", 0, "０．９ has full-width digits; write 0.9"),
        ("rank: 8", "rank: 010", 0, "010 is read as a number in base 8; write 10, or '010' in"),
        ("rank: 8", "rank: 1:30", 0, "1:30 is read as a number in base 60; write minutes or"),
        ("rank: 8", "rank: 12:00:00", 0, "12:00:00 is read as a number in base 60"),
        ("    rank: 8", "\trank: 8", 0, "a tab between the words; use spaces"),
        ("    rank: 8", "　　rank: 8", 0, "an ideographic space (U+3000) between the words"),
        ("rank: 8", "rank:　8", 0, "an ideographic space (U+3000) between the words"),
        ("activation: gelu", "activation: gelu　x", 0, "an ideographic space (U+3000) in 'gelu"),
        ("study: mini", "__use_yte__: true\nstudy: mini", 0, "'__use_yte__' would make Snakemake"),
        ("study: mini", "'__use_yte__': true\nstudy: mini", 0, "'__use_yte__' would make Snakem"),
        ("study: mini", '"\\x5f_use_yte__": true\nstudy: mini', 0, "'__use_yte__' would make"),
        ("study: mini", "__variables__: {a: 1}\nstudy: mini", 0, "'__variables__' would make"),
        ("study: mini", "__definitions__: [a]\nstudy: mini", 0, "'__definitions__' would make"),
        ("study: mini", "?if True: {study: mini}", 0, "'?if True' would make Snakemake run Python"),
        ("study: mini", "<<: {__use_yte__: true}\nstudy: mini", 0, "'__use_yte__' would make"),
        ("study: mini", "<<: 3\nstudy: mini", 0, "`<<` takes in a mapping, such as `<<: *name`"),
        ("study: mini", "? [a]\n: b\nstudy: mini", 0, "a key is a word, not a list or a mapping"),
        ("rank: 8", "rank: &a [*a]", 0, "'methods.lora.rank.0' contains itself; remove the alias"),
        ("seeds: [1", "seeds: [[1", 2, "not valid YAML"),
        ("rank: 8", "rank: !!python/object/apply:os.system [true]", 0, "not valid YAML (could not"),
        ("rank: 8", "rank: *nothing", 0, "not valid YAML (found undefined alias"),
        ("rank: 8", "rank: 8\n   alpha: 3", 1, "not valid YAML"),
        ("rank: 8", "rank: @8", 0, "not valid YAML"),
        ("rank: 8", "rank: 2024-13-45", 0, "not valid YAML"),
    ],
)
def test_what_yaml_reads_otherwise_is_refused_with_its_line(tmp_path, old, new, below, message):
    path = tmp_path / "study.yaml"
    assert old in TEXT
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    found = refusal(path)
    if message.endswith("[") or "2024" in new:
        assert message in found
        return
    assert found.startswith(f":{line_of(old) + below}: {message}")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", ": is empty"),
        (b"  \n\n", ": is empty"),
        (b"# only a comment\n", ": expected a mapping"),
        (b"- a\n- b\n", ": expected a mapping"),
        (b"mini\n", ": expected a mapping"),
        (b"study: a\n---\nstudy: b\n", ": holds several documents; keep one"),
        (TEXT.encode("utf-16"), ": is UTF-16, or no text; save it as UTF-8"),
        (TEXT.encode("utf-16-be"), ": is UTF-16, or no text"),
        (b"study: \x00\n", ": is UTF-16, or no text"),
        ("study: a\n# 日本語\n".encode("cp932"), ":2: not UTF-8 but, it seems, Shift_JIS; save"),
        ("study: 'é'\n".encode("latin-1"), ":1: not UTF-8"),
        (b"study: \x07\n", ":1: not valid YAML"),
        (b"a: &a [1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n", ": unknown key 'a'"),
        (b"[" * 100_000, ":1: is nested more than 100 levels deep"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_yaml_in_utf_8_is_refused_with_a_remedy(tmp_path, raw, message):
    path = tmp_path / "study.yaml"
    path.write_bytes(raw)
    found = refusal(path)
    assert message.partition(": unknown")[0] in found or found.startswith(message)


def test_aliases_of_aliases_end_before_they_fill_the_memory(tmp_path):
    names = "abcdefghij"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for old, new in itertools.pairwise(names):
        lines.append(f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]")
    path = tmp_path / "study.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert "more than 500,000 values" in refusal(path)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert studies.settings([path])["study"] == "mini"


def test_what_is_no_regular_file_is_refused(tmp_path):
    assert refusal(tmp_path) == ": is a folder; name a YAML file"
    assert refusal(tmp_path / "none.yaml") == ": No such file or directory"
    os.mkfifo(tmp_path / "pipe.yaml")
    assert refusal(tmp_path / "pipe.yaml") == ": is no regular file; name a YAML file"
    (tmp_path / "link.yaml").symlink_to("link.yaml")
    assert "symbolic links" in refusal(tmp_path / "link.yaml")
    large = tmp_path / "large.yaml"
    with open(large, "wb") as stream:
        stream.truncate(yaml_files.MAXIMUM_BYTES + 1)
    assert "bytes are too many for settings" in refusal(large)


def test_lines_lead_through_anchors_and_merge_keys():
    document = yaml_files.parse(
        "a: &a\n  x: 1\n  y: [1,\n    2]\nb:\n  <<: *a\n  z: 3\n", "study.yaml"
    )
    assert document.content["b"] == {"x": 1, "y": [1, 2], "z": 3}
    found = {keys: document.lines[keys] for keys in [("a", "y", 1), ("b", "x"), ("b", "z")]}
    assert found == {("a", "y", 1): 4, ("b", "x"): 2, ("b", "z"): 7}


def test_words_that_only_look_like_numbers_stay_words():
    text = (
        "a: 1.0e-3\nb: v1e3\nc: '1e-3'\nd: 0\ne: 0.5\nf: 1_000\ng: '12:00'\nh: 10:x\ni: |\n  1e3\n"
    )
    found = yaml_files.parse(text, "study.yaml").content
    assert found["a"] == 0.001
    assert found["b"] == "v1e3"
    assert (found["c"], found["g"], found["i"]) == ("1e-3", "12:00", "1e3\n")
