"""The paper of a study whose fronts alone were made, and their section in that of a whole study."""

import re

import pytest

import fronts_example as example
import paper_example
from jadapt.analysis import front_documents, front_measures, front_tables
from jadapt.analysis.front_points import Plan
from jadapt.analysis.tables import save_table
from jadapt.core.files import load_settings
from jadapt.core.tables import BASELINES, FRONTS
from jadapt.paper import formulas, front_context, front_matter, values
from jadapt.paper.template import Typst, compile_pdf, render, speaking

LITERATURE = paper_example.ROOT / "paper" / "literature.yaml"


def study(folder, methods=tuple(example.METHODS), planned=None, **given):
    """The measures and the settings of a made-up study."""
    example.write(folder, methods, **given)
    example.collected(folder)
    settings = example.settings(planned or methods)
    plan = Plan.of(settings)
    losses = front_documents.read(folder / "fronts", methods, [*plan.tasks, *plan.retention])
    table, trivial = FRONTS.read(folder / "fronts.csv"), BASELINES.read(folder / "baselines.csv")
    return front_measures.measure(table, plan, losses, trivial, draws=200), settings


def text(measures, settings):
    literature = load_settings(str(LITERATURE))
    numbers = values.collect_fronts(measures, settings, literature).by_name()
    context = front_context.of_fronts(measures, settings, literature)
    context |= speaking(numbers, context["findings"])
    context |= {
        "front": front_matter.read(paper_example.ROOT / "CITATION.cff"),
        "study": "example", "licences": [], "made_by": {"commits": ["c" * 12], "devices": ["GPU"]},
        "figure": lambda name, width="100%": Typst(f"rect[{name}]"),
        "table": lambda name: Typst(f"table[{name}]"),
    }  # fmt: skip
    return formulas.spoken(render(paper_example.TEMPLATE, context)), numbers


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    measures, settings = study(
        tmp_path_factory.mktemp("fronts"), planned=(*example.METHODS, "sft_more")
    )
    return measures, *text(measures, settings)


def test_what_got_worse_is_said_before_what_was_won(whole):
    _, written, numbers = whole
    worse, compared = (
        written.index("*What got worse.*"),
        written.index("*How fronts are compared.*"),
    )
    assert worse < compared
    said = written[worse:compared]
    assert f"forgets most there, {numbers['front.sft.forgetting'].printed}" in said


def test_sentences_follow_the_verdicts(whole):
    _, written, _ = whole
    (at,) = re.findall(r"\*At 75.% of its best gain.*?(?=\*At 90)", written, re.DOTALL)
    assert re.search(r"replay.*forget measurably less", at) and "never learn" in at
    assert "Prefix tuning" in written.partition("*Below the n-gram.*")[2].partition("\n\n")[0]


def test_what_might_be_taken_for_a_merit_is_explained(whole):
    measures, written, _ = whole
    assert ("*What replay replays.*" in written) == ("replay" in set(measures["method"]))
    at = measures[(measures["method"] == "sft") & (measures["line"] == "rates")]
    (middle,) = at.loc[(at["measure"] == "at_equal_learning") & (at["level"] == 0.75), "value"]
    assert ("*Below zero.*" in written) == (middle < 0)


def test_methods_that_were_not_run_are_named_as_such(whole):
    _, written, _ = whole
    assert re.search(r"\*Not run\.\* .*full fine.*tuning more.*not been run yet", written, re.I)


def test_sections_of_final_runs_are_absent(whole):
    _, written, _ = whole
    for name in ("retention", "convergence", "efficiency", "claims", "forgetting"):
        assert f"rect[{name}]" not in written and f"table[{name}]" not in written
    assert "rect[fronts]" in written and "table[front_results]" in written


def test_every_number_leads_to_rows_of_the_fronts(whole):
    _, _, numbers = whole
    for number in numbers.values():
        assert number.printed and number.table, number
    assert numbers["front.sft.gain"].table == "fronts"
    assert "evaluated_on=everyday|docs" in numbers["front.sft.gain"].rows
    assert numbers["front.ngram.gain"].table == "baselines"


def test_cells_of_the_printed_tables_have_names(whole, tmp_path):
    measures, _, numbers = whole
    frame = front_tables.results_table(measures)
    save_table(frame, tmp_path / "front_results", caption="x")
    name = "table.front_results.replay.gain_at_chosen"
    assert numbers[name].value == pytest.approx(numbers["front.replay.gain"].value)


def test_without_full_fine_tuning_the_text_compares_nothing(tmp_path):
    measures, settings = study(tmp_path, ("lora", "replay"), planned=("sft", "lora", "replay"))
    written, _ = text(measures, settings)
    assert "has not been run yet, so that nothing can be compared" in written
    assert "rect[equal_learning]" not in written


def test_the_text_compiles(whole, tmp_path):
    _, written, _ = whole
    (tmp_path / "paper.typ").write_text(written, encoding="utf-8")
    bibliography = paper_example.BIBLIOGRAPHY.read_text(encoding="utf-8")
    (tmp_path / "references.bib").write_text(bibliography, encoding="utf-8")
    assert compile_pdf(tmp_path / "paper.typ").startswith(b"%PDF")


def test_a_run_of_which_points_are_missing_is_named_and_compared_with_nothing(tmp_path):
    example.write(tmp_path, ("lora",), seeds=(1,))
    lora = (tmp_path / "fronts/lora.csv").read_text(encoding="utf-8")
    measures, settings = study(tmp_path, ("sft", "replay"), planned=("sft", "replay", "lora"))
    assert (tmp_path / "fronts/lora.csv").read_text(encoding="utf-8") == lora
    written, _ = text(measures, settings)
    assert "Points are still missing of LoRA" in written and "*Not run.*" not in written
    assert "LoRA" not in written.partition("*At 50")[2].partition("*Interpolated")[0]
