"""The files of tasks, and how a task is prepared from pinned data."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import task_example
from jadapt.core.errors import UserError
from jadapt.core.files import read_jsonl
from jadapt.evaluation.tasks import definition, folders
from jadapt.evaluation.tasks.preparation import subset
from jadapt.evaluation.tasks.rendering import Item

ROOT = Path(definition.FOLDER).parents[1]
LIGHT = ("definition", "folders", "overlap", "preparation", "reading", "rendering", "tables")


@pytest.mark.parametrize("name", definition.names())
def test_files_of_every_task_are_pinned(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    catalogue = yaml.safe_load(Path("config/corpora.yaml").read_text(encoding="utf-8"))
    (task,) = definition.of_study([name], catalogue["sources"]).values()
    known = task_example.pinned(task, catalogue)
    for path in task_example.paths_of(task):
        assert any(pin.endswith(f"/{path}") for pin in known), path


def test_preparation_loads_nothing_heavy():
    modules = ", ".join(f"jadapt.evaluation.tasks.{name}" for name in LIGHT)
    code = f"import sys, {modules}\n"
    code += "sys.exit(', '.join({'torch', 'transformers', 'lm_eval'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_unknown_task_is_named():
    with pytest.raises(
        UserError, match=r"evaluation.tasks: unknown task 'jblmp'; did you mean 'jb"
    ):
        definition.of_study(["jblmp"], {})


def test_a_task_of_an_unknown_source_is_named():
    with pytest.raises(UserError, match=r"jblimp.yaml: data.source: unknown source 'jblimp'"):
        definition.of_study(["jblimp"], {"blimp": {}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"doc_to_txt": "a"}, "doc_to_txt: .*did you mean 'doc_to_text'"),
        ({"metrics": ["acuracy"]}, "metrics: unknown metric 'acuracy'; did you mean 'accuracy'"),
        ({"metrics": ["perplexity"]}, "'perplexity' is not a metric of tasks"),
        ({"metadata": {}}, "metadata: 'version' is missing"),
        ({"num_fewshot": 2}, "num_fewshot needs data.examples"),
        ({"doc_to_choice": None}, "either doc_to_choice or doc_to_contexts"),
        ({"output_type": "generate_until"}, "generate_until and generation_kwargs"),
    ],
)
def test_a_wrong_task_file_is_refused_in_one_line(change, message):
    content = definition.read("jblimp", "test").model_dump(exclude_defaults=True) | change
    with pytest.raises(UserError, match=message) as caught:
        definition.parse(content, "config/tasks/mine.yaml")
    assert str(caught.value).startswith("config/tasks/mine.yaml: ")
    assert "\n" not in str(caught.value)


def without_gold(path):
    records = [json.loads(line) for line in task_example.content(path).splitlines()]
    records[3]["gold"] = None
    return task_example.lines(records)


def of_three(path):
    records = [json.loads(line) for line in task_example.content(path).splitlines()]
    records[3] |= {"choices": records[3]["choices"][:3], "gold": 0}
    return task_example.lines(records)


def broken(path):
    return task_example.content(path)[:-20]


@pytest.mark.parametrize(
    ("name", "make", "changes", "message"),
    [
        ("arc_easy", without_gold, {}, r"item 4: doc_to_target: no gold answer: None"),
        ("arc_easy", of_three, {}, r"unequal numbers of choices \(3, 4\)"),
        ("arc_easy", broken, {}, r"arc_easy.jsonl:48: not a line of UTF-8 JSON"),
        ("boolq", None, {"doc_to_choice": ["{{''}}", "yes"]}, r"doc_to_choice: .*loses the answer"),
        ("boolq", None, {"doc_to_text": "{{passage}}"}, r"doc_to_text: the template fails"),
        ("jsquad", None, {"doc_to_text": "{{question}}"}, r"doc_to_text: .*loses the answer"),
        ("jsquad", broken, {}, r"not in SQuAD's layout"),
        ("xwinograd_ja", lambda path: b"jp\ttest\n", {}, r"dataset.tsv:1: .*2 columns, expected 7"),
        ("jcommonsenseqa", None, {"num_fewshot": 99}, r"num_fewshot: 99, but 48 examples"),
    ],
)
def test_bad_data_end_in_one_line_and_leave_nothing(tmp_path, name, make, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        task_example.prepare(name, tmp_path, make=make or task_example.content, **changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "task").exists()


def test_a_file_that_changed_since_it_was_fetched_is_refused(tmp_path):
    task = definition.read("piqa", "test")
    source = task_example.fetched(tmp_path, [task.data.items])
    path = next(tmp_path.rglob("piqa.jsonl"))
    path.write_bytes(path.read_bytes() + b"\n")
    settings = {"definition": task.model_dump(exclude_defaults=True), "seed": 0, "limit": None}
    with pytest.raises(UserError, match=r"piqa.jsonl: changed since it was fetched"):
        folders.write("piqa", settings, source, tmp_path / "task")
    assert not (tmp_path / "task").exists()


def test_a_source_out_of_reach_leaves_the_task_out(tmp_path):
    record = {"kind": "url", "available": False, "reason": "no network", "files": []}
    (tmp_path / "fetched.json").write_text(json.dumps(record))
    task = definition.read("piqa", "test")
    settings = {"definition": task.model_dump(exclude_defaults=True), "seed": 0, "limit": None}
    found = folders.write("piqa", settings, tmp_path / "fetched.json", tmp_path / "task")
    assert (found["available"], found["reason"]) == (False, "no network")
    assert (tmp_path / "task" / folders.ITEMS).read_text() == ""


def test_repetitions_and_overlaps_are_taken_out_and_counted(tmp_path):
    def make(path):
        if "train" not in path:
            return task_example.content(path)
        # The examples repeat a question of the items, and one of their own.
        own = task_example.content(path).splitlines(keepends=True)
        asked = task_example.content(path.replace("train", "valid")).splitlines(keepends=True)
        return b"".join([*own, own[0], asked[5]])

    _, record = task_example.prepare("jcommonsenseqa", tmp_path, make=make)
    counts = record["counts"]
    assert (counts["items_read"], counts["items_in_examples"], counts["items"]) == (48, 1, 47)
    assert (counts["examples_read"], counts["examples_repeated"]) == (50, 1)


def test_jnli_has_no_pair_of_jsts_in_either_order(tmp_path):
    def make(path):
        if "jsts" not in path:
            return task_example.content(path)
        nli = task_example.content("datasets/jnli-v1.3/valid-v1.3.json")
        pairs = [json.loads(line) for line in nli.splitlines()]
        first, second = pairs[0], pairs[1]
        turned = {"sentence1": second["sentence2"], "sentence2": second["sentence1"]}
        return task_example.lines([first | {"label": 1.0}, turned | {"label": 2.0}])

    folder, record = task_example.prepare("jnli", tmp_path, make=make)
    assert record["counts"]["items_overlapping"] == 2
    assert len(list(read_jsonl(folder / folders.ITEMS))) == 46


def test_a_subset_is_fixed_and_grows():
    items = [Item(query=f"question {number}") for number in range(100)]
    ten, twenty = subset(items, 0, 10), subset(items, 0, 20)
    assert ten == subset(items, 0, 10)
    assert {item.query for item in ten} < {item.query for item in twenty}
    assert ten != subset(items, 1, 10)
    assert subset(items, 0, None) == subset(items, 0, 500) == items


def test_minimal_pairs_do_not_have_the_right_one_always_first(tmp_path):
    folder, _ = task_example.prepare("jblimp", tmp_path)
    items = list(read_jsonl(folder / folders.ITEMS))
    assert all(item["choices"][item["gold"]].startswith("良い") for item in items)
    assert 10 < sum(item["gold"] for item in items) < 38


def test_chance_and_majority_follow_from_the_items(tmp_path):
    folder, record = task_example.prepare("jnli", tmp_path)
    gold = [item["gold"] for item in read_jsonl(folder / folders.ITEMS)]
    share = max(gold.count(label) for label in set(gold)) / len(gold)
    assert record["baselines"]["chance"]["accuracy"] == pytest.approx(1 / 3)
    assert record["baselines"]["majority"]["accuracy"] == share
    # Without labels there is no most frequent one.
    (tmp_path / "other").mkdir()
    _, other = task_example.prepare("arc_easy", tmp_path / "other")
    assert other["baselines"] == {
        "chance": {"accuracy": 0.25, "accuracy_by_length": 0.25}, "majority": {},
    }  # fmt: skip


def test_winograd_puts_each_candidate_in_the_place_of_the_pronoun(tmp_path):
    folder, _ = task_example.prepare("xwinograd_ja", tmp_path)
    first = next(read_jsonl(folder / folders.ITEMS))
    assert first["choices"] == ["兵0は敵を撃った。兵0", "兵0は敵を撃った。敵"]
    assert first["continuation"] == "は悪い0。"
