"""Tasks put to models: what arithmetic says, and what transformers computes by itself."""

import json
import math
import random
import sys
from typing import ClassVar

import pytest
import torch

import task_example
import tiny_model
from adapting import applied, randomise
from jadapt.core.errors import UserError
from jadapt.core.files import read_jsonl
from jadapt.evaluation.tasks import definition, folders, suite
from jadapt.evaluation.tasks.generation import greedy
from jadapt.evaluation.tasks.harness_model import Encoder, HarnessModel
from jadapt.evaluation.tasks.suite import Suite
from jadapt.methods.peft.houlsby import Houlsby
from jadapt.methods.peft.prefix import Prefix
from jadapt.models import scratch

NAMES = definition.names()


class Bytes:
    """A tokenizer of bytes."""

    start_id, end_id, pad_id, vocabulary_size = 1, 2, 0, 259

    def encode_batch(self, texts):
        return [[byte + 3 for byte in text.encode()] for text in texts]

    def decode(self, ids):
        return bytes(max(token - 3, 0) for token in ids).decode("utf-8", "replace")


def tiny(seed=0, longest=640):
    torch.manual_seed(seed)
    settings = {**tiny_model.SETTINGS, "max_position_embeddings": longest, "hidden_size": 16}
    return scratch.build(settings, Bytes.vocabulary_size, tiny_model.SPECIAL_IDS).eval()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folder of every task, from small files."""
    root = tmp_path_factory.mktemp("tasks")
    found = {}
    for name in NAMES:
        (root / name).mkdir()
        found[name], _ = task_example.prepare(name, root / name)
    return found


class Constant(HarnessModel):
    """Prefers nothing and says nothing."""

    def loglikelihood(self, requests):
        return [(0.0, False) for _ in requests]

    def generate_until(self, requests):
        return ["" for _ in requests]


class Oracle(HarnessModel):
    """Knows every answer."""

    def loglikelihood(self, requests):
        def right(request):
            return not request.doc["choices"] or request.idx == request.doc["gold"]

        return [(0.0, True) if right(request) else (-90.0, False) for request in requests]

    def generate_until(self, requests):
        return [f" {request.doc['answers'][0]}。" for request in requests]


class Random(HarnessModel):
    """Guesses."""

    def loglikelihood(self, requests):
        draw = random.Random(1)
        return [(math.log(draw.random()), False) for _ in requests]

    def generate_until(self, requests):
        return ["？" for _ in requests]


def scores(folder, monkeypatch, answering):
    monkeypatch.setattr(suite, "HarnessModel", answering)
    model = tiny()
    found, record = Suite([folder], Bytes(), seed=0, batch_tokens=4096).evaluate(model)
    return {score.metric: score for score in found}, record


@pytest.mark.parametrize("name", NAMES)
def test_an_oracle_is_always_right(name, prepared, monkeypatch):
    found, _ = scores(prepared[name], monkeypatch, Oracle)
    assert set(found) == set(definition.read(name, "test").metrics)
    for score in found.values():
        assert score.value == pytest.approx(1)
        assert score.standard_error == pytest.approx(0, abs=1e-6)
        assert score.n == task_example.ITEMS


@pytest.mark.parametrize("name", NAMES)
def test_a_model_without_preference_takes_the_first_choice(name, prepared, monkeypatch):
    items = list(read_jsonl(prepared[name] / folders.ITEMS))
    firsts = sum(bool(item["choices"]) and item["gold"] == 0 for item in items) / len(items)
    found, _ = scores(prepared[name], monkeypatch, Constant)
    for key, score in found.items():
        # Constant values correlate with nothing.
        expected = 0 if key in ("pearson", "spearman") else firsts
        assert score.value == pytest.approx(expected)
        if key == "accuracy":
            error = math.sqrt(expected * (1 - expected) / (len(items) - 1))
            assert score.standard_error == pytest.approx(error)


@pytest.mark.parametrize("name", NAMES)
def test_guessing_is_near_chance(name, prepared, monkeypatch):
    chance = json.loads((prepared[name] / folders.RECORD).read_text())["baselines"]["chance"]
    found, _ = scores(prepared[name], monkeypatch, Random)
    for key, score in found.items():
        assert abs(score.value - chance[key]) <= 4 * score.standard_error + 1e-9, key


def test_scores_are_those_of_transformers(prepared, monkeypatch):
    """The log-likelihood of every choice, computed a text at a time without padding."""
    seen = {}

    class Kept(HarnessModel):
        def loglikelihood(self, requests):
            found = super().loglikelihood(requests)
            for request, own in zip(requests, found, strict=True):
                seen[request.doc["query"], request.idx] = (request.args, own)
            return found

    model = tiny()
    monkeypatch.setattr(suite, "HarnessModel", Kept)
    tested = Suite([prepared["piqa"]], Bytes(), seed=0, batch_tokens=700)
    found, _ = tested.evaluate(model)
    right = []
    for item in read_jsonl(prepared["piqa"] / folders.ITEMS):
        totals = []
        for place, choice in enumerate(item["choices"]):
            args, (own, _) = seen[item["query"], place]
            assert args == (f"{item['text']}", f" {choice}")
            context = [1, *Bytes().encode_batch([item["text"]])[0]]
            answer = Bytes().encode_batch([f" {choice}"])[0]
            ids = torch.tensor([context + answer])
            with torch.no_grad():
                shares = torch.log_softmax(model(input_ids=ids).logits[0].double(), dim=-1)
            places = range(len(context) - 1, ids.shape[1] - 1)
            total = sum(shares[at, ids[0, at + 1]].item() for at in places)
            assert own == pytest.approx(total, abs=1e-5 * len(answer))
            totals.append(total)
        right.append(totals.index(max(totals)) == item["gold"])
    assert found[0].value == pytest.approx(sum(right) / len(right))


@pytest.mark.parametrize("name", ["openbookqa", "winogrande", "jsquad"])
def test_the_batch_changes_nothing_and_twice_is_the_same(name, prepared):
    model = tiny()
    small = Suite([prepared[name]], Bytes(), seed=0, batch_tokens=1)
    large = Suite([prepared[name]], Bytes(), seed=0, batch_tokens=20000)
    first, record = large.evaluate(model)
    assert large.evaluate(model) == (first, record)
    for one, other in zip(small.evaluate(model)[0], first, strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-12)


def test_the_side_of_the_padding_changes_no_answer():
    model = tiny(seed=3)
    draw = random.Random(0)
    prompts = [[1, *(draw.randrange(3, 259) for _ in range(size))] for size in (3, 40, 17, 1)]

    def answers(rows, cached):
        return greedy(model, rows, 12, end=2, done=lambda *_: False, cached=cached)

    whole = answers(prompts, False)
    assert whole == answers(prompts, True)
    # A row by itself has no padding.
    assert whole == [answers([prompt], True)[0] for prompt in prompts]
    assert len({tuple(answer) for answer in whole}) > 1


def test_generation_ends_where_it_is_told_to():
    model = tiny(seed=3)
    (free,) = greedy(model, [[1, 50]], 9, end=-1, done=lambda *_: False, cached=True)
    (ended,) = greedy(model, [[1, 50]], 9, end=free[4], done=lambda *_: False, cached=True)
    assert ended == free[: free.index(free[4])]
    (short,) = greedy(model, [[1, 50]], 9, end=-1, done=lambda _, own: len(own) > 2, cached=False)
    assert short == free[:3]


def test_examples_follow_from_the_seed(prepared):
    def prompts(seed):
        seen = []

        class Kept(HarnessModel):
            def loglikelihood(self, requests):
                seen.extend(request.args[0] for request in requests)
                return [(0.0, False) for _ in requests]

        own = pytest.MonkeyPatch()
        with own.context() as patch:
            patch.setattr(suite, "HarnessModel", Kept)
            Suite([prepared["jnli"]], Bytes(), seed=seed, batch_tokens=9).evaluate(tiny())
        return seen

    assert prompts(0) == prompts(0) != prompts(1)
    assert prompts(0)[0].count("関係：") == 4


def test_a_long_context_is_cut_from_the_left_and_said(prepared, capsys):
    model = tiny(longest=64)
    found, record = Suite([prepared["jnli"]], Bytes(), seed=0, batch_tokens=4096).evaluate(model)
    assert record["cut_contexts"] == {"jnli": task_example.ITEMS}
    assert "task jnli: 48 contexts were cut from the left" in capsys.readouterr().err
    assert found[0].n == task_example.ITEMS


def test_an_answer_longer_than_the_model_is_refused(prepared):
    with pytest.raises(UserError, match=r"task jblimp: an answer of \d+ tokens is longer than"):
        Suite([prepared["jblimp"]], Bytes(), seed=0, batch_tokens=99).evaluate(tiny(longest=8))


def test_a_token_across_the_boundary_is_not_lost():
    class Merging(Bytes):
        """Has a token for "ab"."""

        def encode_batch(self, texts):
            return [
                [token for token in ids for token in [token]]
                for ids in ([*map(ord, text.replace("ab", "Z"))] for text in texts)
            ]

    encoder = Encoder(Merging())
    assert encoder.pair("xa", "by") == ([1, ord("x"), ord("a")], [ord("b"), ord("y")])
    assert encoder.pair("x ", "y") == ([1, ord("x")], [ord(" "), ord("y")])
    assert encoder.pair("", "y") == ([1], [ord("y")])


def test_a_task_out_of_reach_is_left_out(tmp_path, capsys):
    record = {"task": "piqa", "available": False, "reason": "no network"}
    (tmp_path / folders.RECORD).write_text(json.dumps(record))
    assert Suite([tmp_path], Bytes(), seed=0, batch_tokens=9).evaluate(tiny()) == ([], {})
    assert "task piqa: no network; left out" in capsys.readouterr().err
    assert "lm_eval" in sys.modules


WRAPPING = [
    Houlsby({"bottleneck": 5, "activation": "silu", "init_std": 0.01, "train_norms": True}),
    Prefix({"length": 3, "init_std": 0.5}),
]


@pytest.mark.parametrize("method", WRAPPING, ids=["houlsby", "prefix"])
def test_a_wrapped_model_is_read_without_padding_in_between(method, tmp_path):
    model = randomise(applied(method, tiny(longest=1024)))
    for name in ("jsquad", "openbookqa"):
        (tmp_path / name).mkdir()
        folder, _ = task_example.prepare(name, tmp_path / name, limit=4)
        large = Suite([folder], Bytes(), seed=0, batch_tokens=20000)
        found = large.evaluate(model, method)
        assert found == Suite([folder], Bytes(), seed=0, batch_tokens=1).evaluate(model, method)


def test_a_method_that_keeps_something_a_task_is_told_that_this_is_none(prepared):
    class Telling:
        needs_task_id = True
        told: ClassVar[list] = []

        def for_task(self, model, index):
            self.told.append(index)

    Suite([prepared["jblimp"]], Bytes(), seed=0, batch_tokens=999).evaluate(tiny(), Telling())
    assert Telling.told == [None]
