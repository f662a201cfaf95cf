"""Made-up studies and their papers: as files that the script sets, and as text only."""

import io
import json
import subprocess
import sys
from pathlib import Path

import released_example
import reporting_example as example
from jadapt.analysis import (
    adapted_models,
    claim_verdicts,
    claims,
    dynamics,
    effects,
    rate_tables,
    segmentation_tables,
    summaries,
    tables,
    tokenizer_tables,
    transfer_tables,
)
from jadapt.core import notebooks
from jadapt.core.files import load_settings
from jadapt.core.tables import CORPORA
from jadapt.paper import context, front_matter, values
from jadapt.paper.template import Typst, render, speaking

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "paper" / "paper.typ.j2"
CLAIMS = ROOT / "config" / "claims.yaml"
BIBLIOGRAPHY = ROOT / "paper" / "references.bib"

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="450pt" height="300pt">'
    '<rect width="450" height="300" fill="#888"/></svg>'
)
FIGURES = (
    "convergence", "forgetting", "scripts", "script_bits", "retention", "pareto", "ablations",
    "fertility",
)  # fmt: skip
ALL = ["sft", "lora", "dora", "houlsby", "prefix", "den", "replay", "l2", "ewc", "online_ewc"]
ALL += ["gem", "agem", "lora_replay", "lora_ewc", "joint"]
FISHER = {"strength": 100.0, "fisher": "sampled", "rows": 64, "draws": 1}
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
STUDIES = {
    "small": (["sft", "lora"], [1, 2], ["everyday"]),
    "large": ([*ALL, "my_run"], [1, 2, 3], ["everyday", "cloud", "devdocs"]),
    "single": (["lora"], [7], ["everyday"]),
    "unsearched": (["sft", "lora", "lora_replay"], [1], ["everyday", "cloud"], False),
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
    (folder / "notebooks.json").write_text(json.dumps(notebooks.declared(ROOT / "notebooks")))
    (folder / "figures").mkdir()
    for name in FIGURES if searched else FIGURES[:5]:
        (folder / "figures" / f"{name}.svg").write_text(SVG)
    metrics = tables.read_metrics(folder / "metrics.csv")
    efficiency = tables.read_efficiency(folder / "efficiency.csv")
    printed = {
        "results": summaries.results_table(metrics, efficiency),
        "efficiency": summaries.efficiency_table(efficiency),
        "corpora": summaries.corpora_table(tables.read_corpora(folder / "corpora.csv")),
        "transfer": transfer_tables.transfer_table(metrics),
        "effects": effects.effects_table(metrics),
        "convergence_statistics": dynamics.convergence_table(
            tables.read_curves(folder / "curves.csv")
        ),
    }
    verdicts = claim_verdicts.judge(claims.read(CLAIMS), measured(methods, seeds, tasks, searched))
    verdicts.to_csv(folder / "claims.csv", index=False)
    for name, kind in (
        ("claims", claim_verdicts.MEASUREMENT),
        ("claims_arithmetic", claim_verdicts.ARITHMETIC),
    ):
        printed[name] = claim_verdicts.printed_table(verdicts, kind)
    if searched:
        grid = tables.read_grid(folder / "grid.csv")
        printed["methods"] = transfer_tables.methods_table(efficiency, grid)
        printed["learning_rates"] = rate_tables.learning_rates_table(grid)
        printed["variants"] = rate_tables.variants_table(grid)
        measured_words = tables.read_segmentation(folder / "segmentation.csv")
        printed["segmentation"] = segmentation_tables.segmentation_table(measured_words)
        cut = tables.read_tokenizers(folder / "tokenizers.csv")
        printed["tokenizers"] = tokenizer_tables.tokenizers_table(cut)
    else:
        (folder / "grid.csv").unlink()
        (folder / "segmentation.csv").unlink()
        (folder / "tokenizers.csv").unlink()
    for name, frame in printed.items():
        tables.save_table(frame, folder / "tables" / name, caption=name)
    paths = {name: folder / f"{name}.csv" for name in tables.READERS}
    values.collect(
        adapted_models.read_tables({name: path for name, path in paths.items() if path.exists()}),
        configured(methods),
        load_settings(str(ROOT / "paper" / "literature.yaml")),
        tables.read_claims(folder / "claims.csv"),
        claims.read_sources(CLAIMS),
        made,
    ).write(folder / "numbers.csv")
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
    options |= {"notebooks": "notebooks.json", "citation": ROOT / "CITATION.cff"}
    options |= {"manifest": "manifest.json", "numbers": "numbers.csv"} | changes
    command = [sys.executable, str(ROOT / "scripts" / "render_paper.py")]
    command += [f"--{name}={value}" for name, value in options.items()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def measured(methods, seeds, tasks, searched=True) -> context.Tables:
    made = [example.metrics, example.efficiency, example.curves]
    frames = [make(list(methods), list(seeds), list(tasks)) for make in made]
    corpora = CORPORA.read(io.StringIO(example.corpora(list(tasks)).to_csv(index=False)))
    grid = example.grid(list(methods), list(tasks)) if searched else None
    if searched:
        grid["selected"] = grid["selected"] == "true"
        words = example.segmentation(gold=len(methods) > 2)
        words["gold"] = words["gold"] == "true"
    return context.Tables(*frames, corpora, grid, words if searched else None)


def text_of(found: context.Tables, methods, **changes) -> str:
    """Return the text of a study; ``changes`` are keys of its configuration."""
    literature = load_settings(str(ROOT / "paper" / "literature.yaml"))
    settings = configured(methods) | changes
    filled = context.context(found, settings, literature)
    filled["front"] = front_matter.read(ROOT / "CITATION.cff")
    verdicts, sources = (
        claim_verdicts.judge(claims.read(CLAIMS), found),
        claims.read_sources(CLAIMS),
    )
    filled["ledger"] = claim_verdicts.summary(verdicts, sources)
    numbers = values.collect(found, settings, literature, verdicts, sources)
    filled |= speaking(numbers.by_name(), filled["findings"])
    stubs = {"study": "s", "figure": lambda *a: Typst("[]"), "table": lambda *a: Typst("[]")}
    return render(TEMPLATE, filled | stubs)


def rendered(methods, seeds, tasks, searched=True) -> str:
    return text_of(measured(methods, seeds, tasks, searched), methods)
