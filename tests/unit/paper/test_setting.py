"""The script that sets the paper: what it writes, from what, and how it fails."""

import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import typst
from PIL import Image

from jadapt.analysis import summaries
from jadapt.paper.template import compile_pages
from paper_example import STUDIES, set_paper, study


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


def whereabouts(folder: Path) -> dict:
    """Return the pages on which the parts, figures and mentions of a paper stand."""
    from matplotlib_fontja import get_font_path

    found = typst.query(
        folder / "paper" / "paper.typ",
        "<whereabouts>",
        field="value",
        one=True,
        font_paths=[get_font_path()],
        ignore_system_fonts=True,
    )
    return json.loads(found)


def test_the_body_has_nine_pages_at_most_and_the_appendix_follows(finished):
    pages = whereabouts(finished)
    assert 2 <= pages["body"] <= 9
    assert pages["body"] < pages["appendix"] <= pages["last"]
    assert dict(pages["figures"])["fig-forgetting"] == 1


def test_every_figure_stands_near_to_where_it_is_spoken_of(finished):
    pages = whereabouts(finished)
    for name, place in pages["figures"]:
        mentions = [page for target, page in pages["mentions"] if target == name]
        assert mentions, name
        assert min(abs(page - place) for page in mentions) <= 1, name


def test_pictures_and_formulas_have_words(finished):
    """Typst refuses the rest of PDF/UA-1 itself."""
    text = (finished / "paper" / "paper.typ").read_text(encoding="utf-8")
    images = re.findall(r"image\([^\n]*\)", text)
    assert images and all(re.search(r'alt: "[^"]{40,}"', image) for image in images)
    pdf = (finished / "paper" / "paper.pdf").read_bytes()
    assert b"/MarkInfo" in pdf and b"/Lang" in pdf and b"pdfuaid" in pdf
    assert b"continual learning" in pdf


def test_a_figure_without_words_is_named(tmp_path):
    folder = study(tmp_path, *STUDIES["small"])
    (folder / "notebooks.json").write_text("{}")
    assert "notebooks/forgetting.ipynb: no 'alt' in its metadata" in fails(folder)


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
