"""The paper's text: no number typed by hand, every citation known, and true for any study."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import jinja2
import pandas as pd
import pytest
import typst
from jinja2 import nodes
from PIL import Image

import reporting_example as example
from jadapt.errors import UserError
from jadapt.reporting import figures, style, summaries, tables
from jadapt.reporting.present import escape_typst
from jadapt.reporting.statistics import Estimate
from jadapt.reporting.template import (
    code,
    compile_pages,
    environment,
    estimated,
    lower_first,
    plain,
    render,
)

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "paper" / "paper.typ.j2"
BIBLIOGRAPHY = ROOT / "paper" / "references.bib"

NOT_PROSE = re.compile(
    r"<#.*?#>"  # comments
    r"|<%.*?%>"  # decisions
    r"|<<.*?>>"  # injected values: `typed_constants` looks at these
    r"|@[a-z][a-z-]*"  # citations and references
    r"|<[a-z][a-z-]*>",  # labels
    re.DOTALL,
)
# A formula may hold small constants, as in ln 2; a value in it would have more digits or a point.
FORMULA = re.compile(r"\$[^$]*\$")
VALUE = re.compile(r"\d[\d.,]*\d")
WORDS = re.compile(
    r"\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|"
    r"fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|dozen)\b",
    re.IGNORECASE,
)


def typed_numbers(text: str) -> list[str]:
    """Return the lines of a template that hold a number written by hand, as digits or a word."""
    blank = NOT_PROSE.sub(lambda match: "\n" * match.group().count("\n"), text)
    found = [formula for formula in FORMULA.findall(blank) if VALUE.search(formula)]
    prose = FORMULA.sub("", blank)
    found += [line for line in prose.splitlines() if re.search(r"\d", line) or WORDS.search(line)]
    return found + typed_constants(text)


def typed_constants(text: str) -> list[str]:
    """Return constants with digits that an injection prints, such as ``<< 42 >>``."""
    tree = environment(TEMPLATE.parent).parse(text)
    printed = [node for output in tree.find_all(nodes.Output) for node in output.nodes]
    printed += [assignment.node for assignment in tree.find_all(nodes.Assign)]
    found = []
    while printed:
        node = printed.pop()
        if isinstance(node, nodes.Const) and re.search(r"\d", str(node.value)):
            found.append(str(node.value))
        elif isinstance(node, nodes.CondExpr):
            printed += [part for part in (node.expr1, node.expr2) if part is not None]
        elif isinstance(node, nodes.Concat | nodes.List | nodes.Tuple):
            printed += getattr(node, "nodes", None) or getattr(node, "items", [])
        elif isinstance(node, nodes.Filter | nodes.Getitem):
            printed.append(node.node)
        elif isinstance(node, nodes.Dict):
            printed += [item.value for item in node.items]
    return found


def test_no_number_is_typed_by_hand():
    assert typed_numbers(TEMPLATE.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "planted",
    [
        "It forgets 42 of them.",
        "LoRA keeps 95 %.",
        "a model of ４２ layers",
        "It keeps ninety-five per cent.",
        "with three seeds",
        "<< 42 >>",
        '<< "42" >>',
        '<% set share = "95 %" %>',
        '<< "42" if several_seeds else "1" >>',
        "$ r = 16 $",
        "$x$ of 42",
    ],
)
def test_a_planted_number_is_found(planted):
    assert typed_numbers(TEMPLATE.read_text(encoding="utf-8") + "\n" + planted + "\n")


@pytest.mark.parametrize(
    "allowed",
    [
        "<< value | fixed(2) >>",
        "<< scripts[0][1] >>",
        "$ 1 / ln 2 $",
        "<fig-x> @lora",
        "one of them",
    ],
)
def test_what_is_no_number_is_left_alone(allowed):
    assert not typed_numbers(allowed)


def entries() -> dict[str, tuple[str, str]]:
    """Return the bibliography by key: kind of entry and its fields as text."""
    text = BIBLIOGRAPHY.read_text(encoding="utf-8")
    found = re.findall(r"^@(\w+)\{([\w-]+),\n(.*?)^\}", text, re.DOTALL | re.MULTILINE)
    return {key: (kind, fields) for kind, key, fields in found}


def test_citations_and_bibliography_agree():
    text = re.sub(r"<#.*?#>", "", TEMPLATE.read_text(encoding="utf-8"), flags=re.DOTALL)
    cited = set(re.findall(r"@([a-z][a-z-]*)", text))
    cited = {key for key in cited if not key.startswith(("fig-", "tab-", "eq-"))}
    assert cited == set(entries())


@pytest.mark.parametrize("key", entries())
def test_entries_are_complete(key):
    kind, fields = entries()[key]
    needed = {"article": ["journal"], "inproceedings": ["booktitle"], "misc": ["publisher"]}[kind]
    for field in ["author", "title", "year", *needed]:
        assert re.search(rf"^\s*{field}\s*= \{{.+\}},?$", fields, re.MULTILINE), field


def study(folder: Path, methods, seeds, tasks) -> Path:
    """Write the tables, figures and printed tables of a made-up study."""
    example.write(folder, methods, seeds, tasks)
    metrics = tables.read_metrics(folder / "metrics.csv")
    efficiency = tables.read_efficiency(folder / "efficiency.csv")
    style.use()
    drawn = {
        "convergence": figures.convergence(tables.read_curves(folder / "curves.csv")),
        "forgetting": figures.forgetting(metrics),
        "scripts": figures.scripts(metrics),
    }
    for name, figure in drawn.items():
        style.save(figure, folder / "figures" / name)
    style.pyplot.close("all")
    printed = {
        "results": summaries.results_table(metrics, efficiency),
        "efficiency": summaries.efficiency_table(efficiency),
        "corpora": summaries.corpora_table(tables.read_corpora(folder / "corpora.csv")),
    }
    for name, frame in printed.items():
        tables.save_table(frame, folder / "tables" / name, caption=name)
    return folder


def set_paper(
    folder: Path, output: str = "paper/paper.pdf", **changes
) -> subprocess.CompletedProcess:
    """Run the script with relative paths, as the workflow does."""
    options = {name: f"{name}.csv" for name in ("metrics", "efficiency", "curves", "corpora")}
    options |= {"figures": "figures", "tables": "tables", "study": "example_1"}
    options |= {"template": TEMPLATE, "bibliography": BIBLIOGRAPHY, "output": output}
    options |= {"settings": json.dumps(example.SETTINGS)} | changes
    command = [sys.executable, str(ROOT / "scripts" / "render_paper.py")]
    command += [f"--{name}={value}" for name, value in options.items()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


STUDIES = {
    "small": (["sft", "lora"], [1, 2], ["everyday"]),
    "large": (
        ["sft", "lora", "houlsby", "ewc", "my_run"],
        [1, 2],
        ["everyday", "cloud", "devdocs"],
    ),
    "single": (["lora"], [7], ["everyday"]),
}


@pytest.fixture(scope="module", params=STUDIES)
def finished(request, tmp_path_factory):
    folder = study(tmp_path_factory.mktemp(request.param), *STUDIES[request.param])
    result = set_paper(folder)
    assert result.returncode == 0, result.stderr
    return folder


def test_the_paper_is_set(finished):
    assert (finished / "paper" / "paper.pdf").read_bytes().startswith(b"%PDF")
    pages = compile_pages(finished / "paper" / "paper.typ", ppi=30)
    assert len(pages) >= 5
    for page in pages:
        darkest, lightest = Image.open(io.BytesIO(page)).convert("L").getextrema()
        assert darkest < 200 and lightest == 255


def test_every_glyph_and_font_is_there(finished):
    from matplotlib_fontja import get_font_path

    _, warnings = typst.compile_with_warnings(
        finished / "paper" / "paper.typ",
        font_paths=[get_font_path()],
        ignore_system_fonts=True,
    )
    assert not [warning for warning in warnings if "font" in str(warning)]


def test_the_text_names_what_the_tables_hold(finished):
    text = (finished / "paper" / "paper.typ").read_text(encoding="utf-8")
    metrics = pd.read_csv(finished / "metrics.csv")
    for task in summaries.tasks(metrics):
        assert task in text
    assert "took no part in it: react" in text
    assert "stories & tales\\_1" in text
    if "my_run" in set(metrics["method"]):
        assert "my run" in text
    if metrics["seed"].nunique() == 1:
        assert "±" not in text
    assert not list((finished / "paper").glob(".*"))


def test_words_follow_the_numbers(tmp_path):
    folder = study(tmp_path, *STUDIES["small"])
    set_paper(folder)
    first = (folder / "paper" / "paper.typ").read_text(encoding="utf-8")
    assert "LoRA learned less and forgot less." in first
    metrics = pd.read_csv(folder / "metrics.csv")
    english = (metrics["evaluated_on"] == "english") & (metrics["metric"] == "bits_per_byte")
    metrics.loc[english & (metrics["method"] == "lora"), "value"] += 1.0
    metrics.to_csv(folder / "metrics.csv", index=False)
    set_paper(folder)
    second = (folder / "paper" / "paper.typ").read_text(encoding="utf-8")
    assert "LoRA learned less and forgot more." in second


def test_the_paper_repeats_byte_for_byte_from_any_folder(finished):
    result = set_paper(finished, output=str(finished / "again" / "other.pdf"))
    assert result.returncode == 0, result.stderr
    again = finished / "again"
    assert (again / "other.pdf").read_bytes() == (finished / "paper" / "paper.pdf").read_bytes()


def fails(folder: Path, **changes) -> str:
    result = set_paper(folder, output="failed/paper.pdf", **changes)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert not list((folder / "failed").glob("*")) if (folder / "failed").exists() else True
    return result.stderr


def test_what_is_missing_is_named_and_nothing_is_left(tmp_path):
    folder = study(tmp_path, *STUDIES["small"])
    for name in ("figures/scripts.svg", "tables/results.csv", "metrics.csv"):
        (folder / name).rename(folder / "away")
        assert name in fails(folder)
        (folder / "away").rename(folder / name)
    metrics = pd.read_csv(folder / "metrics.csv")
    metrics.drop(columns="unit").to_csv(folder / "metrics.csv", index=False)
    assert "'unit'" in fails(folder)
    metrics[metrics["method"] != "base"].to_csv(folder / "metrics.csv", index=False)
    assert "base" in fails(folder)


def test_faults_of_a_template_are_named_with_their_line(tmp_path):
    template = tmp_path / "t.typ.j2"
    for text, message in [
        ("fine\n<< absent >>\n", r"t\.typ\.j2:2.*absent"),
        ("fine\n<< 0.5 >>\n", "rounding filter"),
        ("<% if %>\n", r"t\.typ\.j2:1"),
    ]:
        template.write_text(text)
        with pytest.raises(UserError, match=message):
            render(template, {})
    with pytest.raises(UserError, match="no such template"):
        render(tmp_path / "absent.j2", {})


def test_a_document_that_does_not_compile_is_a_user_error(tmp_path):
    (tmp_path / "paper.typ").write_text("#nonsense()")
    with pytest.raises(UserError, match="nonsense"):
        compile_pages(tmp_path / "paper.typ")


def test_injected_words_are_text_not_markup(tmp_path):
    words = '*a* _b_ #c $d$ <e> @f [g] \\h `i` ~ // = - + "j" 日本'
    template = tmp_path / "t.typ.j2"
    template.write_text("<< words >> << words | code >>")
    (tmp_path / "t.typ").write_text(render(template, {"words": words}))
    assert compile_pages(tmp_path / "t.typ")
    assert "\\#c" in escape_typst(words)
    assert code('a"b\\') == '#raw("a\\"b\\\\")'


def test_undefined_is_never_silent():
    assert environment(TEMPLATE.parent).undefined is jinja2.StrictUndefined


def test_number_formats():
    assert estimated(Estimate(0.5, 0.01, 3), 2) == "0.50\u00a0±\u00a00.01"
    assert estimated(Estimate(0.5, float("nan"), 1), 2) == "0.50"
    assert [plain(value) for value in (0.001, 16, 3e-5)] == ["0.001", "16", "3 × 10⁻⁵"]
    labels = ["Full fine-tuning", "LoRA", "EWC", "Houlsby adapters", "Replay"]
    lowered = ["full fine-tuning", "LoRA", "EWC", "Houlsby adapters", "replay"]
    assert [lower_first(label) for label in labels] == lowered
