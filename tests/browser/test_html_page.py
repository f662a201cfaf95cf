"""The HTML page of a study, in a real browser, at the width of a phone and of a desktop."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import plausible_example
from chromium import Page, browser
from jadapt.analysis import (
    claim_verdicts,
    claims,
    dynamics,
    effects,
    rate_tables,
    summaries,
    tables,
    transfer_tables,
)
from jadapt.analysis.adapted_models import read_tables
from jadapt.figures import drawing, style

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("metrics", "efficiency", "curves", "corpora", "grid")
WIDTHS = (390, 1280)


def notebooks():
    """Return what the workflow tells the page about its notebooks."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["metadata"]["jadapt"]
        for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
    }


def write_study(folder):
    """Write the tables, figures and printed tables of a study of 15 methods."""
    plausible_example.write(folder)
    study = read_tables({name: folder / f"{name}.csv" for name in NAMES})
    verdicts = claim_verdicts.judge(
        claims.read(ROOT / "config" / "claims.yaml"), study, ["same_model"]
    )
    verdicts.to_csv(folder / "claims.csv", index=False)
    style.use()
    style.save(drawing.retention(study.metrics), folder / "figures" / "retention")
    style.save(drawing.convergence(study.curves), folder / "figures" / "convergence")
    printed = {
        "claims": claim_verdicts.printed_table(verdicts, claim_verdicts.MEASUREMENT),
        "convergence_statistics": dynamics.convergence_table(study.curves),
        "corpora": summaries.corpora_table(study.corpora),
        "effects": effects.effects_table(study.metrics),
        "learning_rates": rate_tables.learning_rates_table(study.grid),
        "results": summaries.results_table(study.metrics, study.efficiency),
        "transfer": transfer_tables.transfer_table(study.metrics),
    }
    for name, frame in printed.items():
        tables.save_table(frame, folder / "tables" / name, caption=name)
    return ["retention", "convergence", *printed]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study's folder with its page, made by the script as the workflow does it."""
    folder = tmp_path_factory.mktemp("study")
    made = write_study(folder)
    told = {name: facts for name, facts in notebooks().items() if name in made}
    assert len(told) == len(made)
    command = [sys.executable, str(ROOT / "scripts" / "render_page.py")]
    command += [f"--{name}={folder / name}.csv" for name in (*NAMES, "claims")]
    command += [f"--figures={folder / 'figures'}", f"--tables={folder / 'tables'}"]
    command += [f"--notebooks={json.dumps(told)}", f"--output={folder / 'index.html'}"]
    command += [f"--template={ROOT / 'paper' / 'html' / 'page.html.j2'}"]
    command += [f"--paper={ROOT / 'paper' / 'paper.typ.j2'}"]
    command += [f"--citation={ROOT / 'CITATION.cff'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def devtools(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as address:
        yield address


@pytest.fixture
def opened(study, devtools):
    pages = []

    def open_page(width=1280, **options):
        pages.append(Page(devtools, (study / "index.html").as_uri(), width=width, **options))
        return pages[-1]

    yield open_page
    for page in pages:
        assert page.problems == []
        page.close()


def test_the_page_is_one_file_that_loads_nothing_else(study, opened):
    page = opened()
    assert (study / "index.html").stat().st_size < 5_000_000
    assert {request.split(":")[0] for request in page.requests} == {"file", "data"}
    assert sum(request.startswith("file:") for request in page.requests) == 1
    text = (study / "index.html").read_text(encoding="utf-8")
    # It links to files beside it, and loads none of them.
    assert not re.findall(r"(?:src|<link[^>]* href)=\"(?!data:)[^\"]*\"", text)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_of_the_window(opened, tmp_path, width, dark):
    page = opened(width, dark=dark)
    page.box("footer")
    assert page.value("document.documentElement.scrollWidth") == width
    wide = page.value(
        "[...document.querySelectorAll('body *')].filter((e) => !e.closest('.scroll, nav, .skip')"
        f" && e.getBoundingClientRect().right > {width} + 1).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert wide == []
    assert page.value("[...document.images].every((i) => i.complete && i.naturalWidth > 100)")
    page.screenshot(tmp_path / "page.png")
    picture = Image.open(io.BytesIO((tmp_path / "page.png").read_bytes())).convert("L")
    assert picture.width == width and picture.height > 3000
    # The ground is dark or light as the reader wants it, and something stands on it.
    assert (picture.getpixel((2, 2)) < 60) is dark
    assert len(picture.getcolors(256) or range(256)) > 50


def test_words_stand_out_from_the_ground(opened):
    """Contrast of at least 4.5, as the accessibility guidelines (WCAG 2, AA) ask of text."""
    for dark in (False, True):
        page = opened(dark=dark)
        inks = ["ink", "quiet", "link", "good", "bad", "open"]
        colours = page.value(
            "(() => { const s = getComputedStyle(document.documentElement);"
            f"return Object.fromEntries({json.dumps(['ground', 'raised', *inks])}"
            ".map((n) => [n, s.getPropertyValue('--' + n).trim()])); })()"
        )
        for ground in ("ground", "raised"):
            for ink in inks:
                ratio = contrast(colours[ground], colours[ink])
                assert ratio >= 4.5, (dark, ground, ink, ratio)
        lines = page.value(
            "[...document.querySelectorAll('#chart .line')].map((e) => getComputedStyle(e).stroke)"
        )
        assert len(lines) == len(plausible_example.METHODS)
        if dark:
            for line in lines:
                rgb = "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", line))
                assert contrast(colours["ground"], rgb) >= 3, line


def contrast(one, two):
    """Return the contrast of two colours such as ``#0072b2`` by the definition of WCAG 2."""

    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def column(page, index):
    return page.value(
        f"[...document.querySelectorAll('#run-table tbody tr')].map((r) => "
        f"r.cells[{index}].dataset.value)"
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_runs_sort(opened, width):
    page = opened(width)
    before = column(page, 2)
    assert before[0] == "" and len(before) == 1 + 3 * len(plausible_example.METHODS)
    for wanted, order in (("ascending", 1), ("descending", -1)):
        page.click(*page.centre("#run-table th:nth-child(3) button"))
        numbers = [float(value) for value in column(page, 2) if value]
        assert numbers == sorted(numbers)[::order]
        assert column(page, 2)[-1] == ""
        sorted_by = "document.querySelector('#run-table th:nth-child(3)').ariaSort"
        assert page.value(sorted_by) == wanted
    page.click(*page.centre("#run-table th:nth-child(1) button"))
    assert column(page, 0) == sorted(column(page, 0), key=str.casefold)
    assert page.value("document.querySelectorAll('#run-table [aria-sort]').length") == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_curves_answer_to_the_pointer_and_to_keys(opened, width):
    page = opened(width)
    data = json.loads(page.value("document.getElementById('curves-data').textContent"))
    names = [method["label"] for method in data["methods"]]
    assert len(names) == len(plausible_example.METHODS)
    assert page.value("document.querySelectorAll('#chart .line').length") == len(names)
    assert page.value("document.getElementById('tip').hidden")
    box = page.box("#chart svg")
    page.point(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.6)
    assert not page.value("document.getElementById('tip').hidden")
    told = page.value("document.getElementById('tip').textContent")
    label, values = told.split(": ")
    mean = float(values.split(" ")[0])
    line = data["losses"][0]["lines"][names.index(label)]
    assert any(abs(point[1] - mean) < 6e-4 for point in line["points"])
    assert page.value("document.querySelectorAll('#chart .line.near').length") == 1
    page.point(box["x"] + box["width"] / 2, box["y"] + box["height"] + 60)
    assert page.value("document.getElementById('tip').hidden")
    page.value("document.querySelector('#chart svg').focus()")
    page.press("ArrowRight")
    first = page.value("document.getElementById('said').textContent")
    page.press("ArrowRight")
    second = page.value("document.getElementById('said').textContent")
    page.press("ArrowDown")
    third = page.value("document.getElementById('said').textContent")
    assert first.split(":")[0] == second.split(":")[0] != third.split(":")[0]
    assert first != second


def test_methods_and_losses_of_the_chart_can_be_chosen(opened):
    page = opened()
    lines = "document.querySelectorAll('#chart .line').length"
    everything = page.value(lines)
    page.click(*page.centre("#legend label:nth-of-type(2) input"))
    assert page.value(lines) == everything - 1
    label = "document.querySelector('#chart svg').getAttribute('aria-label')"
    before = page.value(label)
    page.value(
        "(() => { const s = document.getElementById('loss'); s.value = '1';"
        "s.dispatchEvent(new Event('change')); })()"
    )
    assert page.value(label) != before


def test_every_verdict_leads_to_its_runs(opened):
    page = opened()
    broken = page.value(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map((a) => a.hash.slice(1))"
        ".filter((id) => !document.getElementById(id))"
    )
    assert broken == []
    claim = "#claim-retention_order"
    linked = page.value(f"document.querySelectorAll('{claim} a').length")
    assert linked == 6
    page.click(*page.centre(f"{claim} summary"))
    page.click(*page.centre(f"{claim} a"))
    assert page.value("location.hash") == "#run-lora-1"
    top = page.value("document.querySelector('#run-lora-1').getBoundingClientRect().top")
    assert 0 <= top < 900


def test_the_ledger_shows_one_verdict_if_asked(opened):
    page = opened()
    shown = (
        "[...new Set([...document.querySelectorAll('.ledger tbody tr:not([hidden])')]"
        ".map((r) => r.dataset.verdict))]"
    )
    assert len(page.value(shown)) == 3
    page.value(
        "(() => { const s = document.getElementById('verdict'); s.value = 'not reproduced';"
        "s.dispatchEvent(new Event('change')); })()"
    )
    assert page.value(shown) == ["not reproduced"]


def test_the_first_column_stays_in_view_on_a_phone(opened):
    page = opened(390)
    left = page.value(
        "(() => { const box = document.querySelector('#results .scroll'); box.scrollLeft = 200;"
        "const cell = box.querySelector('tbody td'); return [box.scrollLeft,"
        " cell.getBoundingClientRect().left - box.getBoundingClientRect().left]; })()"
    )
    assert left[0] > 0 and 0 <= left[1] < 5


def test_findings_and_a_figure_come_before_any_table(opened):
    page = opened()
    order = page.value(
        "[...document.querySelectorAll('.headline p, figure, table')].map((e) => e.tagName)"
    )
    assert order[0] == "P"
    assert order.index("P") < order.index("FIGURE") < order.index("TABLE")
