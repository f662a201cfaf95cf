"""The configuration: the shipped one is valid, and every kind of mistake is named in one line."""

import copy

import pytest

from jadapt.config import validation, yaml_files
from jadapt.core.errors import UserError
from jadapt.core.files import load_settings
from shipped_study import CATALOGUE, DEFAULT, MODELS, validated


def test_the_shipped_study_is_valid():
    assert validated()["study"] == "mini"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sedes": [1]}, "study.yaml: unknown key 'sedes'; did you mean 'seeds'?"),
        (
            {"training__warmup": 3},
            "study.yaml: unknown key 'training.warmup'; did you mean 'warmup_steps'?",
        ),
        (
            {"methods__lora__rnak": 3},
            "study.yaml: unknown key 'methods.lora.rnak'; did you mean 'rank'?",
        ),
        (
            {"methods__sft__rank": 3},
            "study.yaml: unknown key 'methods.sft.rank'; known: accelerator",
        ),
        (
            {"methods__lora__method": "lroa"},
            "study.yaml: methods.lora.method: unknown 'lroa'; did you mean 'lora'?",
        ),
        ({"methods__lora__method": None}, "study.yaml: missing key 'methods.lora.method'"),
        ({"methods__lora__rank": None}, "study.yaml: missing key 'methods.lora.rank'"),
        ({"methods__lora__rank": 0}, "study.yaml: methods.lora.rank: 0 is less than the minimum"),
        (
            {"methods__lora__a_init": "xavier"},
            "study.yaml: methods.lora.a_init: unknown value 'xavier'",
        ),
        (
            {"corpora__domains": ["english", "everydya"]},
            "study.yaml: corpora.domains: unknown 'everydya'; did you mean 'everyday'?",
        ),
        (
            {"sequence": ["clout"]},
            "study.yaml: sequence: unknown 'clout'; did you mean 'cloud'?",
        ),
        ({"model": "minni"}, "study.yaml: model: unknown 'minni'; did you mean 'mini'?"),
        ({"seeds": None}, "study.yaml: missing key 'seeds'"),
        (
            {"tokenizer__normalisation": "nfkc"},
            "study.yaml: tokenizer.normalisation: only tokenizers of tokenization.tokenizers",
        ),
        (
            {"tokenization__model": "smollm2"},
            "study.yaml: tokenization.model: unknown 'smollm2'",
        ),
        (
            {"tokenization__training__learning_rate": None},
            "study.yaml: missing key 'tokenization.training.learning_rate'",
        ),
        (
            {"tokenization__regularisation__tokenizer": "unigram"},
            "study.yaml: tokenization.regularisation.tokenizer: unknown 'unigram'",
        ),
        (
            {"tokenization__tokenizers__words_4000__words": "unidic"},
            "study.yaml: tokenization.tokenizers.words_4000.words: unknown value 'unidic'",
        ),
        (
            {"tokenization__tokenizers__bpe_4000__domains": ["evryday"]},
            "study.yaml: tokenization.tokenizers.bpe_4000.domains: unknown 'evryday'",
        ),
        (
            {"training__subword_regularisation": {"alpha": 0.1, "nbest_size": 0}},
            "study.yaml: training.subword_regularisation.nbest_size: 0 draws nothing; use",
        ),
        ({"study": "a; touch x"}, "study.yaml: study: 'a; touch x' does not match"),
        (
            {"pretraining__mixture": {"domain": "evryday", "share": 0.1, "reserved_share": 0.1}},
            "study.yaml: pretraining.mixture.domain: unknown 'evryday'; did you mean 'everyday'?",
        ),
        (
            {"pretraining__mixture": {"domain": "react", "share": 0.1, "reserved_share": 0.1}},
            "study.yaml: domain 'react' is optional",
        ),
        ({"sequence": ["literature"]}, "study.yaml: domain 'literature' is optional"),
        (
            {"training__sequence_length": 4096},
            "study.yaml: training.sequence_length: 4096 is above the 512 positions of model 'mini'",
        ),
        (
            {"training__micro_batch_size": 5},
            "study.yaml: methods.sft: global_batch_size 4 is not a multiple of",
        ),
        (
            {"training__precision": "16-mixed"},
            "study.yaml: pretraining: precision 16-mixed needs a GPU",
        ),
        (
            {"training__parallelism": "fsdp2"},
            "study.yaml: pretraining: parallelism: fsdp2 shares a model among several devices",
        ),
        (
            {"training__parallelism": "fsdp"},
            "study.yaml: training.parallelism: unknown value 'fsdp'; did you mean 'fsdp2'?",
        ),
        (
            {"training__steps": 4},
            "study.yaml: methods.sft: warmup_steps 4 leaves none of 4 steps",
        ),
        (
            {"segmentation__gold": "gds"},
            "study.yaml: segmentation.gold: unknown 'gds'; did you mean 'gsd'?",
        ),
        (
            {"segmentation__fallback__domains": ["english"]},
            "study.yaml: segmentation.fallback.domains: 'english' is not Japanese, or optional",
        ),
        (
            {"segmentation__fallback__training": {"epoch": 1}},
            "study.yaml: unknown key 'segmentation.fallback.training.epoch'; did you mean 'epochs'",
        ),
        (
            {"segmentation__dictionaries": ["unidic"]},
            "study.yaml: segmentation.dictionaries.0: unknown value 'unidic'; did you mean",
        ),
        (
            {"methods__sft__learning_rate": [1e-3]},
            "study.yaml: methods.sft.learning_rate: [0.001] is too short",
        ),
        (
            {"methods__sft__learning_rate": [1e-3, -1]},
            "study.yaml: methods.sft.learning_rate.1: -1 is less than or equal to the minimum",
        ),
        (
            {"methods__sft__continual": {"ecw": {}}},
            "study.yaml: methods.sft.continual: unknown 'ecw'; did you mean 'ewc'?",
        ),
        (
            {"methods__replay__continual": {"replay": {"ratio": 1.5, "memory_rows": 1}}},
            "study.yaml: methods.replay.continual.replay.ratio: 1.5 is greater than the maximum",
        ),
        (
            {"methods__replay__continual": {"replay": {"ratio": 0.5}}},
            "study.yaml: missing key 'methods.replay.continual.replay.memory_rows'",
        ),
        (
            {"methods__gem__continual__gem__margn": 1},
            "study.yaml: unknown key 'methods.gem.continual.gem.margn'; did you mean 'margin'?",
        ),
        (
            {"methods__prefix__continual": DEFAULT["methods"]["gem"]["continual"]},
            "study.yaml: methods.prefix.continual: 'gem' is not defined for method 'prefix'; "
            "it composes with sft, lora, dora, houlsby",
        ),
        (
            {"methods__den__continual": DEFAULT["methods"]["replay"]["continual"]},
            "study.yaml: methods.den.continual: 'replay' is not defined for method 'den'",
        ),
        (
            {"evaluation__task_ids": False},
            "study.yaml: methods.den: 'den' computes by task and cannot be evaluated without",
        ),
        (
            {"ablations__lora_rank__run": "lroa"},
            "study.yaml: ablations.lora_rank.run: unknown 'lroa'; did you mean 'lora'?",
        ),
        (
            {"ablations__lora_rank__key": "rnak"},
            "study.yaml: ablations.lora_rank.key: 'rnak' names nothing in methods.lora",
        ),
        (
            {"ablations__lora_rank__values": [4, 0]},
            "study.yaml: ablations.lora_rank: 0: methods.lora.rank: 0 is less than the minimum",
        ),
        (
            {"ablations__lora_rank__key": "devices", "ablations__lora_rank__values": [1, 2]},
            "study.yaml: ablations.lora_rank.key: 'devices' says what a job is given",
        ),
        (
            {
                "ablations__lora_rank__key": "precision",
                "ablations__lora_rank__values": ["32-true", "16-mixed"],
            },
            "study.yaml: ablations.lora_rank: '16-mixed': methods.lora: precision 16-mixed needs",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(changes, message):
    with pytest.raises(UserError) as raised:
        validated(**changes)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_an_unknown_source_of_a_domain_is_named():
    catalogue = copy.deepcopy(CATALOGUE)
    catalogue["domains"]["cloud"]["sources"] = ["nvoa"]
    with pytest.raises(UserError, match=r"domains\.cloud\.sources: unknown 'nvoa'; did you mean"):
        validation.validate(copy.deepcopy(DEFAULT), catalogue, MODELS, "study.yaml")


def test_broken_yaml_names_its_line(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("study: mini\nseeds: [1, 2\nmodel: mini\n")
    with pytest.raises(UserError, match=r"study\.yaml:3: not valid YAML"):
        yaml_files.read_yaml(path)


def test_the_environment_names_the_mirror(monkeypatch):
    monkeypatch.setenv("JADAPT_MIRROR", "/mirror")
    assert validated(mirror="other")["mirror"] == "/mirror"
    monkeypatch.setenv("JADAPT_MIRROR", "")
    assert validated(mirror="other")["mirror"] == "other"


def test_a_study_may_leave_segmentation_out():
    assert "segmentation" not in validated(segmentation=None)


def test_gold_words_need_known_sources_and_domains_need_readable_ones():
    catalogue = copy.deepcopy(CATALOGUE)
    catalogue["gold"]["gsd"]["splits"]["test"]["source"] = "ud_gds"
    with pytest.raises(
        UserError, match=r"config/corpora.yaml: gold.gsd: unknown 'ud_gds'; did you"
    ):
        validation.validate(copy.deepcopy(DEFAULT), catalogue, MODELS, "study.yaml")
    catalogue = copy.deepcopy(CATALOGUE)
    catalogue["domains"]["everyday"]["sources"] = ["ud_gsd"]
    with pytest.raises(UserError, match=r"domains.everyday.sources: 'ud_gsd' has no 'extract'"):
        validation.validate(copy.deepcopy(DEFAULT), catalogue, MODELS, "study.yaml")


def test_settings_on_a_command_line_keep_their_numbers(tmp_path):
    assert load_settings('{"learning_rate": 2e-05}') == {"learning_rate": 2e-05}
    path = tmp_path / "settings.yaml"
    path.write_text("learning_rate: 2.0e-05\n")
    assert load_settings(str(path)) == {"learning_rate": 2e-05}
    with pytest.raises(UserError, match=r"No such file"):
        load_settings(str(tmp_path / "absent.yaml"))
    with pytest.raises(UserError, match="expected a mapping"):
        path.write_text("- 1\n")
        load_settings(str(path))
