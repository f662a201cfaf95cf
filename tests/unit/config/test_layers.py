"""Studies that extend others: only what differs, with the file and line of every value."""

import re

import pytest

from jadapt.config import layers, studies
from jadapt.core.errors import UserError


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A writer of files in a folder that commands run in; it returns what they are put together."""
    monkeypatch.chdir(tmp_path)

    def write(*read, **texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        return layers.read([f"{name}.yaml" for name in read or list(texts)[-1:]])

    return write


def test_a_study_holds_only_what_differs(files):
    found = files(
        base="study: base\nseeds: [1, 2]\ntraining:\n  steps: 3\n  beta1: 0.9\n",
        mine="extends: base.yaml\nstudy: mine\ntraining: {steps: 5}\n",
    )
    assert found.content == {
        "study": "mine", "seeds": [1, 2], "training": {"steps": 5, "beta1": 0.9},
    }  # fmt: skip
    assert found.origin.of("training.steps") == "mine.yaml:3"
    assert found.origin.of("training.beta1") == "base.yaml:5"
    assert found.origin.of("seeds.1") == "base.yaml:2"
    assert found.origin.of("training.nothing") == "mine.yaml:3"


def test_null_takes_an_entry_away_with_its_lines(files):
    found = files(
        base="study: base\nmethods:\n  a: {rank: 1}\n  b: {rank: 2}\nmirror: null\n",
        mine="extends: base.yaml\nstudy: mine\nmethods: {a: null, b: {rank: 3}}\nmirror: null\n",
    )
    assert found.content == {"study": "mine", "methods": {"b": {"rank": 3}}, "mirror": None}
    assert found.origin.of("methods.b.rank") == "mine.yaml:3"
    assert ("methods", "a", "rank") not in found.places


def test_a_list_is_replaced_as_a_whole_with_its_lines(files):
    found = files(
        base="study: base\nseeds: [1,\n  2,\n  3]\n",
        mine="extends: base.yaml\nstudy: m\nseeds: [4]\n",
    )
    assert found.content["seeds"] == [4]
    assert ("seeds", 2) not in found.places


def test_files_extend_in_a_chain_from_folder_to_folder(files, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/third.yaml").write_text("extends: ../second.yaml\nstudy: third\nc: 3\n")
    files(first="study: first\na: 1\n", second="extends: first.yaml\nstudy: second\nb: 2\n")
    found = layers.read(["deep/third.yaml"])
    assert found.content == {"study": "third", "a": 1, "b": 2, "c": 3}
    assert found.origin.of("a") == "first.yaml:2"


def test_a_later_file_of_the_command_line_goes_before_an_earlier_one(files):
    found = files("one", "two", one="study: one\na: {b: 1, c: 2}\n", two="a: {b: 5}\n")
    assert found.content == {"study": "one", "a": {"b": 5, "c": 2}}
    # A file that extends the one before it is what it is alone.
    mine = "extends: one.yaml\nstudy: mine\na: {c: null}\n"
    assert files("one", "mine", mine=mine).content == files("mine", mine=mine).content


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"a": "extends: a.yaml\nstudy: a\n"}, "a.yaml:1: extends: leads in a circle (a.yaml -> a"),
        (
            {"a": "extends: b.yaml\nstudy: a\n", "b": "study: b\nextends: a.yaml\n"},
            "a.yaml:1: extends: leads in a circle (b.yaml -> a.yaml -> b.yaml)",
        ),
        (
            {"a": "study: a\nextends: none.yaml\n"},
            "a.yaml:2: extends: none.yaml: no such file; the path is relative to .",
        ),
        ({"a": "study: a\nextends: [b.yaml]\n"}, "a.yaml:2: extends: ['b.yaml'] is no name of a f"),
        ({"a": "study: a\nextends: ''\n"}, "a.yaml:2: extends: '' is no name of a file"),
        ({"a": "study: a\nextends: .\n"}, ".: is a folder; name a YAML file"),
        (
            {"b": "study: b\n", "a": "extends: b.yaml\nseeds: [1]\n"},
            "a.yaml: missing key 'study'; a study that extends another has a name of its own",
        ),
        ({"b": "study: [b\n", "a": "extends: b.yaml\nstudy: a\n"}, "b.yaml:2: not valid YAML"),
        (
            {"b": "study: b\n__use_yte__: true\n", "a": "extends: b.yaml\nstudy: a\n"},
            "b.yaml:2: '__use_yte__' would make Snakemake run Python code",
        ),
    ],
)
def test_what_cannot_be_extended_is_refused_in_one_line(files, texts, message):
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        files(**texts)


def test_a_mistake_is_named_in_the_file_that_it_stands_in(tmp_path):
    path = tmp_path / "mine.yaml"
    base = studies.ROOT / "config/smollm.yaml"
    path.write_text(f"extends: {base}\nstudy: mine\nmethods:\n  lora: {{rank: 0}}\n")
    with pytest.raises(UserError, match=f"^{path}:4: methods.lora.rank: 0 is less than the min"):
        studies.settings([path])
    path.write_text(f"extends: {base}\nstudy: mine\nsequence: null\n")
    with pytest.raises(UserError, match=f"^{path}:3: missing key 'sequence'"):
        studies.settings([path])
    path.write_text(f"extends: {base}\nstudy: mine\ntraining: {{micro_batch_size: 5}}\n")
    with pytest.raises(UserError, match=r"global_batch_size 32 is not a multiple of"):
        studies.settings([path])
