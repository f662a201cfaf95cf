"""The rows of the trivial language models."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import token_files
from jadapt.core.errors import UserError
from jadapt.core.files import read_json, write_json
from jadapt.core.tables import METRICS
from jadapt.data.tokens import TokenFile
from jadapt.evaluation.baselines import Domain, baseline_rows, documents_seen

SCRIPT = Path(__file__).resolve().parents[3] / "scripts/measure_baselines.py"
SIGNS = "山川空海森花鳥風月星"  # three bytes each, as the token files of tests say


def make(root, name, texts, language="ja"):
    """Write a domain whose tokens are its characters; return where it lies."""
    for split, documents in texts.items():
        folder = root / "tokens" / name / split
        folder.mkdir(parents=True)
        token_files.write(folder, [[SIGNS.index(sign) for sign in text] for text in documents])
        meta = read_json(folder / "meta.json") | {"language": language, "vocabulary_size": 16}
        write_json(folder / "meta.json", meta)
        path = root / "corpora" / name / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps({"id": "x", language: text}, ensure_ascii=False) for text in documents)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return Domain(root / "corpora" / name, root / "tokens" / name)


def walk(seed, count, step):
    """Documents in which a sign is followed by the one ``step`` further, nine times of ten."""
    generator, texts = np.random.default_rng(seed), []
    for _ in range(count):
        place, text = int(generator.integers(10)), ""
        for _ in range(12):
            text += SIGNS[place]
            place = (place + step if generator.random() < 0.9 else generator.integers(10)) % 10
        texts.append(text)
    return texts


@pytest.fixture
def study(tmp_path):
    return {
        name: make(
            tmp_path,
            name,
            {
                "train": walk(number, 80, step),
                "validation": walk(number + 10, 20, step),
                "test": walk(number + 20, 20, step),
            },
            "en" if name == "known" else "ja",
        )
        for number, (name, step) in enumerate({"one": 1, "two": 3, "known": 2}.items())
    }


def test_rows_are_of_every_task_and_domain_of_the_language(study):
    rows = list(baseline_rows(study, {"one": 130, "two": 130}, ["known", "one", "two"], None, {}))
    found = {(row.method, row.trained_through, row.evaluated_on): row.value for row in rows}
    assert len(found) == len(rows)
    both = [(task, domain) for task in ("one", "two") for domain in ("one", "two")]
    assert set(found) == {
        *((method, *place) for method in ("unigram", "ngram") for place in both),
        *((f"{method}_own", task, task) for method in ("unigram", "ngram") for task in study
          if task != "known"),
        ("ngram_all", "two", "one"),
        ("ngram_all", "two", "two"),
    }  # fmt: skip
    assert {(row.metric, row.unit, row.n) for row in rows} == {("bits_per_byte", "bit/byte", 720)}
    # A step that is known leaves 0.9 of the probability to one sign; ten signs at random are
    # log2(10) bits of three bytes.
    chance = math.log2(10) / 3
    assert found["unigram", "one", "one"] == pytest.approx(chance, abs=0.1)
    assert found["ngram_all", "two", "one"] < found["ngram", "two", "one"] < chance
    assert found["ngram", "one", "two"] > found["ngram_own", "two", "two"]
    assert found["ngram", "one", "one"] == found["ngram_own", "one", "one"]


def test_a_unigram_of_tokens_is_that_of_the_labels(study):
    token_file = TokenFile(study["one"].tokens / "train")
    seen = documents_seen(token_file, 130, 80)
    assert seen == 10  # thirteen labels a document: twelve tokens and the end
    labels = np.concatenate([[*token_file.document(n), 16] for n in range(seen)])
    test = TokenFile(study["one"].tokens / "test")
    counts = np.bincount(labels, minlength=17)
    kinds = np.count_nonzero(counts)
    probabilities = (counts + kinds / 17) / (len(labels) + kinds)
    tokens = np.concatenate([test.document(n) for n in range(len(test))])
    expected = -np.log2(probabilities[tokens]).sum() / 720
    [row] = [
        r for r in baseline_rows(study, {"one": 130}, ["one"], None, {}) if r.method == "unigram"
    ]
    assert row.value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("labels", "expected"), [(1, 1), (13, 1), (25, 1), (26, 2), (10**9, 80)])
def test_documents_seen_are_those_whose_labels_fit(study, labels, expected):
    assert documents_seen(TokenFile(study["one"].tokens / "train"), labels, 80) == expected
    assert documents_seen(TokenFile(study["one"].tokens / "train"), labels, 5) == min(expected, 5)


def test_documents_that_are_kept_for_pretraining_take_no_part(tmp_path):
    def rows(name, kept, share):
        texts = {"train": walk(1, 60, 1) + kept, "validation": walk(2, 9, 1), "test": walk(3, 9, 1)}
        study = {"one": make(tmp_path / name, "one", texts)}
        found = baseline_rows(study, {"one": 10**6}, ["one"], None, {"one": share})
        return {row.method: row.value for row in found}

    assert rows("a", walk(4, 20, 3), 0.25) == rows("b", walk(5, 20, 7), 0.25) == rows("c", [], 0)
    whole = rows("d", walk(4, 20, 3), 0)
    assert all(whole[method] != value for method, value in rows("e", [], 0).items())


def test_only_so_much_test_text_is_scored_as_of_the_models(study):
    rows = list(baseline_rows(study, {"one": 130}, ["one"], 50, {}))
    assert {row.n for row in rows} == {4 * 12 * 3}


def test_text_of_other_tokens_is_refused(study, tmp_path):
    path = study["one"].corpus / "test.jsonl"
    path.write_text(path.read_text("utf-8").replace("山", "", 1), "utf-8")
    with pytest.raises(UserError, match=r"corpora/one/test\.jsonl is not the text of .*delete"):
        list(baseline_rows(study, {"one": 130}, ["one"], None, {}))


def test_an_empty_domain_is_refused_for_training_and_left_out_of_evaluation(study, tmp_path):
    study["gone"] = make(tmp_path, "gone", {"train": [], "validation": [], "test": []})
    with pytest.raises(UserError, match="no documents to train a baseline on"):
        list(baseline_rows(study, {"gone": 130}, ["one"], None, {}))
    rows = baseline_rows(study, {"one": 130}, ["one", "gone"], None, {})
    assert {row.evaluated_on for row in rows} == {"one"}


def run(tmp_path, *options):
    folders = ("--corpora", tmp_path / "corpora", "--tokens", tmp_path / "tokens")
    command = [sys.executable, SCRIPT, "--study", "s", *folders, "--output", tmp_path / "b.csv"]
    return subprocess.run([*command, *options], capture_output=True, text=True)


def test_the_script_writes_the_columns_of_the_metrics(study, tmp_path):
    trained = ("--labels", "one=130", "two=130", "--known", "known=260", "--reserved", "one=0.1")
    done = run(tmp_path, *trained, "--domains", "known", "one", "two", "--maximum-tokens", "100")
    assert done.returncode == 0, done.stderr
    # Whoever reads the metrics can read the baselines.
    table = METRICS.read(tmp_path / "b.csv")
    assert set(table.seed) == {0}
    assert not table.duplicated(list(METRICS.key)).any()
    assert set(table[table.trained_through == "known"].evaluated_on) == {"known"}


@pytest.mark.parametrize("labels", ["one", "one=0", "=5", "one=-1", "one=x"])
def test_labels_that_are_no_counts_are_one_line(study, tmp_path, labels):
    done = run(tmp_path, "--labels", labels, "--domains", "one")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "expected DOMAIN=COUNT" in line
