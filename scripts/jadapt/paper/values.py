"""Every number that the paper may print, computed from the tables and given its name.

``collect`` is the one program behind ``numbers.csv``: sections of the text ask for names and know
no values. Numbers of one card are in `jadapt.paper.gpu_values`, cells of tables in
`jadapt.paper.cell_values`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from jadapt.analysis import claim_verdicts, claims, front_measures, summaries, tokenizer_tables
from jadapt.analysis.adapted_models import TRANSFER, WITH_TASK, Method, Run, Tables, read_tables
from jadapt.analysis.comparisons import Comparison
from jadapt.analysis.labels import BASE
from jadapt.analysis.numbers import Form, Numbered, Numbers, Rows, rows, slug
from jadapt.analysis.printing import (
    agreeing_digits,
    count,
    estimated,
    estimated_percent,
    fixed,
    p_value,
    percent,
    plain,
    significant,
)
from jadapt.analysis.rate_search import Ablation
from jadapt.analysis.statements import statements
from jadapt.analysis.tables import READERS
from jadapt.config import yaml_files
from jadapt.core.released import CARD_RECORD, FRONTS_FOLDER, MANIFEST
from jadapt.paper import cell_values, context, front_context, front_values, gpu_values

BIT = "bit/byte"
LITERATURE = "paper/literature.yaml"
STATISTICS = "scripts/jadapt/analysis/statistics.py"
DYNAMICS = "scripts/jadapt/analysis/dynamics.py"
WHOLE_PERCENT = partial(percent, digits=0)
# Settings that are shares; others are printed as whole numbers or as they are.
SHARES: dict[str, Form] = {
    "pretraining.mixture.share": percent,
    "pretraining.mixture.reserved_share": WHOLE_PERCENT,
    "segmentation.network.dropout": WHOLE_PERCENT,
}


def collect(
    tables: Tables,
    settings: dict,
    literature: dict,
    verdicts: pd.DataFrame,
    sources: dict[str, dict[str, str]],
    manifest: dict | None = None,
) -> Numbers:
    """Return the numbers of the paper of a study.

    Args:
        tables: what was measured.
        settings: the configuration of the study.
        literature: numbers of others, ``paper/literature.yaml``.
        verdicts: on published claims, ``claims.csv``.
        sources: of these claims.
        manifest: of the finished study; without one nothing is said of data and cost.
    """
    filled = context.context(tables, settings, literature)
    numbers = Numbers()
    where = Places(tables)
    for method in filled["methods"]:
        _of_run(numbers, method, where)
        _of_settings(numbers, method, settings)
    for item in (*filled["comparisons"], *filled["compositions"]):
        _of_comparison(numbers, item, where)
    _of_study(numbers, filled, tables, where)
    if filled["grid"]:
        _of_grid(numbers, filled)
    _of_texts(numbers, filled)
    if filled["card"]:
        gpu_values.add(numbers, filled["card"])
    _of_configuration(numbers, settings)
    _of_literature(numbers, literature, filled["earlier"])
    _of_ledger(numbers, verdicts, sources)
    if manifest:
        add_statements(numbers, statements(manifest))
    for finding in filled["findings"].values():
        finding.add_to(numbers)
    cell_values.add(numbers, tables, verdicts, where.measure)
    if filled["fronts"] and tables.front_measures is not None:
        front_values.add(numbers, filled["fronts"], tables.front_measures)
    return numbers


def collect_fronts(measures: pd.DataFrame, settings: dict, literature: dict) -> Numbers:
    """Return the numbers of the paper of a study whose fronts alone were made.

    Args:
        measures: the table ``front_measures.csv``.
        settings: the configuration of the study.
        literature: numbers of others, ``paper/literature.yaml``.
    """
    filled = front_context.of_fronts(measures, settings, literature)
    numbers = Numbers()
    for run in filled["methods"]:
        _of_settings(numbers, run, settings)
    _of_configuration(numbers, settings)
    front_values.add(numbers, filled["fronts"], measures)
    return numbers


class Places:
    """Where the measures of a run stand in the tables."""

    def __init__(self, tables: Tables):
        metrics = tables.metrics
        self.home, self.tasks = summaries.home_domain(metrics), summaries.tasks(metrics)
        self.last = metrics.groupby("method", sort=False)["trained_through"].last().to_dict()
        curves = tables.curves
        self.last_task = curves.groupby("method", sort=False)["task"].last().to_dict()

    def final(self, *runs: str, metric: Any, on: Any) -> Rows:
        """Return the rows of a metric after the last task of some runs."""
        through = list(dict.fromkeys(self.last.get(run, self.home) for run in runs))
        return rows(
            "metrics", method=list(runs), trained_through=through, evaluated_on=on, metric=metric
        )

    def gain(self, *runs: str) -> Rows:
        """Return the rows that what was learned follows from."""
        return self.final(*dict.fromkeys([BASE, *runs]), metric=summaries.BITS, on=self.tasks)

    def loss(self, *runs: str) -> Rows:
        """Return the rows that what was forgotten follows from."""
        return self.final(*dict.fromkeys([BASE, *runs]), metric=summaries.BITS, on=self.home)

    def measure(self, name: str, run: str, reference: str | None = None) -> Rows | None:
        """Return the rows of a measure of a printed table; None for one that is not of metrics."""
        word, _, corrected = name.partition("_")
        if word in ("gain", "loss") and corrected == "p":
            # A corrected p depends on every run.
            domains = self.tasks if word == "gain" else self.home
            return rows("metrics", evaluated_on=domains, metric=summaries.BITS)
        if word in ("gain", "loss"):
            runs = [run, reference] if corrected and reference else [run]
            return self.gain(*runs) if word == "gain" else self.loss(*runs)
        if name == "retention":
            return self.final(run, metric=f"{self.home}_retention", on=self.home)
        if name == "learned":
            of_tasks = {"trained_through": self.tasks, "evaluated_on": self.tasks}
            return rows("metrics", method=[BASE, run], **of_tasks, metric=summaries.BITS)
        if name == "average_bits_per_byte":
            return self.final(run, metric=summaries.BITS, on=self.tasks)
        if name in TRANSFER.values():
            return rows("metrics", method=run, evaluated_on="sequence", metric=name)
        if name == summaries.ACCURACY:
            return self.final(run, metric=name, on=self.tasks)
        return None


def _of_run(numbers: Numbers, method: Method, where: Places) -> None:
    run = method.name

    def add(key: str, *given: Any, **more: Any) -> None:
        numbers.add(f"{run}.{key}", *given, **more)

    add("gain", method.gain, estimated, where.gain(run), BIT)
    add("loss", method.loss, estimated, where.loss(run), BIT)
    add("retention", method.retention, estimated, where.measure("retention", run), "ratio")
    on_tasks = where.final(run, metric=summaries.ACCURACY, on=where.tasks)
    add("accuracy", method.accuracy.mean, percent, on_tasks, "share")
    for key, metric in TRANSFER.items():
        value = getattr(method, key)
        add(key, value, estimated, where.measure(metric, run), BIT)
    costs = rows("efficiency", method=run)
    add("trainable", method.trainable, count, costs, "parameter")
    add("percent", method.percent, significant, costs, "%")
    add("speed", method.speed, partial(estimated, digits=0), costs, "token/s")
    add("memory", method.memory, partial(estimated, digits=0), costs, "MiB")
    if method.validation:
        of = rows(
            "curves", method=run, task=where.last_task[run], metric="validation_loss"
        )  # fmt: skip
        add("validation.loss", method.validation.loss, fixed, of, "nat/token")
        add("validation.tokens", method.validation.tokens, count, of, "token")
        add("validation.rise", method.validation.rise, fixed, of, "nat/token")
    if method.with_task:
        gain, loss = method.with_task
        for key, value, on in (("gain", gain, where.tasks), ("loss", loss, where.home)):
            metrics = [summaries.BITS, WITH_TASK]
            of = where.final(BASE, run, metric=metrics, on=on)
            add(f"with_task.{key}", value, estimated, of, BIT)


def _of_settings(numbers: Numbers, method: Run, settings: dict) -> None:
    for words, value in context.hyperparameters(settings, method):
        if (number := _number(value)) is not None:
            numbers.add(
                f"{method.name}.setting.{slug(words)}", number, plain,
                printed=value if isinstance(value, str) else None,
                file=MANIFEST, key=f"settings.methods.{method.name}",
            )  # fmt: skip
    for index, rate in enumerate(context.learning_rates(method)):
        numbers.add(
            f"{method.name}.rate.{index}", rate, plain,
            file=MANIFEST, key=f"settings.methods.{method.name}.learning_rate",
        )  # fmt: skip


def _of_comparison(numbers: Numbers, item: Comparison, where: Places) -> None:
    pair = (item.method.name, item.reference.name)
    numbers.add(f"{item.name}.gain", item.gain, estimated, where.gain(*pair), BIT)
    numbers.add(f"{item.name}.loss", item.loss, estimated, where.loss(*pair), BIT)
    for key, value in (("gain_p", item.gain_p), ("loss_p", item.loss_p)):
        if math.isfinite(value):
            numbers.add(
                f"{item.name}.{key}", value, p_value, where.measure(key, pair[0]) or (), "1"
            )
    costs = rows("efficiency", method=pair)
    ratio = partial(fixed, digits=2)
    numbers.add(f"{item.name}.speed_ratio", item.speed_ratio, ratio, costs, "ratio")
    numbers.add(f"{item.name}.memory_ratio", item.memory_ratio, ratio, costs, "ratio")


def _of_study(numbers: Numbers, filled: dict, tables: Tables, where: Places) -> None:
    costs, base = rows("efficiency"), rows("efficiency", method=BASE)
    numbers.add("base.parameters", filled["base_parameters"], count, costs, "parameter")
    if filled["base_tokens"] is not None:
        numbers.add("base.tokens", filled["base_tokens"], count, base, "token")
    home, tasks = where.loss(), where.gain()
    numbers.add("base.home_bits", filled["base_home_bits"], estimated, home, BIT)
    numbers.add("base.task_bits", filled["base_task_bits"], estimated, tasks, BIT)
    accuracy = where.final(BASE, metric=summaries.ACCURACY, on=where.tasks)
    numbers.add("base.accuracy", filled["base_accuracy"].mean, percent, accuracy, "share")
    counted = rows("metrics")
    numbers.add("tasks", len(filled["tasks"]), count, counted, "task")
    numbers.add("methods", len(filled["methods"]), count, counted, "run")
    numbers.add("seeds", filled["seeds"], count, counted, "seed")
    numbers.add("tests", filled["tests"], count, counted, "test")
    numbers.add("steps", filled["steps"], count, costs, "step")
    numbers.add("tokens", filled["tokens"], count, costs, "token")
    numbers.add("level", filled["level"], WHOLE_PERCENT, file=STATISTICS, key="LEVEL")
    numbers.add("level.rest", 1 - filled["level"], WHOLE_PERCENT, file=STATISTICS, key="LEVEL")
    numbers.add(
        "sources", filled["sources"], count, rows("corpora", available=["True", "true"]), "source"
    )
    reached = tables.corpora[tables.corpora["available"]]
    for code, own in reached.groupby("language", sort=False):
        of = rows("corpora", language=code, available=["True", "true"])
        numbers.add(f"characters.{code}", own["characters"].sum(), count, of, "character")
    adapted = list(where.last)[1:]
    for key, metric, form in (
        ("scripts", summaries.ACCURACY, percent),
        ("script_bits", summaries.CHARACTER_BITS, partial(fixed, digits=2)),
    ):
        for name, value in filled[key]:
            of = where.final(*adapted, metric=f"{metric}_{name.lower()}", on=where.tasks)
            numbers.add(f"{key}.{slug(name)}", value, form, of)
    course = filled["course"]
    numbers.add("course.near", course["near"], WHOLE_PERCENT, file=DYNAMICS, key="NEAR")
    numbers.add("course.end", course["end"], WHOLE_PERCENT, file=DYNAMICS, key="END")
    by_label = {method.label: method.name for method in filled["methods"]}
    for label, steps in course["order"]:
        run = by_label.get(label, label)
        of = rows("curves", method=run, metric="training_loss")
        numbers.add(
            f"course.{slug(label)}", steps, partial(estimated, digits=1), of, "step"
        )  # fmt: skip
    for index, (_, _, value) in enumerate(filled["overrides"]):
        if (number := _number(value)) is not None:
            numbers.add(f"override.{index}", number, plain, file=MANIFEST, key="settings.methods")


def _of_grid(numbers: Numbers, filled: dict) -> None:
    grid, every = filled["grid"], rows("grid", ablation="", metric=summaries.BITS)
    numbers.add("grid.points", grid["points"], count, every, "point")
    for key in ("lora_beaten", "reference_beaten"):
        for part, value in zip(("beaten", "all"), grid[key], strict=True):
            numbers.add(f"grid.{key}.{part}", value, count, every, "point")
    for choice in filled["choices"]:
        of = rows("grid", ablation="", selected=["True", "true"])
        key = f"grid.{slug(choice.label)}"
        if choice.chosen is not None:
            numbers.add(f"{key}.chosen", choice.chosen, plain, of)
        for index, rate in enumerate(choice.diverged):
            numbers.add(f"{key}.diverged.{index}", rate, plain, every)
    for ablation in filled["ablations"]:
        form = partial(estimated, digits=_digits(ablation))
        for variant in ablation.variants:
            key = f"ablation.{ablation.name}.{slug(variant.value)}"
            of = rows(
                "grid", ablation=ablation.name, variant=variant.value, selected=["True", "true"]
            )  # fmt: skip
            numbers.add(f"{key}.rate", variant.rate, plain, of)
            numbers.add(f"{key}.task", variant.task, form, of, BIT)
            numbers.add(f"{key}.home", variant.home, estimated, of, BIT)
            if variant.parameters:
                numbers.add(f"{key}.parameters", variant.parameters, count, of, "parameter")
        ends = [end.value for end in (ablation.best, ablation.worst) if end]
        if ends:
            of = rows("grid", ablation=ablation.name, variant=ends, selected=["True", "true"])
            key = f"ablation.{ablation.name}.difference"
            numbers.add(key, ablation.difference, form, of, BIT)


def _digits(ablation: Ablation) -> int:
    """Return with how many digits the printed difference is that of the printed values."""
    if not ablation.best or not ablation.worst:
        return 3
    ends = (ablation.worst.task.mean, ablation.best.task.mean)
    return agreeing_digits(*ends, ablation.difference.mean)


def _of_texts(numbers: Numbers, filled: dict) -> None:
    seg, tok = filled["segmentation"], filled["tokenizers"]
    if seg:
        numbers.add("segmentation.words", seg["words"], count, rows("segmentation", group="all"))
        unseen = rows("segmentation", group="unseen")
        numbers.add("segmentation.unseen", seg["unseen"], count, unseen, "word")
        for each in (*seg["dictionaries"], *([seg["learned"]] if seg["learned"] else [])):
            for key, group in (("f1", "all"), ("unseen_recall", "unseen")):
                of = rows("segmentation", segmenter=each.name, group=group)
                value = getattr(each, key)
                if math.isfinite(value.mean):
                    key = f"segmentation.{each.name}.{key}"
                    numbers.add(key, value, estimated_percent, of, "share")
    if not tok:
        return
    numbers.add("tokenizers", tok["count"], count, rows("tokenizers"), "tokenizer")
    whole = rows("tokenizers", metric=tokenizer_tables.WHOLE)
    numbers.add("tokenizers.words", tok["words"], count, whole, "word")
    fertile = rows("tokenizers", metric=tokenizer_tables.FERTILITY)
    for key in ("fewest", "most"):
        numbers.add(f"tokenizers.{key}", tok[key][1], partial(fixed, digits=2), fertile)
    for key in ("whole", "least_whole"):
        numbers.add(f"tokenizers.{key}", tok[key][1], WHOLE_PERCENT, whole, "share")
    bits = rows("tokenizers", metric=summaries.BITS)
    named = {f"bits.{slug(label)}": value for label, value in tok["ranked"]}
    named |= {"plain": tok["plain"], "unnormalised": tok["unnormalised"]}
    for each in (*tok["variants"], *tok["normalisations"]):
        named[f"{slug(each.label)}.bits"] = each.bits
        named[f"{slug(each.label)}.difference"] = each.difference
    for key, value in named.items():
        if value is not None:
            numbers.add(f"tokenizers.{key}", value, estimated, bits, BIT)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return float(value) if value.replace(".", "", 1).isdecimal() else None
    return float(value) if isinstance(value, int | float) else None


def leaves(settings: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Return the values of a configuration by dotted key."""
    if isinstance(settings, dict):
        for key, value in settings.items():
            yield from leaves(value, f"{name}.{key}" if name else str(key))
    elif not isinstance(settings, list):
        yield name, settings


def _of_configuration(numbers: Numbers, settings: dict) -> None:
    parts = ("model", "pretraining", "training", "tokenizer", "segmentation", "evaluation")
    for key, value in leaves({part: settings.get(part) for part in parts}):
        if isinstance(value, int | float) and not isinstance(value, bool):
            form: Form = SHARES.get(key, count if isinstance(value, int) else plain)
            numbers.add(f"setting.{key}", value, form, file=MANIFEST, key=f"settings.{key}")
    width = context.setter(settings)("model.hidden_size")
    if width:
        key, form = "model.hidden_size", partial(fixed, digits=1)
        root = math.sqrt(width)
        numbers.add(f"setting.{key}.root", root, form, file=MANIFEST, key=f"settings.{key}")


def _of_literature(numbers: Numbers, literature: dict, earlier: dict) -> None:
    forms = {
        "memory_saved": partial(fixed, digits=1), "speed_gained": partial(fixed, digits=1),
        "count_ratio": partial(significant, digits=2),
        "rank_ratio": partial(significant, digits=2),
    }  # fmt: skip
    for key, value in earlier.items():
        if isinstance(value, int | float):
            form = forms.get(key, count)
            numbers.add(f"earlier.{key}", value, form, file=LITERATURE, key="earlier_study")
    stanza = literature.get("segmentation", {}).get("stanza")
    if stanza is not None:
        key = "segmentation.stanza"
        numbers.add(f"literature.{key}", stanza, percent, file=LITERATURE, key=key)


def _of_ledger(numbers: Numbers, verdicts: pd.DataFrame, sources: dict) -> None:
    found = claim_verdicts.summary(verdicts, sources)

    def add(key: str, value: int, **where: Any) -> None:
        numbers.add(f"ledger.{key}", value, count, rows("claims", **where), "claim")

    add("claims", found["claims"])
    add("untestable", found["untestable"], verdict=claim_verdicts.UNTESTABLE)
    for name, kind in (
        ("computed", claim_verdicts.ARITHMETIC), ("measured", claim_verdicts.MEASUREMENT)
    ):  # fmt: skip
        for key, value in found[name].items():
            add(f"{name}.{key}", value, kind=kind)
    for index, (reason, number) in enumerate(found["reasons"]):
        add(f"reasons.{index}", number, reason=reason)
    for index, source in enumerate(found["sources"]):
        add(f"sources.{index}", source["count"])


def add_statements(numbers: Numbers, said: dict) -> None:
    """Add the numbers of what a study says of its data, its code and its cost."""
    forms: dict[str, Form] = {
        "megabytes": partial(fixed, digits=0), "runs": count, "jobs": count,
        "process_hours": significant, "cpu_hours": significant, "gpu_hours": significant,
        "training_share": WHOLE_PERCENT, "search_share": WHOLE_PERCENT,
    }  # fmt: skip
    for key, form in forms.items():
        numbers.add(f"statement.{key}", said[key], form, file=MANIFEST, key="compute")
    count_of = len(said["packages"])
    numbers.add("statement.packages", count_of, count, file=MANIFEST, key="corpora")


def of_release(folder: Path, manifest: dict) -> Numbered:
    """Return the numbers of the paper of released tables, on which the claims are judged anew."""
    there = [name for name in READERS if name in manifest["tables"]]
    paths = {name: CARD_RECORD if name == "card" else folder / f"{name}.csv" for name in there}
    settings, literature = manifest["settings"], yaml_files.read_yaml(Path(LITERATURE))
    measures = None
    if "fronts" in paths:
        trivial = folder / "baselines.csv" if "baselines" in paths else None
        losses = folder / FRONTS_FOLDER
        measures = front_measures.of_files(Path(paths["fronts"]), losses, trivial, settings)
        if "metrics" not in paths:
            return collect_fronts(measures, settings, literature).by_name()
    domains = yaml_files.read_yaml(Path("config/corpora.yaml"))["domains"]
    ledger = claims.read(Path("config/claims.yaml"), domains)
    tables = replace(read_tables(paths), front_measures=measures)
    verdicts = claim_verdicts.judge(ledger, tables, ledger.unmet(settings))
    return collect(tables, settings, literature, verdicts, ledger.sources, manifest).by_name()
