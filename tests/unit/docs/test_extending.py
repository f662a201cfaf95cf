"""Every example of docs/extending.md works: it is taken from the page and used."""

import importlib.util
import re
from types import SimpleNamespace

import pandas as pd
import papermill
import pytest
import torch
import yaml

import tiny_model
from jadapt.config import studies, validation
from jadapt.core import notebooks
from jadapt.core.declarations import METHODS, STRATEGIES, refuse
from jadapt.core.paths import ROOT
from jadapt.corpora import urls
from jadapt.evaluation.metrics.base import ARROWS
from jadapt.evaluation.tally import Tally
from jadapt.evaluation.tasks import definition

PAGE = ROOT / "docs" / "extending.md"
BLOCK = re.compile(r"<!-- example: (\S+) -->\n```[a-z]*\n(.*?)```\n", re.DOTALL)
EXAMPLES = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))


def module(name, folder):
    """Import an example as a file of its own."""
    path = folder / name
    path.write_text(EXAMPLES[name], encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_every_block_that_is_named_is_used_here():
    text = (ROOT / "tests/unit/docs/test_extending.py").read_text(encoding="utf-8")
    assert len(EXAMPLES) == 10
    assert [name for name in EXAMPLES if f'"{name}"' not in text] == []


def test_the_method_trains_what_it_says_and_is_read_back(tmp_path):
    bitfit = module("bitfit.py", tmp_path).BitFit
    assert all(getattr(bitfit, attribute) for attribute in METHODS.required)
    assert refuse(bitfit) is None
    method = bitfit({"targets": ["q_proj", "v_proj"], "learning_rate": 1.0e-3})
    model = tiny_model.build()
    method.apply(model)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 4 and all(name.endswith(".bias") for name in trained)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += parameter.requires_grad
    method.save(model, tmp_path / "model")
    again = tiny_model.build()
    method.apply(again)
    method.restore(again, tmp_path / "model")
    for (name, one), other in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_the_strategy_pulls_back_to_the_previous_weights(tmp_path):
    lasso = module("lasso.py", tmp_path).Lasso
    assert all(getattr(lasso, attribute) for attribute in STRATEGIES.required)
    assert refuse(lasso) is None
    model = tiny_model.build()
    context = SimpleNamespace(model=model, method=METHODS["sft"]({}))
    strategy = lasso({"strength": 0.5})
    assert strategy.penalty(context, {}, None) is None
    strategy.end_task(context, "task")
    resumed = lasso({"strength": 0.5})
    resumed.load_state_dict(strategy.state_dict())
    with torch.no_grad():
        next(model.parameters())[0, :3] += 2.0
    assert resumed.penalty(context, {}, None).item() == pytest.approx(0.5 * 6.0)


def test_the_metric_is_computed_from_a_tally(tmp_path):
    metric = module("nats_per_token.py", tmp_path).NatsPerToken
    assert metric.direction in ARROWS and metric.heading()[0] == "Nats per token ↓"
    assert metric().value(Tally(nats=30.0, tokens=12, bytes=15)) == (2.5, 12)


def test_the_task_is_valid():
    task = definition.parse(yaml.safe_load(EXAMPLES["yes_or_no.yaml"]), "yes_or_no.yaml")
    assert task.data.source in studies.read_catalogue()["sources"]


def test_the_notebook_is_found_and_draws(tmp_path):
    path = tmp_path / "tokens.ipynb"
    path.write_text(EXAMPLES["tokens.ipynb"], encoding="utf-8")
    assert list(notebooks.declared(tmp_path, ["efficiency"])) == ["tokens"]
    costs = tmp_path / "efficiency.csv"
    pd.DataFrame({"method": ["lora"], "trainable_parameters": [7]}).to_csv(costs, index=False)
    papermill.execute_notebook(
        path,
        tmp_path / "done.ipynb",
        {"efficiency": str(costs), "output": str(tmp_path / "tokens")},
        progress_bar=False,
    )
    assert (tmp_path / "tokens.svg").stat().st_size > 1000


def test_the_table_refuses_other_columns(tmp_path):
    table = module("lengths.py", tmp_path).LENGTHS
    path = tmp_path / "lengths.csv"
    table.write(path, [("cloud", "test", 12, 0.5)])
    assert table.read(path)["bytes"].tolist() == [12.0]
    path.write_text(path.read_text().replace("bytes", "octets"))
    with pytest.raises(Exception, match="column 'bytes' is missing"):
        table.read(path)


def test_the_corpora_are_valid_and_their_pins_are_read(tmp_path):
    catalogue = studies.read_catalogue()
    added = yaml.safe_load(EXAMPLES["corpora.yaml"])
    for part in ("sources", "domains"):
        catalogue[part] |= added[part]
    validation.check_catalogue(catalogue)
    pins = tmp_path / "pins.tsv"
    pins.write_text(EXAMPLES["pins.tsv"], encoding="utf-8")
    files = urls.pinned_files("my_documentation", {"pins": str(pins)})
    assert [entry["bytes"] for entry in files] == ["18525", "2322"]


def test_the_model_is_valid():
    models = studies.read_models()
    models["models"] |= yaml.safe_load(EXAMPLES["models.yaml"])["models"]
    validation.check_models(models)


def test_the_study_is_valid_and_differs_where_it_says(tmp_path):
    (tmp_path / "config.yaml").write_text((ROOT / "config/config.yaml").read_text())
    (tmp_path / "small.yaml").write_text(EXAMPLES["small.yaml"])
    small = studies.settings([tmp_path / "small.yaml"])
    assert small["study"] == "small" and small["methods"]["lora"]["rank"] == 4
    assert "den" not in small["methods"] and "dora" in small["methods"]
