"""The paper's template: no number typed by hand, every citation known, faults named."""

import re

import jinja2
import pytest
from jinja2 import nodes

from jadapt.analysis import labels
from jadapt.analysis.markup import escape_typst
from jadapt.analysis.printing import agreeing_digits, estimated, fixed, p_value, plain
from jadapt.analysis.statistics import Estimate
from jadapt.core.errors import UserError
from jadapt.paper.template import code, compile_pages, environment, lower_first, render
from paper_example import BIBLIOGRAPHY, ROOT, TEMPLATE

PARTS = [TEMPLATE, *sorted((ROOT / "paper" / "sections").glob("*.typ.j2"))]

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


@pytest.mark.parametrize("key", labels.declared())
def test_no_number_is_typed_into_what_a_method_says_of_itself(key):
    assert typed_numbers(labels.declared()[key].paragraph) == []


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
        '<< n("lora.gain") >>',
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
    text += "".join(declared.paragraph for declared in labels.declared().values())
    text = re.sub(r"<#.*?#>", "", text, flags=re.DOTALL)
    cited = set(re.findall(r"@([a-z][a-z-]*)", text))
    cited = {key for key in cited if not key.startswith(("app-", "fig-", "tab-", "eq-"))}
    assert cited == set(entries())


# Known by author, title and place, but at no address that could be looked up.
NO_ADDRESS = {"holm", "ud-japanese", "unidic"}


@pytest.mark.parametrize("key", sorted(set(entries()) - NO_ADDRESS))
def test_entries_lead_somewhere(key):
    _, fields = entries()[key]
    assert re.search(r"^\s*(url\s*= \{https://|doi\s*= \{10\.)", fields, re.MULTILINE)


@pytest.mark.parametrize("key", entries())
def test_entries_are_complete(key):
    kind, fields = entries()[key]
    needed = {"article": ["journal"], "inproceedings": ["booktitle"], "misc": ["publisher"]}[kind]
    for field in ["author", "title", "year", *needed]:
        assert re.search(rf"^\s*{field}\s*= \{{.+\}},?$", fields, re.MULTILINE), field


def test_faults_of_a_template_are_named_with_their_line(tmp_path):
    template = tmp_path / "t.typ.j2"
    for text, message in [
        ("fine\n<< absent >>\n", r"t\.typ\.j2:2.*absent"),
        ("fine\n<< 0.5 >>\n", r"t\.typ\.j2:2: the number 0\.5 has no name"),
        ("<< '16' >>\n", "has no name"),
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
    assert (p_value(0.0123), p_value(0.0)) == ("= 0.012", "< 0.001")
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


def test_a_printed_difference_is_that_of_the_printed_values():
    """Printed as 0.006 between 2.003 and 1.996, before."""
    first, second = 2.0026, 1.9962
    digits = agreeing_digits(first, second, first - second)
    ends = (float(fixed(value, digits)) for value in (first, second))
    assert fixed(first - second, digits) == fixed(next(ends) - next(ends), digits) == "0.0064"
    assert agreeing_digits(2.003, 1.996, 0.007) == 3


def test_prose_does_not_call_cleaned_text_raw():
    text = "".join(part.read_text(encoding="utf-8") for part in PARTS if part.stem != "tokens.typ")
    assert not re.search(r"raw (<< names\.bytes >> )?text, and report|of raw <<", text)
