"""What metrics declare, and one that lies outside the package."""

import subprocess
import sys

import pandas as pd
import pytest

from jadapt.analysis.printing import present
from jadapt.core.errors import UserError
from jadapt.core.registry import Registry
from jadapt.evaluation import collection
from jadapt.evaluation.likelihood import text_rows
from jadapt.evaluation.metrics import registry
from jadapt.evaluation.metrics.base import ARROWS, TEST, SequenceMetric, TextMetric
from jadapt.evaluation.tally import REPORTED_SCRIPTS, Tally
from jadapt.workflow import code_hash

NATS_PER_TOKEN = """
from jadapt.evaluation.metrics.base import LOWER, TextMetric


class NatsPerToken(TextMetric):
    \"\"\"The surprise of a token.\"\"\"

    key = "nats_per_token"
    label = "Nats per token"
    unit = "nat/token"
    direction = LOWER
    digits = 2

    def value(self, tally):
        return tally.nats / tally.tokens, tally.tokens
"""
WORST = """
from jadapt.evaluation.metrics.base import LOWER, SequenceMetric


class Worst(SequenceMetric):
    \"\"\"The highest loss at the end.\"\"\"

    key = "worst_bits_per_byte"
    family = "Tasks"
    label = "worst"
    unit = "bit/byte"
    direction = LOWER

    def needed(self, tasks, known):
        return {(tasks[-1], task) for task in tasks}

    def value(self, matrix):
        return float(matrix[-1].max()), 1
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package of one file that declares a metric, as pip would leave it."""

    def install(source, key, name):
        module = f"package_of_{key}"
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        info = tmp_path / f"{module}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[jadapt.metrics]\n{key} = {module}:{name}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, module, raising=False)
        own = registry.METRICS
        again = Registry(own.kind, own.places, own.group, own.required, own.refuse)
        monkeypatch.setattr(registry, "METRICS", again)
        return module

    return install


def tally():
    found = Tally(nats=30.0, tokens=12, bytes=15)
    found.characters.update(hiragana=4, kanji=1)
    found.correct.update(hiragana=1)
    found.script_nats.update(hiragana=20.0, kanji=10.0)
    return found


def test_rows_of_a_text_keep_their_order():
    names = [name for name, *_ in text_rows(tally())]
    assert names == [
        "bits_per_byte", "bits_per_character", "perplexity", "next_character_accuracy",
        "next_character_accuracy_hiragana", "bits_per_character_hiragana",
        "next_character_accuracy_kanji", "bits_per_character_kanji",
    ]  # fmt: skip
    assert [name for name, *_ in text_rows(tally(), told=True)] == ["bits_per_byte_with_task"]


def test_every_metric_declares_what_readers_need():
    for key, metric in registry.METRICS.items():
        assert metric.direction in ARROWS, key
        assert TEST in metric.splits, key
        assert metric.heading()[0], key


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ("bits_per_byte", "bits_per_byte"),
        ("next_character_accuracy_kanji", "next_character_accuracy_{script}"),
        ("english_retention", "{known}_retention"),
        ("retention", "{known}_retention"),
    ],
)
def test_rows_lead_to_the_metric_that_they_are_of(row, key):
    assert registry.declaration(row) is registry.METRICS[key]
    assert registry.declaration("seeds") is None


def test_a_metric_in_one_file_appears_in_the_rows_and_in_tables(installed):
    module = installed(NATS_PER_TOKEN, "nats_per_token", "NatsPerToken")
    before = [row for row in text_rows(tally()) if row[0] != "nats_per_token"]
    found = list(text_rows(tally()))
    assert ("nats_per_token", 2.5, "nat/token", 12) in found
    # Those of the project stay as they are, in their order.
    assert [row for row in found if row in before] == before
    # A table that asks for it by name prints it as it declares itself.
    printed = present(pd.DataFrame({"nats_per_token:everyday": [2.5]}))
    assert (printed.groups, printed.labels) == (["Nats per token ↓"], ["everyday"])
    assert printed.rows == [["2.50"]]
    # Evaluations follow its module, and no other kind of metric.
    assert module in registry.modules_of(TextMetric)
    assert module not in registry.modules_of(SequenceMetric)
    assert module in code_hash.closure("evaluate.py", *registry.modules_of(TextMetric))


def test_a_metric_of_sequences_in_one_file_appears_in_the_collected_table(installed, tmp_path):
    installed(WORST, "worst_bits_per_byte", "Worst")
    header = "study,method,seed,trained_through,evaluated_on,metric,value,unit,n\n"
    rows = ["base,1,known,known,2.0", "sft,1,a,a,1.5", "sft,1,b,a,1.75", "sft,1,b,b,1.25"]
    text = "".join(
        "s,{},{},{},{},bits_per_byte,{},bit/byte,9\n".format(*row.split(",")) for row in rows
    )
    (tmp_path / "rows.csv").write_text(header + text, encoding="utf-8")
    table = collection.metrics_table([tmp_path / "rows.csv"], "known")
    worst = table[table["metric"] == "worst_bits_per_byte"]
    assert worst[["method", "evaluated_on", "value"]].values.tolist() == [["sft", "sequence", 1.75]]


def test_a_metric_without_a_unit_is_refused(installed):
    source = NATS_PER_TOKEN.replace('    unit = "nat/token"\n', "")
    installed(source, "nats_per_token", "NatsPerToken")
    with pytest.raises(UserError, match="metric 'nats_per_token': declares no `unit`"):
        list(text_rows(tally()))


def test_a_key_that_is_taken_is_refused(installed):
    installed(NATS_PER_TOKEN.replace("nats_per_token", "perplexity"), "perplexity", "NatsPerToken")
    with pytest.raises(UserError, match="key 'perplexity' is that of"):
        list(text_rows(tally()))


def test_declarations_load_nothing_heavy():
    code = (
        "import sys\nfrom jadapt.evaluation.metrics import registry\n"
        f"registry.names({REPORTED_SCRIPTS!r})\nlist(registry.METRICS.values())\n"
        "sys.exit(', '.join({'torch', 'transformers', 'pandas'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
