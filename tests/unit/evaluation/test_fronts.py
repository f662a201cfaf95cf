"""Fronts: every rate and strength of a run through the whole sequence, stopped and gone on."""

import shutil
from types import SimpleNamespace

import pandas as pd
import pytest

import tiny_model
import tiny_study
from jadapt.core.errors import UserError
from jadapt.core.tables import FRONTS
from jadapt.evaluation import collection
from jadapt.evaluation.documents import gather
from jadapt.evaluation.fronts import RESULT, Front, costs

REPLAY = {"continual": {"replay": {"ratio": 0.25, "memory_rows": 8}}}


class Stopped(Exception):
    """Stands for the end of a process."""


def front(study, work, tokens=None, **changes):
    bytes_of_tokens = [b"", b"", b"", *(b"x" for _ in range(3, tiny_model.VOCABULARY))]
    tokenizer = SimpleNamespace(**vars(tiny_study.TOKENIZER), token_bytes=lambda: bytes_of_tokens)
    settings = {**tiny_study.SETTINGS, "role": "front", "steps": 6, **REPLAY}
    half = {**settings, "continual": {"replay": {"ratio": 0.5, "memory_rows": 8}}}
    given = {
        "run": "replay", "ablation": "", "rates": [1e-3, 1e-2], "seeds": [1], "batch_size": 4,
        "maximum_tokens": 200, "extend": 0, "interpolations": [0.5],
        "rule": {"forgetting_weight": 1.0}, "retention": ["known"],
        "domains": [*tiny_study.DOMAINS, "missing"],
        "variants": [
            {"name": "", "strength": "0.25", "settings": settings},
            {"name": "", "strength": "0.5", "settings": half},
        ],
        **changes,
    }  # fmt: skip
    places = {domain: study / "tokens" / domain for domain in [*tiny_study.DOMAINS, "missing"]}
    return Front(given, "tiny", study / "model", places | (tokens or {}), tokenizer, work)


def frame(rows):
    return pd.DataFrame(rows, columns=list(FRONTS.header))


@pytest.fixture(scope="module")
def whole(study, tmp_path_factory):
    work = tmp_path_factory.mktemp("front")
    made = front(study, work)
    rows, choice = made.run()
    gather(made.documents(), work / "documents.parquet")
    return frame(rows), choice, work


def without_speed(table):
    return table[~table["metric"].isin(["median_tokens_per_second", "training_seconds",
                                        "peak_memory_mib"])]  # fmt: skip


def test_every_point_is_measured_at_every_stage_that_it_is_compared_at(whole):
    table, *_ = whole
    points = table[(table["method"] == "replay") & (table["metric"] == "bits_per_byte")]
    assert set(points["learning_rate"]) == {"0.001", "0.01"}
    assert set(points["strength"]) == {"0.25", "0.5"}
    last = points[points["trained_through"] == "second"]
    # Both splits of every domain as it is, the test split half-way to the base model.
    assert len(last) == 4 * 3 * (2 + 1)
    first = points[points["trained_through"] == "first"]
    assert set(first["evaluated_on"]) == {"first", "known"}
    assert set(first["split"]) == {"test"}
    base = table[table["method"] == "base"]
    assert len(base) == 2 * 3
    assert set(base["trained_through"]) == {""}


def test_learning_shows_and_half_of_it_lies_between(whole):
    table, *_ = whole
    table = table[(table["metric"] == "bits_per_byte") & (table["split"] == "test")]
    table = table.assign(value=table["value"].astype(float))
    on = table[table["evaluated_on"] == "second"]
    base = on[on["method"] == "base"]["value"].item()
    at = on[(on["learning_rate"] == "0.01") & (on["strength"] == "0.25")].set_index("interpolation")
    assert at["value"]["1.0"] < at["value"]["0.5"] < base


def test_the_choice_weighs_learning_and_forgetting_over_the_whole_sequence(whole):
    table, choice, _ = whole
    table = table[(table["metric"] == "bits_per_byte") & (table["split"] == "validation")]
    table = table[table["interpolation"].isin(["0.0", "1.0"])]
    losses = table.assign(value=table["value"].astype(float))
    base = losses[losses["method"] == "base"].set_index("evaluated_on")["value"]
    scores = {}
    runs = losses[losses["method"] != "base"]
    for key, rows in runs.groupby(["learning_rate", "strength"]):
        final = rows.set_index("evaluated_on")["value"]
        learned = sum(base[task] - final[task] for task in ("first", "second")) / 2
        scores[key] = learned - max(0.0, final["known"] - base["known"])
    best = max(scores, key=scores.get)
    assert (repr(choice.rate), choice.strength) == best
    assert choice.score == pytest.approx(scores[best])
    assert choice.at_end
    chosen = table[table["selected"]]
    assert set(zip(chosen["learning_rate"], chosen["strength"], strict=True)) == {best}


def test_the_losses_of_documents_sum_to_those_of_the_table(whole):
    table, _, work = whole
    documents = pd.read_parquet(work / "documents.parquet")
    assert set(documents.columns) == {
        "interpolation", "domain", "document", "bits", "bytes", "strength", "learning_rate", "seed",
    }  # fmt: skip
    rows = table[
        (table["trained_through"] == "second") & (table["split"] == "test")
        & (table["metric"] == "bits_per_byte")
    ]  # fmt: skip
    base = table[(table["method"] == "base") & (table["split"] == "test")]
    rows = pd.concat([rows, base[base["metric"] == "bits_per_byte"]])
    assert set(rows["interpolation"]) == {"0.0", "0.5", "1.0"}
    for _, row in rows.iterrows():
        part = documents[
            (documents["domain"] == row["evaluated_on"])
            & (documents["learning_rate"] == float(row["learning_rate"]))
            & (documents["strength"] == row["strength"])
            & (documents["interpolation"] == float(row["interpolation"]))
        ]
        found = part["bits"].sum() / part["bytes"].sum()
        assert found == pytest.approx(float(row["value"]), rel=1e-5)


def test_a_front_that_is_stopped_goes_on_to_the_same_table(study, tmp_path, monkeypatch, whole):
    table, choice, _ = whole
    calls = []

    def stop(self, run, place, folder):
        calls.append(place)
        if len(calls) == 2:
            raise Stopped
        return measure(self, run, place, folder)

    measure = Front._measure
    with monkeypatch.context() as patched:
        patched.setattr(Front, "_measure", stop)
        with pytest.raises(Stopped):
            front(study, tmp_path).run()
    rows, again = front(study, tmp_path).run()
    assert again == choice
    assert without_speed(frame(rows)).equals(without_speed(table))
    assert list(tmp_path.rglob(RESULT))


def test_what_is_finished_of_a_stopped_front_is_told_without_training(
    study, tmp_path, monkeypatch, whole
):
    table, *_ = whole
    with monkeypatch.context() as patched:
        patched.setattr(Front, "_keep", stopped_after(2))
        with pytest.raises(Stopped):
            front(study, tmp_path, seeds=[1, 2]).run()
    monkeypatch.setattr("jadapt.evaluation.fronts.Run", None)
    made = front(study, tmp_path, seeds=[1, 2])
    made.train = False
    rows, choice = made.run()
    assert choice is None
    known = without_speed(table.assign(selected=False))
    known = known[known["strength"] != "0.5"]
    assert without_speed(frame(rows)).reset_index(drop=True).equals(known.reset_index(drop=True))


def stopped_after(count):
    """Return a `Front._keep` that stops the process once so many points are kept."""
    keep, calls = Front._keep, []

    def stopping(*arguments):
        keep(*arguments)
        calls.append(None)
        if len(calls) == count:
            raise Stopped

    return stopping


def test_the_grid_goes_on_beyond_an_end_where_the_best_rate_lies(study, tmp_path):
    made = front(study, tmp_path, rates=[1e-4, 1e-3], extend=1)
    rows, choice = made.run()
    table = frame(rows)
    tried = {float(rate) for rate in table[table["method"] == "replay"]["learning_rate"]}
    assert 1e-2 in tried and len(tried) == 3
    assert choice.rate in tried


@pytest.mark.parametrize(("there", "lacking"), [("validation", "test"), ("test", "validation")])
def test_text_of_which_one_split_is_missing_is_refused(study, tmp_path, there, lacking):
    tokens = {domain: study / "tokens" / domain for domain in tiny_study.DOMAINS}
    tokens["known"] = tmp_path / "known"
    shutil.copytree(study / "tokens/known" / there, tokens["known"] / there)
    with pytest.raises(UserError, match=f"known/{lacking}: no tokens of 'known', whose {there}"):
        front(study, tmp_path / "work", tokens=tokens)


def test_tables_of_runs_are_joined_with_the_base_model_once(whole, tmp_path):
    table, *_ = whole
    for name in ("a", "b"):
        part = table.assign(method=table["method"].replace("replay", name))
        FRONTS.write_frame(tmp_path / f"{name}.csv", part)
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    joined = collection.fronts_table(paths)
    assert (joined["method"] == "base").sum() == (table["method"] == "base").sum()


def test_the_speed_of_a_point_is_not_that_of_its_start():
    steps = [
        {"step": 1, "tokens_per_second": 10.0},
        {"step": 2, "tokens_per_second": 1000.0},
        {"step": 3, "tokens_per_second": 1002.0},
    ]
    report = {"peak_memory_mib": 512.5, "tokens": 3, "training_seconds": 1.0}
    found = {metric: (value, unit, n) for metric, value, unit, n in costs(report, steps)}
    assert found["peak_memory_mib"] == (512.5, "MiB", 1)
    assert found["median_tokens_per_second"] == (1000.0, "token/s", 3)
    scaled = {"step": 4, "tokens_per_second": 998.0, "loss_scale": 32768.0, "skipped_steps": 1}
    found = {metric: value for metric, value, *_ in costs(report, [*steps, scaled])}
    assert (found["loss_scale"], found["skipped_steps"]) == (32768.0, 1)
