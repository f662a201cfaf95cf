"""What the HTML page of a study is made of; `tests/browser` opens it."""

import base64
import json
import re
from pathlib import Path

import pandas as pd
import pytest

import plausible_example
from jadapt.analysis import labels
from jadapt.analysis.adapted_models import read_tables
from jadapt.core.errors import UserError
from jadapt.core.tables import CLAIMS
from jadapt.figures import style
from jadapt.paper import page

ROOT = Path(__file__).resolve().parents[3]
TEMPLATE = ROOT / "paper" / "html" / "page.html.j2"
NAMES = ("metrics", "efficiency", "curves", "corpora", "grid")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = plausible_example.write(tmp_path_factory.mktemp("plausible"), seeds=(1, 2))
    return read_tables({name: folder / f"{name}.csv" for name in NAMES})


def test_curves_are_the_means_of_the_table(study):
    data = page.curve_data(study.curves)
    titles = [loss["title"] for loss in data["losses"]]
    assert titles == ["Training loss", "Validation loss, task", "Validation loss, English"]
    names = [method["label"] for method in data["methods"]]
    line = data["losses"][1]["lines"][names.index("LoRA")]
    rows = study.curves.query("method == 'lora' and metric == 'validation_loss'")
    first = rows.query("task == 'everyday' and step == 50")["value"]
    tokens, mean, half = line["points"][1]
    assert tokens == 50 * 2048
    assert mean == pytest.approx(first.mean(), abs=1e-4)
    assert half > 0
    # Tokens count on over the tasks.
    seen = [point[0] for point in line["points"]]
    assert seen == sorted(seen) and seen[-1] == 3 * 250 * 2048
    assert [task for task, _ in data["tasks"]] == plausible_example.TASKS


def test_curves_leave_out_what_is_not_finite_and_say_when_there_is_no_interval(study):
    curves = study.curves.query("seed == 1").copy()
    lost = (curves["method"] == "lora") & (curves["step"] > 100)
    curves.loc[lost, "value"] = float("nan")
    data = page.curve_data(curves)
    json.dumps(data, allow_nan=False)
    names = [method["label"] for method in data["methods"]]
    line = data["losses"][1]["lines"][names.index("LoRA")]
    assert 0 < len(line["points"]) < len(data["losses"][1]["lines"][0]["points"])
    assert {half for *_, half in line["points"]} == {None}


def test_runs_have_what_the_tables_say(study):
    rows = page.run_rows(study)
    assert [row["name"] for row in rows[:2]] == ["base", "sft"]
    assert len(rows) == 1 + 2 * len(plausible_example.METHODS)
    lora = next(row for row in rows if (row["name"], row["seed"]) == ("lora", 2))
    cells = {
        column["title"]: cell["value"]
        for column, cell in zip(page.RUN_COLUMNS, lora["cells"], strict=True)
    }
    assert [column["numeric"] for column in page.RUN_COLUMNS] == [
        cell["number"] for cell in lora["cells"]
    ]
    cost = study.efficiency.query("method == 'lora' and seed == 2").iloc[0]
    assert cells["Memory, MiB"] == cost["peak_memory_mib"]
    assert cells["Folder"] == "results/plausible/runs/lora/seed2"
    # The base model gained nothing against itself: an empty value, which sorts last.
    assert rows[0]["cells"][2] == {"words": "–", "value": "", "number": True, "code": False}


def test_claims_lead_to_their_runs():
    frame = pd.DataFrame(
        [dict.fromkeys(CLAIMS.header, "x") | {"digits": 2, "value": 1.0, "half_width": 0.5}]
    ).assign(runs="lora/1 lora/2 sft/1", relation="above", expected=0.0, unit="%")
    (row,) = page.claim_rows(frame)
    assert row["runs"] == [("lora", ["1", "2"]), ("sft", ["1"])]
    assert (row["claimed"], row["here"]) == ("> 0 %", "1.00 ± 0.50 %")


def test_a_large_drawing_becomes_a_picture(tmp_path):
    style.use()
    figure = style.message("words")
    style.save(figure, tmp_path / "fig")
    found = page.picture(tmp_path / "fig")
    kind, data = re.fullmatch(r"data:([a-z/+]+);base64,(.*)", found["source"]).groups()
    assert kind == "image/svg+xml"
    assert base64.b64decode(data) == (tmp_path / "fig.svg").read_bytes()
    with open(tmp_path / "fig.svg", "a") as stream:
        stream.write(" " * page.LARGEST_DRAWING)
    assert page.picture(tmp_path / "fig")["source"].startswith("data:image/png;")
    (tmp_path / "fig.png").unlink()
    with pytest.raises(UserError, match=r"fig\.png: no such figure"):
        page.picture(tmp_path / "fig")


@pytest.mark.parametrize("name", [*labels.known_runs(), "lora_replay", "houlsby_gem"])
def test_colours_show_on_a_dark_page(name):
    colour = page.on_dark(style.look_of(name).colour)
    assert re.fullmatch("#[0-9a-f]{6}", colour)
    brightest = max(int(colour[at : at + 2], 16) for at in (1, 3, 5))
    assert brightest > 110
    assert page.on_dark("#ffffff") == "#ffffff"


def test_the_page_begins_with_what_was_found(study):
    worse, helped = page.headline(study)
    assert worse.startswith(("Every run ends better", "What got worse comes first"))
    assert re.search(r"\d of \d|all \d+ cases", helped)


def test_figures_stand_in_the_order_of_the_paper(tmp_path):
    order = page.figures_of(ROOT / "paper" / "paper.typ.j2")
    assert order.index("forgetting") < order.index("retention") < order.index("convergence")
    assert page.ordered(["ablations", "mine", "forgetting"], order) == [
        "forgetting", "ablations", "mine"
    ]  # fmt: skip
    (tmp_path / "paper.typ.j2").write_text('<% include "sections/gone.typ.j2" %>')
    with pytest.raises(UserError, match=r"gone\.typ\.j2: no such template"):
        page.figures_of(tmp_path / "paper.typ.j2")


def test_words_from_tables_are_text_on_the_page(tmp_path, study):
    """A source whose name holds markup must not become markup."""
    folder = tmp_path / "html"
    folder.mkdir()
    for name in ("page.css", "page.js"):
        (folder / name).write_text((TEMPLATE.parent / name).read_text(encoding="utf-8"))
    (folder / "page.html.j2").write_text("{{ words }} {{ {'a': words} | tojson }}")
    text = page.render(folder / "page.html.j2", {"words": "</script><b>&"})
    assert "<" not in text.replace("\\u003c", "")
    with pytest.raises(UserError, match="'absent' is undefined"):
        (folder / "page.html.j2").write_text("{{ absent }}")
        page.render(folder / "page.html.j2", {})
    (folder / "page.js").unlink()
    with pytest.raises(UserError, match=r"page\.js: no such file"):
        page.render(folder / "page.html.j2", {})
