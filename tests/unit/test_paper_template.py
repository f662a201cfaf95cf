"""The paper's text: no number typed by hand, every citation known, and true for any study."""

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
import pytest
import typst
from jinja2 import nodes
from PIL import Image

import released_example
import reporting_example as example
from jadapt.errors import UserError
from jadapt.files import load_settings
from jadapt.reporting import (
    claims,
    comparisons,
    dynamics,
    effects,
    ledger,
    paper,
    quality,
    rates,
    runs,
    search,
    segmentation,
    summaries,
    tables,
    tokenization,
)
from jadapt.reporting.present import escape_typst
from jadapt.reporting.statistics import Estimate
from jadapt.reporting.template import (
    Typst,
    code,
    compile_pages,
    environment,
    estimated,
    lower_first,
    p_value,
    plain,
    render,
)

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "paper" / "paper.typ.j2"
PARTS = [TEMPLATE, *sorted((ROOT / "paper" / "sections").glob("*.typ.j2"))]
CLAIMS = ROOT / "config" / "claims.yaml"
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


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_no_number_is_typed_by_hand(part):
    assert typed_numbers(part.read_text(encoding="utf-8")) == []


def test_every_part_is_included():
    text = "".join(part.read_text(encoding="utf-8") for part in PARTS)
    named = set(re.findall(r'"sections/([\w.]+)"', text))
    assert named == {part.name for part in PARTS[1:]}


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
    text = "".join(part.read_text(encoding="utf-8") for part in PARTS)
    text = re.sub(r"<#.*?#>", "", text, flags=re.DOTALL)
    cited = set(re.findall(r"@([a-z][a-z-]*)", text))
    cited = {key for key in cited if not key.startswith(("fig-", "tab-", "eq-"))}
    assert cited == set(entries())


@pytest.mark.parametrize("key", entries())
def test_entries_are_complete(key):
    kind, fields = entries()[key]
    needed = {"article": ["journal"], "inproceedings": ["booktitle"], "misc": ["publisher"]}[kind]
    for field in ["author", "title", "year", *needed]:
        assert re.search(rf"^\s*{field}\s*= \{{.+\}},?$", fields, re.MULTILINE), field


SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="200">'
    '<rect width="400" height="200" fill="#888"/></svg>'
)
FIGURES = (
    "convergence", "forgetting", "scripts", "script_bits", "retention", "pareto", "ablations",
    "fertility",
)  # fmt: skip
ALL = ["sft", "lora", "dora", "houlsby", "prefix", "den", "replay", "l2", "ewc", "online_ewc"]
ALL += ["gem", "agem", "lora_replay", "lora_ewc", "joint"]
FISHER = {"strength": 100.0, "fisher": "sampled", "rows": 4, "draws": 1}
MEMORY = {"memory_rows": 8, "batch_rows": 2}
CONTINUAL = {
    "replay": {"replay": {"ratio": 0.25, "memory_rows": 8}},
    "l2": {"l2": {"strength": 0.1}},
    "ewc": {"ewc": FISHER},
    "online_ewc": {"online_ewc": {**FISHER, "decay": 0.9}},
    "gem": {"gem": {**MEMORY, "margin": 0.0}},
    "agem": {"agem": MEMORY},
    "lora_replay": {"replay": {"ratio": 0.25, "memory_rows": 8}},
    "lora_ewc": {"ewc": FISHER},
    "joint": {"joint": {}},
}


def configured(methods) -> dict:
    """Return the configuration of a study of these runs; one it does not know stays unknown."""
    given = {"learning_rate": [0.0005, 0.001, 0.002]}
    low_rank = {**example.SETTINGS["methods"]["lora"], **given}
    entries = {}
    for name in methods:
        if name == "lora" or name.startswith("lora_"):
            entries[name] = dict(low_rank)
        elif name in ("dora", "houlsby", "prefix", "den"):
            entries[name] = {"method": name, **given, "size": 8}
        elif name == "sft" or name in CONTINUAL:
            entries[name] = {"method": "sft", **given}
        if name in CONTINUAL:
            entries[name]["continual"] = CONTINUAL[name]
    return {**example.SETTINGS, "search": {"seeds": [0]}, "methods": entries}


def study(folder: Path, methods, seeds, tasks, searched=True) -> Path:
    """Write the tables, figures and printed tables of a made-up study."""
    example.write(folder, methods, seeds, tasks)
    (folder / "settings.json").write_text(json.dumps(configured(methods)))
    runs_of = [("base", 1), *((method, seed) for method in methods for seed in seeds)]
    made = released_example.manifest(folder, {"study": "example", "sequence": tasks}, runs_of)
    (folder / "manifest.json").write_text(json.dumps(made))
    (folder / "figures").mkdir()
    for name in FIGURES if searched else FIGURES[:5]:
        (folder / "figures" / f"{name}.svg").write_text(SVG)
    metrics = tables.read_metrics(folder / "metrics.csv")
    efficiency = tables.read_efficiency(folder / "efficiency.csv")
    printed = {
        "results": summaries.results_table(metrics, efficiency),
        "efficiency": summaries.efficiency_table(efficiency),
        "corpora": summaries.corpora_table(tables.read_corpora(folder / "corpora.csv")),
        "transfer": quality.transfer_table(metrics),
        "effects": effects.effects_table(metrics),
        "convergence_statistics": dynamics.convergence_table(
            tables.read_curves(folder / "curves.csv")
        ),
    }
    verdicts = ledger.judge(claims.read(CLAIMS), measured(methods, seeds, tasks, searched))
    verdicts.to_csv(folder / "claims.csv", index=False)
    for name, kind in (("claims", ledger.MEASUREMENT), ("claims_arithmetic", ledger.ARITHMETIC)):
        printed[name] = ledger.printed_table(verdicts, kind)
    if searched:
        grid = tables.read_grid(folder / "grid.csv")
        printed["methods"] = quality.methods_table(efficiency, grid)
        printed["learning_rates"] = rates.learning_rates_table(grid)
        measured_words = tables.read_segmentation(folder / "segmentation.csv")
        printed["segmentation"] = segmentation.segmentation_table(measured_words)
        cut = tables.read_tokenizers(folder / "tokenizers.csv")
        printed["tokenizers"] = tokenization.tokenizers_table(cut)
    else:
        (folder / "grid.csv").unlink()
        (folder / "segmentation.csv").unlink()
        (folder / "tokenizers.csv").unlink()
    for name, frame in printed.items():
        tables.save_table(frame, folder / "tables" / name, caption=name)
    return folder


def set_paper(
    folder: Path, output: str = "paper/paper.pdf", **changes
) -> subprocess.CompletedProcess:
    """Run the script with relative paths, as the workflow does."""
    names = ("metrics", "efficiency", "curves", "corpora", "grid", "segmentation", "tokenizers")
    options = {name: f"{name}.csv" for name in names}
    for name in ("grid", "segmentation", "tokenizers"):
        if not (folder / f"{name}.csv").exists():
            del options[name]
    options |= {"figures": "figures", "tables": "tables", "study": "example_1"}
    options |= {"template": TEMPLATE, "bibliography": BIBLIOGRAPHY, "output": output}
    options |= {"settings": "settings.json", "claims": "claims.csv", "sources": CLAIMS}
    options |= {"manifest": "manifest.json"} | changes
    command = [sys.executable, str(ROOT / "scripts" / "render_paper.py")]
    command += [f"--{name}={value}" for name, value in options.items()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


STUDIES = {
    "small": (["sft", "lora"], [1, 2], ["everyday"]),
    "large": ([*ALL, "my_run"], [1, 2, 3], ["everyday", "cloud", "devdocs"]),
    "single": (["lora"], [7], ["everyday"]),
    "unsearched": (["sft", "lora", "lora_replay"], [1], ["everyday", "cloud"], False),
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
        # Ablations have seeds of their own.
        assert "±" not in text.split("== Ablations")[0]
    assert not list((finished / "paper").glob(".*"))


def test_words_follow_the_numbers(tmp_path):
    folder = study(tmp_path, *STUDIES["small"])
    assert set_paper(folder).returncode == 0
    first = (folder / "paper" / "paper.typ").read_text(encoding="utf-8")
    assert "LoRA learned less and forgot less." in first
    metrics = pd.read_csv(folder / "metrics.csv")
    english = (metrics["evaluated_on"] == "english") & (metrics["metric"] == "bits_per_byte")
    metrics.loc[english & (metrics["method"] == "lora"), "value"] += 1.0
    metrics.to_csv(folder / "metrics.csv", index=False)
    set_paper(folder)
    second = (folder / "paper" / "paper.typ").read_text(encoding="utf-8")
    assert "LoRA learned less and forgot more." in second


def test_the_paper_repeats_byte_for_byte_from_any_folder(tmp_path):
    folder = study(tmp_path, *STUDIES["single"])
    set_paper(folder)
    result = set_paper(folder, output=str(folder / "again" / "other.pdf"))
    assert result.returncode == 0, result.stderr
    again = folder / "again" / "other.pdf"
    assert again.read_bytes() == (folder / "paper" / "paper.pdf").read_bytes()


# Headings and leading words of what a study has or lacks.
SEARCHED = ("== Learning rates and the front", "== Ablations", "tab-rates", "tab-methods")
COMPOSED = ("== Strategies against forgetting", "*The bound.*", "*GEM*", "*EWC*", "*DEN*")
SEQUENCE = ("== Transfer between tasks", "*Sequence.*")


@pytest.mark.parametrize(
    ("name", "there", "absent"),
    [
        ("small", SEARCHED, COMPOSED + SEQUENCE),
        ("large", SEARCHED + COMPOSED + SEQUENCE, ()),
        ("unsearched", (*SEQUENCE, "*Replay*"), (*SEARCHED, "*GEM*")),
    ],
)
def test_the_text_has_what_the_study_has(name, there, absent):
    text = rendered(*STUDIES[name][:3], searched=name != "unsearched")
    for words in there:
        assert words in text, words
    for words in absent:
        assert words not in text, words
    # No chapter is empty, and nothing that should have been named is missing between commas.
    assert not re.search(r"^== [^\n]*\n+=", text, re.MULTILINE)
    assert " ," not in text and "for ;" not in text and "()" not in text


def measured(methods, seeds, tasks, searched=True) -> paper.Tables:
    made = [example.metrics, example.efficiency, example.curves]
    frames = [make(list(methods), list(seeds), list(tasks)) for make in made]
    corpora = example.corpora(list(tasks))
    grid = example.grid(list(methods), list(tasks)) if searched else None
    if searched:
        grid["selected"] = grid["selected"] == "true"
        words = example.segmentation(gold=len(methods) > 2)
        words["gold"] = words["gold"] == "true"
    return paper.Tables(*frames, corpora, grid, words if searched else None)


def text_of(found: paper.Tables, methods) -> str:
    literature = load_settings(str(ROOT / "paper" / "literature.yaml"))
    context = paper.context(found, configured(methods), literature)
    context["ledger"] = ledger.summary(
        ledger.judge(claims.read(CLAIMS), found), claims.read_sources(CLAIMS)
    )
    stubs = {"study": "s", "figure": lambda *a: Typst("[]"), "table": lambda *a: Typst("[]")}
    return render(TEMPLATE, context | stubs)


def rendered(methods, seeds, tasks, searched=True) -> str:
    return text_of(measured(methods, seeds, tasks, searched), methods)


def test_a_run_that_diverged_is_named_and_compared_with_nothing():
    methods = ["sft", "lora", "dora"]
    found = measured(methods, [1, 2], ["everyday"])
    lost = (found.metrics["method"] == "dora") & (found.metrics["seed"] == 2)
    found.metrics.loc[lost, "value"] = float("nan")
    text = text_of(found, methods)
    assert "Training diverged, for at least one seed, with DoRA" in text
    assert "DoRA (" not in text
    found.metrics.loc[found.metrics["method"] == "sft", "value"] = float("nan")
    assert "with full fine\\-tuning and DoRA" in text_of(found, methods)


def test_chosen_rates_at_an_end_are_told():
    methods = ["sft", "lora"]
    found = measured(methods, [1, 2], ["everyday"])
    assert "Every choice lies inside its grid." in text_of(found, methods)
    rates_of_lora = (found.grid["method"] == "lora") & (found.grid["ablation"] == "")
    found.grid.loc[rates_of_lora, "selected"] = found.grid["learning_rate"] == 0.0005
    text = text_of(found, methods)
    assert "at an end of its grid for LoRA (the lowest rate)" in text
    assert "Training diverged at 0.002 with LoRA." in text


def test_a_method_that_is_told_the_task_is_reported_both_ways():
    methods = ["sft", "den"]
    found = measured(methods, [1, 2], ["everyday"])
    bits = found.metrics[
        (found.metrics["method"] == "den") & (found.metrics["metric"] == "bits_per_byte")
    ]
    without = bits.assign(metric="bits_per_byte_without_task", value=bits["value"] + 0.25)
    home = (found.metrics["evaluated_on"] == "english") & (found.metrics["method"] == "den")
    found.metrics.loc[home & (found.metrics["metric"] == "bits_per_byte"), "value"] = 2.0
    found = replace(found, metrics=pd.concat([found.metrics, without]))
    (den,) = [m for m in runs.methods(found, configured(methods)) if m.name == "den"]
    assert den.loss.mean == 0
    assert den.without_task[1].mean == pytest.approx(0.2 + 0.005 + 0.25)
    assert "loses nothing at all of English when it is told the task" in text_of(found, methods)
    leaders = comparisons.leaders(runs.methods(found, configured(methods)))
    assert [method.name for method in leaders["least_forgotten"]] == ["sft"]


def test_text_and_table_hold_the_same_corrected_p():
    found = measured(ALL, [1, 2, 3], ["everyday"])
    draw = np.random.default_rng(1)
    bits = found.metrics["metric"] == "bits_per_byte"
    found.metrics.loc[bits, "value"] += draw.normal(0, 0.05, bits.sum())
    methods = runs.methods(found, configured(ALL))
    table = quality.transfer_table(found.metrics).set_index("method")
    compared = comparisons.compare(methods, methods[0])
    assert comparisons.tests_made(compared) == 2 * (len(ALL) - 1)
    for item in compared:
        assert item.gain_p == pytest.approx(table.loc[item.method.name, "gain_p"])
        assert item.loss_p == pytest.approx(table.loc[item.method.name, "loss_p"])
        if item.gain_p > 0.05:
            assert item.learned == "same"
    composed = comparisons.compositions(methods, methods[0])
    assert [(c.method.name, c.reference.name) for c in composed] == [
        ("lora_replay", "lora"),
        ("lora_ewc", "lora"),
    ]


def test_the_front_is_what_nothing_dominates():
    points = pd.DataFrame(
        [
            ("a", 0.1, 1.0, 3.0),
            ("a", 0.2, 2.0, 2.0),
            ("b", 0.1, 2.0, 2.5),
            ("b", 0.2, 3.0, 1.0),
            ("c", 0.1, 3.0, 1.0),
        ],
        columns=["method", "learning_rate", "task", "home"],
    )
    # Equal points do not dominate each other.
    assert list(search.front(points).index) == [0, 1, 3, 4]
    assert search.beaten(points, "b", "a") == (1, 2)
    assert search.beaten(points, "a", "b") == (0, 2)


@pytest.mark.parametrize(
    ("values", "word"),
    [([3, 2, 1], "falls"), ([1, 2, 3], "rises"), ([1, 1, 2], "neither"), ([1], "neither")],
)
def test_trends(values, word):
    assert search.trend(values) == word


def test_ablations_say_what_the_grid_says():
    found = measured(["sft", "lora"], [1, 2], ["everyday"])
    (ranks,) = search.ablations(found.grid, "english", "everyday")
    assert [v.value for v in ranks.variants] == ["2", "8", "32"]
    assert (ranks.best.value, ranks.worst.value) == ("32", "2")
    assert ranks.difference.mean == pytest.approx(0.25)
    assert (ranks.task_trend, ranks.home_trend) == ("falls", "rises")
    assert ranks.variants[2].parameters == 3200
    lost = (found.grid["variant"] == "32") & (found.grid["metric"] == "bits_per_byte")
    found.grid.loc[lost, "value"] = float("nan")
    (ranks,) = search.ablations(found.grid, "english", "everyday")
    assert (ranks.best.value, ranks.task_trend) == ("8", "neither")
    assert "no learning rate led to a finite result" in text_of(found, ["sft", "lora"])


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
    assert (p_value(0.0123), p_value(0.0)) == ("#box($p = 0.012$)", "#box($p < 0.001$)")
    labels = ["Full fine-tuning", "LoRA", "EWC", "Houlsby adapters", "Replay", "L2", "A-GEM"]
    lowered = [
        "full fine-tuning",
        "LoRA",
        "EWC",
        "Houlsby adapters",
        "replay",
        "L2",
        "A-GEM",
    ]
    assert [lower_first(label) for label in labels] == lowered
