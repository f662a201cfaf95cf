"""BitFit, which only the tests have: it trains, is kept, drawn and told of like the others."""

import re
import sys
from pathlib import Path

import pytest
import torch

import paper_example
import tiny_model
import tiny_study
from adapting import IDS, applied, logits, randomise
from jadapt.analysis import labels
from jadapt.config import composition
from jadapt.core.declarations import METHODS
from jadapt.core.registry import Place
from jadapt.figures import style
from jadapt.methods import loading, registry

ROOT = Path(__file__).parents[3]
RUNS = {
    "bitfit": {},
    "bitfit_replay": tiny_study.RUNS["replay"],
    "bitfit_ewc": tiny_study.RUNS["ewc"],
    "bitfit_gem": tiny_study.RUNS["gem"],
}


@pytest.fixture
def bitfit(monkeypatch):
    """BitFit among the methods, as its file or an entry point would put it there."""
    monkeypatch.setitem(METHODS.index, "bitfit", Place("bitfit", "BitFit"))
    labels.declared.cache_clear()
    yield METHODS["bitfit"]
    monkeypatch.undo()
    labels.declared.cache_clear()


def test_its_biases_train_and_are_kept(bitfit, tmp_path):
    tiny_model.save(tmp_path / "base")
    method = registry.create("bitfit", {"learning_rate": 0.1})
    model = randomise(applied(method))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained and all(name.endswith(".bias") for name in trained)
    method.save(model, tmp_path / "adapter")
    loaded, found = loading.load(tmp_path / "adapter", tmp_path / "base")
    assert found.settings == method.settings
    assert torch.equal(logits(loaded), logits(model))
    assert (logits(loaded) - tiny_model.build()(input_ids=IDS).logits).abs().max() > 1e-3


@pytest.mark.parametrize("name", RUNS)
def test_it_learns_alone_and_composed(name, bitfit, study, module, tmp_path):
    settings = {"method": "bitfit", **RUNS[name], "learning_rate": 0.05}
    run = tiny_study.run(study, tmp_path, module, **settings)
    report = run.train()
    run.publish()
    assert 0 < report["trainable_parameters"] < report["parameters"] / 10
    assert (tmp_path / "output/models/second/adapter.safetensors").exists()


def test_it_composes_with_all_that_nobody_told_of_it(bitfit):
    assert set(composition.strategies_of("bitfit")) == set(composition.strategies_of("sft"))
    assert "bitfit" in composition.methods_of("ewc")


def test_figures_and_tables_name_it_and_draw_it_like_no_other(bitfit):
    assert labels.method_label("bitfit") == "BitFit"
    assert labels.method_label("bitfit_replay") == "BitFit + replay"
    assert (labels.family("bitfit"), labels.family("bitfit_ewc")) == ("efficient", "regularisation")
    assert labels.in_order(["joint", "bitfit", "agem", "lora_ewc"]) == [
        "agem", "bitfit", "lora_ewc", "joint",
    ]  # fmt: skip
    names = [*labels.known_runs(), "lora_replay", "lora_ewc", *RUNS]
    looks = style.looks(names)
    assert looks["bitfit"] == bitfit.look
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(set(names))
    for members in labels.families(names).values():
        assert len({looks[name].marker for name in members}) >= len(members) - 2


def test_the_paper_tells_of_it_and_cites_its_work(bitfit, tmp_path, monkeypatch):
    monkeypatch.setattr(paper_example, "ALL", [*paper_example.ALL, "bitfit"])
    text = paper_example.rendered(["sft", "lora", "bitfit"], [1, 2], ["everyday", "cloud"])
    assert re.search(r"\*BitFit\* @bitfit trains the biases", text)
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    sys.modules.pop("render_paper", None)
    import render_paper

    told = {"methods": ["sft", "bitfit"], "loss": ["ewc"]}
    cited = render_paper.references(paper_example.BIBLIOGRAPHY, told)
    assert cited.count("@inproceedings{bitfit,") == 1 and cited.count("{ewc,") == 1
