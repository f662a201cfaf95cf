"""What a user types after `make`: quoted, checked first, and never removing what was not named."""

import pytest


@pytest.fixture
def make(edited):
    """A function that runs make in a clone whose environment stands ready."""

    def run(*words, check=False):
        return edited.shell("make", "-o", "setup", *words, check=check).stdout

    run.path = edited.path
    return run


@pytest.fixture
def results(make):
    """Results of two studies in the clone."""
    for name in ("mini", "smollm"):
        (make.path / "results" / name / "runs").mkdir(parents=True)
    return make.path / "results"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("typo", "error: typo: No such file or directory"),
        ("config", "error: config: is a folder; name a YAML file"),
        ("override.yaml", "error: override.yaml: missing key 'study'"),
        ("bom.yaml", "error: bom.yaml:1: study: '../..' does not match"),
        ("yte.yaml", "error: yte.yaml:2: '__use_yte__' would make Snakemake run Python code"),
        ("$(touch ran)", "error: $(touch: No such file or directory"),
        ("$(shell touch ran)", "error: $(shell: No such file or directory"),
        ("a;touch ran", "error: a;touch: No such file or directory"),
        ("`touch ran`", "error: `touch: No such file or directory"),
        ("it's", "error: it's: No such file or directory"),
    ],
)
def test_clean_removes_nothing_but_the_study_that_was_named(make, results, config, message):
    (make.path / "override.yaml").write_text("seeds: [1]\n")
    (make.path / "bom.yaml").write_bytes(b"\xef\xbb\xbfstudy: ../..  # x\n")
    code = "{{ __import__('pathlib').Path('ran').touch() }}"
    (make.path / "yte.yaml").write_text(f"study: mini\n__use_yte__: true\na: ?{code}\n")
    for target in ("clean", "paper"):
        output = make(target, f"CONFIG={config}")
        (line,) = [text for text in output.splitlines() if text.startswith("error: ")]
        assert line.startswith(message)
        assert "Traceback" not in output
    assert sorted(path.name for path in results.iterdir()) == ["mini", "smollm"]
    assert not (make.path / "ran").exists()


def test_clean_says_what_it_removes_and_keeps_other_studies(make, results):
    (results / "mini/metrics.csv").write_text("x")
    assert "removing results/mini: 1 files, 0.0 MiB" in make("clean", check=True)
    assert [path.name for path in results.iterdir()] == ["smollm"]
    assert "results/mini: not there; nothing to remove" in make("clean", check=True)
    assert "removing results/smollm" in make("clean", "CONFIG=config/smollm.yaml", check=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["paper", "RESULT=released"], "*** RESULT: no such variable; known: "),
        (["paper", "config=x"], "*** config: no such variable; known: "),
        (
            ["paper", "RESULTS=relesed"],
            "error: --config: results: unknown value 'relesed'; did you",
        ),
        (["paper", "RESULTS=;touch ran"], "error: --config: results: unknown value ';touch ran'"),
        (["figure", "NAME=x;touch ran"], "error: fig_x;touch ran: no such figure or table"),
        (["figure", "NAME=retentoin.ipynb"], "did you mean 'fig_retention'?"),
        (["trace", "FILE=$(touch ran).svg"], "error: "),
        (["trace", "NUMBER='; touch ran; '"], "error: "),
        (["paper", "CORES=two; touch ran"], "CORES"),
    ],
)
def test_what_is_typed_is_never_run(make, words, message):
    output = make(*words)
    assert message in output or message == "CORES"
    assert "Traceback" not in output
    assert not (make.path / "ran").exists()


@pytest.mark.parametrize("name", ["retention", "retention.ipynb", "notebooks/retention.ipynb"])
def test_a_notebook_is_named_with_its_ending_or_without(make, name):
    assert "fig_'retention'" in make("-n", "figure", f"NAME={name}", check=True)


def test_a_study_of_several_files_or_with_a_space_in_its_name_is_one(make):
    both = "CONFIG=config/config.yaml tests/workflow/tiny.yaml"
    assert "--configfile 'config/config.yaml' 'tests/workflow/tiny.yaml'" in make(
        "-n", "paper", both
    )
    (make.path / "my study.yaml").write_text("extends: config/smollm.yaml\nstudy: mine\n")
    assert "results/mine: not there" in make("clean", "CONFIG=my study.yaml", check=True)
