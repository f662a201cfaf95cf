"""The finished chain, run again: changed, released, killed, moved to another user."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile

import numpy as np
import psutil
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tiny_results import FIGURES, METHODS, TASKS, read_table, results

pytestmark = pytest.mark.chain

STUDY_FILES = ("--configfile", "config/config.yaml", "tests/workflow/tiny.yaml")


def test_a_second_run_finds_nothing_to_do(study):
    start = time.perf_counter()
    output = study.run("all").stdout
    assert "Nothing to be done" in output
    assert time.perf_counter() - start < 15


def test_touching_reruns_nothing_and_an_edited_notebook_reruns_itself_and_the_paper(study):
    for path in ("scripts/train.py", "notebooks/convergence.ipynb", "scripts/jadapt/core/files.py"):
        os.utime(study.path / path)
    assert study.planned("all") == {}
    notebook = study.path / "notebooks/convergence.ipynb"
    before = notebook.read_text(encoding="utf-8")
    notebook.write_text(before.replace('"nbformat_minor"', '\n "nbformat_minor"'), encoding="utf-8")
    try:
        assert study.planned("all") == {"figure": 1, "paper": 1}
    finally:
        notebook.write_text(before, encoding="utf-8")
    assert study.planned("all") == {}


@pytest.mark.parametrize(
    ("module", "runs"),
    [
        ("continual/ewc", {"l2", "ewc", "online_ewc", "lora_ewc"}),
        ("continual/projection", {"gem", "agem"}),
        ("peft/dora_layers", {"dora"}),
    ],
)
def test_a_changed_method_reruns_its_own_runs_and_no_others(study, module, runs):
    path = study.path / f"scripts/jadapt/methods/{module}.py"
    before = path.read_text(encoding="utf-8")
    path.write_text(before + "_CHANGED = 1\n", encoding="utf-8")
    try:
        planned = study.run("all", options=["-n"]).stdout
    finally:
        path.write_text(before, encoding="utf-8")
    for work in ("Adapting by", "Evaluating"):
        assert set(re.findall(rf"{work} (\w+)", planned)) == runs
    # None of them searches a rate or is varied in this study, and the base model is another's.
    assert not re.search("Searching|Varying|Pre-training|Preparing", planned)
    assert study.planned("all") == {}


def script(study, name, *options, check=True):
    return study.shell("python", f"scripts/{name}.py", *STUDY_FILES, *options, check=check)


def test_a_finished_study_is_released_compared_and_traced(study):
    """The whole way of a release: publish, draw from it elsewhere, compare with it, trace it."""
    folder, released = results(study), study.path / "paper/released/tiny"
    assert "all trained" in script(study, "status").stdout
    run = folder / "runs/lora/seed1/run.json"
    run.rename(run.with_name("gone.json"))
    try:
        done = script(study, "release", check=False)
        assert done.returncode == 1
        assert "not released: lora, seed 1: not trained" in done.stdout
        assert not released.exists()
    finally:
        run.with_name("gone.json").rename(run)
    assert f"released {1 + len(METHODS)} runs" in script(study, "release").stdout
    for name in ("metrics", "curves", "grid"):
        assert (released / f"{name}.csv").read_bytes() == (folder / f"{name}.csv").read_bytes()

    done = script(study, "verify")
    assert "of the same kind as the released one" in done.stdout
    assert re.search(r"\n(\d+) values: \1 same", done.stdout)
    done = script(study, "verify", "--runs", "ewc", "sft")
    assert re.search(r"\n(\d+) values: \1 same", done.stdout)
    evaluation = folder / "evaluation/ewc/seed1.csv"
    before = evaluation.read_text(encoding="utf-8")
    evaluation.write_text(re.sub(r"(\d),bit/byte", r"\g<1>1,bit/byte", before), encoding="utf-8")
    try:
        done = script(study, "verify", "--runs", "ewc", check=False)
    finally:
        evaluation.write_text(before, encoding="utf-8")
    assert done.returncode == 1
    assert "DIFFERENT" in done.stdout

    # On other text nothing is compared, and the difference is named in one line.
    text = folder / "corpora/cloud/validation.jsonl"
    before = text.read_bytes()
    text.write_bytes(before + before.splitlines(keepends=True)[0])
    try:
        done = script(study, "verify", "--inputs", check=False)
    finally:
        text.write_bytes(before)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith(
        "error: results/tiny: other text than was released: the text of 'cloud' differs (validation"
    )
    assert "other text" not in script(study, "verify", "--inputs").stdout

    # The figure of the one is the figure of the other, but for what it says of its sources.
    drawn = folder / "figures/retention.png"
    before = pixels(drawn)
    assert study.planned("fig_retention") == {}
    study.run("fig_retention", options=["--config", "results=released"])
    assert (pixels(drawn) == before).all()
    done = script(study, "trace", "--file", str(folder / "figures/retention.svg"))
    assert "released results" in done.stdout and "the table of this study" in done.stdout
    done = script(study, "trace", "--number", "base.home_bits")
    assert "results/tiny/evaluation/base/seed1.csv" in done.stdout
    study.run("fig_retention")
    assert study.planned("all") == {}
    assert "crate.zip" in script(study, "write_crate").stdout


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_nothing_was_written_outside_the_working_directory_and_the_cache(
    study, nothing_left_elsewhere
):
    """Training, notebooks, the paper, pip."""
    nothing_left_elsewhere()


def test_a_killed_run_goes_on_and_ends_with_the_same_metrics(study, tmp_path):
    """SIGKILL in the middle of training, then the same command again.

    The same metrics to the last digit also show that a run is deterministic: the second one
    trains again what came after the last checkpoint of the first.
    """
    folder = results(study)
    before = (folder / "metrics.csv").read_bytes()
    curves = (folder / "curves.csv").read_bytes()
    shutil.rmtree(folder / "runs/lora")
    shutil.rmtree(folder / "runs/sft")
    for name in ("lora", "sft"):
        shutil.rmtree(folder / "evaluation" / name)
    for name in ("metrics", "curves", "efficiency"):
        (folder / f"{name}.csv").unlink()
    # Event files as well, in both attempts: they decide no result and rerun nothing else.
    board = ("--config", "tensorboard=True")
    command = study.command("all")
    process = subprocess.Popen(
        [command[0], *board, *command[1:]], cwd=study.path,
        # What is killed cannot tidy up; other tests look at the folder of the others.
        env=study.environment | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    # The second task of one run; the other is stopped wherever it is.
    checkpoint = folder / "checkpoints/lora/seed1/cloud/step=4.ckpt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert process.poll() is None, "the run ended before its first checkpoint"
        assert time.monotonic() < deadline, "no checkpoint within two minutes"
        time.sleep(0.02)
    victims = psutil.Process(process.pid).children(recursive=True)
    for victim in [psutil.Process(process.pid), *victims]:
        victim.kill()
    process.wait()
    psutil.wait_procs(victims)
    assert not (folder / "runs/lora/seed1/run.json").exists()

    study.run(options=["--unlock"])
    study.run("all", options=["--rerun-incomplete", *board])
    log = (folder / "logs/adapt/lora/seeds.log").read_text(encoding="utf-8")
    assert "going on from" in log
    assert "everyday: step" not in log
    assert re.search(r"cloud: step [1-9]\d* of 12", log)
    assert (folder / "metrics.csv").read_bytes() == before
    assert (folder / "curves.csv").read_bytes() == curves
    assert not (folder / "checkpoints/lora/seed1").exists()
    # A log has lines, and no bar that is drawn over itself.
    assert "\r" not in log and "it/s" not in log
    assert {path.name for path in (folder / "tensorboard").iterdir()} == {"lora", "sft"}
    for name in ("lora", "sft"):
        check_event_files(folder, name)
    assert study.planned("all") == {}


def check_event_files(folder, run):
    """TensorBoard reads the curves of ``train.jsonl``; what was trained twice is there twice."""
    lines = (folder / f"runs/{run}/seed1/train.jsonl").read_text(encoding="utf-8").splitlines()
    log = [json.loads(line) for line in lines]
    for task in TASKS:
        events = EventAccumulator(str(folder / "tensorboard" / run / "seed1" / task))
        events.Reload()
        for name in ("training_loss", "validation_loss", "learning_rate"):
            shown = {event.step: event.value for event in events.Scalars(name)}
            logged = {x["step"]: x[name] for x in log if x["task"] == task and name in x}
            assert len(logged) > 1 and shown == pytest.approx(logged), (run, task, name)


def test_the_page_holds_every_run_and_every_claim(study):
    study.run("html")
    page = (results(study) / "index.html").read_text(encoding="utf-8")
    assert len(page) < 5_000_000
    assert 'id="run-base-1"' in page
    for method in METHODS:
        assert f'id="run-{method}-1"' in page
    claims = read_table(results(study) / "claims.csv")
    assert len(claims) > 50
    for claim in claims:
        assert f'id="claim-{claim["id"]}"' in page
    # One seed decides no claim about a measurement, but counts need none.
    verdicts = {claim["id"]: claim["verdict"] for claim in claims}
    assert verdicts["lora_learns_less"] == "cannot be tested here"
    assert verdicts["parameters_rank_16"] == "not reproduced"
    for name in FIGURES:
        assert f'id="fig-{name}"' in page


def test_the_report_holds_figures_with_captions(study):
    study.run("html")
    study.run("all", "html", options=["--report", "report.zip"])
    with zipfile.ZipFile(study.path / "report.zip") as archive:
        # From tables to runs and corpora leads the page of the study, which is in the report.
        (inside,) = [name for name in archive.namelist() if name.endswith("index.html")]
        linked = archive.read(inside).decode("utf-8")
        page = archive.read("report/report.html").decode("utf-8")
    for name in FIGURES:
        assert f"{name}.svg" in page
        notebook = json.loads((study.path / f"notebooks/{name}.ipynb").read_text(encoding="utf-8"))
        assert notebook["metadata"]["jadapt"]["caption"][:30] in page
        # From a figure to its notebook and tables.
        assert f"notebooks/{name}.ipynb" in page
        for table in notebook["metadata"]["jadapt"]["tables"]:
            assert f"results/tiny/{table}.csv" in page
    assert "Runs and corpora" in page
    for target in ("runs", "corpora"):
        assert f'href="#{target}"' in linked and f'id="{target}"' in linked


def as_another_user():
    """Return the words that run a command as nobody, where this is root; else none.

    The interpreter may lie where only root can read, so reading everything is left to nobody.
    """
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    if os.getuid() == 0:
        for words in ([*nobody, *reading], nobody):
            command = [*words, sys.executable, "-c", ""]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return words
    return []


def test_a_finished_clone_at_another_path_of_another_user_reruns_nothing(study, tmp_path):
    """Neither does a clock that went back: then everything is of the future."""
    path = tmp_path / "moved"
    packages = shutil.ignore_patterns("*.gz", "*.whl")
    shutil.copytree(study.path, path, symlinks=True, ignore=packages)
    moved = type(study)(path)
    moved.environment = study.environment | {"HOME": str(tmp_path / "home")}
    assert moved.planned("all") == {}
    for file in [path, *path.rglob("*")]:
        status = file.lstat()
        times = (status.st_atime + 86400, status.st_mtime + 86400)
        os.utime(file, times, follow_symlinks=False)
    assert moved.planned("all") == {}

    user = as_another_user()
    if user:
        tmp_path.chmod(0o755)
        for folder in (path, tmp_path / "home", tmp_path / "tmp"):
            folder.mkdir(exist_ok=True)
            for file in [folder, *folder.rglob("*")]:
                os.chown(file, 65534, 65534, follow_symlinks=False)
        moved.environment["TMPDIR"] = str(tmp_path / "tmp")
    metrics = path / "results/tiny/metrics.csv"
    before = metrics.read_bytes()
    # Their checkpoints are read there as well: an evaluation gives the same numbers.
    shutil.rmtree(path / "results/tiny/evaluation/lora")
    metrics.unlink()
    command = moved.command("results/tiny/metrics.csv")
    moved.shell(*user, *command)
    assert metrics.read_bytes() == before
    if user:
        assert metrics.stat().st_uid == 65534


def test_a_token_in_the_environment_is_never_written_down(study, elsewhere):
    token = study.environment["HF_TOKEN"].encode()
    folders = [results(study), study.path / ".snakemake", elsewhere]
    looked_at = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(looked_at) > 500
    assert [path for path in looked_at if token in path.read_bytes()] == []
