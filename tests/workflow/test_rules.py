"""What can be checked of the workflow without running it."""

import pstats
import random
import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "rules"],
        ["snakemake", "--lint"],
    ],
    ids=lambda command: command[0] + " " + command[1],
)
def test_code_and_rules_are_clean(clone, command):
    clone.shell(*command)


def test_the_slurm_profile_is_found_as_typed(clone):
    output = clone.shell("snakemake", "--profile", "slurm", "-n", "all").stdout
    assert "pretrain" in output


def test_a_dry_run_of_everything_stays_small(clone, tmp_path):
    # Its seconds differ fivefold between machines, and `make bench` holds them to 3. Its function
    # calls do not (five million): twice as many would mean another kind of thing.
    profile = tmp_path / "profile"
    program = shutil.which("snakemake")
    clone.shell(sys.executable, "-m", "cProfile", "-o", str(profile), program, "-n", "all")
    statistics = pstats.Stats(str(profile))
    assert 1e6 < statistics.total_calls < 1e7
    imported = {Path(file).parts for file, _, _ in statistics.stats}
    heavy = {"torch", "nemo", "lightning", "transformers", "matplotlib", "seaborn", "sentencepiece"}
    assert not {part for parts in imported for part in parts} & heavy


def test_every_notebook_has_a_target_of_its_name(clone):
    listed = clone.shell("snakemake", "--list-target-rules").stdout.split()
    assert {"all", "paper", "metrics"} <= set(listed)
    # The default study has no fronts, so no target of what shows them.
    with_fronts = ["--configfile", "config/smollm.yaml", "--list-target-rules"]
    listed += clone.shell("snakemake", *with_fronts).stdout.split()
    for name in NOTEBOOKS:
        # What was measured on a GPU has targets where it is released.
        if name.startswith("card_") and not (ROOT / "paper/released/efficiency").exists():
            continue
        assert {f"fig_{name}", f"table_{name}"} & set(listed), name


@pytest.mark.parametrize(
    ("target", "needed", "unneeded"),
    [
        ("table_corpora", {"corpus"}, {"tokenizer", "pretrain", "adapt", "evaluate", "figure"}),
        (
            "table_segmentation",
            {"segmenter", "segmentation"},
            {"tokenizer", "pretrain", "table_corpora"},
        ),
        ("table_efficiency", {"adapt"}, {"evaluate", "figure"}),
        ("fig_convergence", {"adapt"}, {"evaluate", "metrics", "table", "paper"}),
        ("fig_scripts", {"adapt", "evaluate"}, {"corpora_table", "table", "paper", "ablation"}),
        ("fig_pareto", {"search", "ablation", "grid"}, {"adapt", "evaluate", "metrics"}),
    ],
)
def test_one_figure_or_table_runs_what_it_needs_and_nothing_else(edited, target, needed, unneeded):
    jobs = set(edited.planned(target))
    assert needed <= jobs
    assert not unneeded & jobs


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("seeds:", "sedes:"), "unknown key 'sedes'; did you mean 'seeds'?"),
        (("method: lora", "method: lroa"), "methods.lora.method: unknown 'lroa'"),
        (("model: mini", "model: minni"), "model: unknown 'minni'; did you mean 'mini'?"),
        (("sequence: [everyday", "sequence: [everday"), "sequence: unknown 'everday'"),
        (("sequence_length: 128", "sequence_length: 4096"), "sequence_length: 4096 is above"),
        (("seeds: [", "seeds: [["), "not valid YAML"),
        (("ratio: 0.25", "ratio: 1.25"), "methods.replay.continual.replay.ratio: 1.25 is greater"),
        (("task_ids: true", "task_ids: false"), "methods.den: 'den' computes by task"),
    ],
)
def test_a_mistake_ends_the_command_with_one_line_before_anything_runs(edited, edit, message):
    assert message in refusal(edited, "config/config.yaml", *edit)


def test_a_mistake_in_the_claims_ends_the_command_the_same_way(edited):
    line = refusal(edited, "config/claims.yaml", "'peak_memory_mib'", "'peak_memory'")
    assert "config/claims.yaml: claims.memory_lora.expression: cost: unknown cost" in line
    assert "did you mean 'peak_memory_mib'?" in line


def test_a_study_replaces_the_default_one(edited):
    path = edited.path / "other.yaml"
    text = (edited.path / "config/config.yaml").read_text(encoding="utf-8")
    path.write_text(
        text.replace("study: mini", "study: other")
        .replace("  lora:\n", "  low_rank:\n")
        .replace("run: lora,", "run: low_rank,"),
        encoding="utf-8",
    )
    output = edited.shell("snakemake", "--configfile", "other.yaml", "-n", "all").stdout
    assert "results/other/runs/low_rank/seed1" in output
    assert "results/mini" not in output
    assert "results/other/runs/lora/" not in output


def test_a_job_trains_as_many_seeds_as_the_study_says(edited):
    def jobs(*options):
        output = edited.shell("snakemake", "-n", "results/mini/metrics.csv", *options).stdout
        lines = (line.split() for line in output.splitlines())
        return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}

    together = jobs()
    apart = jobs("--config", "seeds_per_job=1")
    for rule in ("adapt", "evaluate"):
        runs = together[rule]
        assert runs > 10
        assert [apart[f"{rule}_{seed}"] for seed in (1, 2, 3)] == [runs] * 3
        assert rule not in apart


def test_a_study_without_a_grid_has_no_figure_of_it(edited):
    path = edited.path / "config/config.yaml"
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"learning_rate: (&rates )?\[([^,]*),[^]]*\]", r"learning_rate: \1\2", text)
    text = re.sub(r"(?m)^ablations:\n(  .*\n)+", "ablations: {}\n", text)
    path.write_text(text, encoding="utf-8")
    listed = edited.shell("snakemake", "--list-target-rules").stdout.split()
    assert "fig_retention" in listed
    assert "fig_pareto" not in listed
    output = edited.shell("snakemake", "-n", "all").stdout
    assert "search" not in output.split()


def refusal(clone, file, old, new):
    """Change words of a file; return the one line that a command ends with before anything runs."""
    clone.replace(file, old, new)
    done = clone.shell("snakemake", "--cores", "1", "all", check=False)
    assert done.returncode == 1
    assert not (clone.path / "results").exists()
    (line,) = done.stdout.strip().splitlines()
    return line


def add_domain(clone, name, source):
    """Write a source and a Japanese domain of the same name into the configuration."""
    for path, place, text in (
        ("config/corpora.yaml", "sources:\n", f"sources:\n  {name}: {source}\n"),
        (
            "config/corpora.yaml",
            "\ndomains:\n",
            f"\ndomains:\n  {name}: {{language: ja, sources: [{name}]}}\n",
        ),
        ("config/config.yaml", "domains: [english,", f"domains: [{name}, english,"),
    ):
        file = clone.path / path
        before = file.read_text(encoding="utf-8")
        assert place in before
        file.write_text(before.replace(place, text, 1), encoding="utf-8")


def test_a_local_corpus_becomes_a_domain(edited):
    """A text file of the user's own, from two entries in the configuration to its splits."""
    kana = "あいうえおかきくけこさしすせそたちつてと"
    draw = random.Random(0)
    lines = ["".join(draw.choices(kana, k=20)) + "。" for _ in range(400)]
    (edited.path / "mine.txt").write_text("\n".join(lines), encoding="utf-8")
    add_domain(edited, "mine", "{kind: local, path: mine.txt, licence: CC0-1.0, attribution: me}")
    target = "results/mini/corpora/mine/manifest.json"
    edited.shell("snakemake", "--cores", "2", "--show-failed-logs", target)
    documents = [
        line
        for split in ("train", "validation", "test")
        for line in (edited.path / f"results/mini/corpora/mine/{split}.jsonl")
        .read_text(encoding="utf-8")
        .splitlines()
    ]
    assert len(documents) == len(lines)
    # The content of the file decides: more text, and only this domain is built again.
    (edited.path / "mine.txt").write_text("\n".join(lines[:-1]), encoding="utf-8")
    output = edited.shell("snakemake", "--cores", "2", "-n", target).stdout
    assert "download" in output
    assert "corpus" in output


def test_a_wrong_checksum_stops_the_run_and_names_both(edited):
    mirror = edited.path / "mirror"
    pinned = "github/owner/repository/0123456789abcdef0123456789abcdef01234567/text.txt"
    (mirror / pinned).parent.mkdir(parents=True)
    (mirror / pinned).write_text("changed\n", encoding="utf-8")
    add_domain(
        edited,
        "pinned",
        "{kind: url, licence: CC0-1.0, attribution: me, homepage: https://example.org, "
        f"files: [{{path: {pinned}, bytes: 8, sha256: {'a' * 64}}}], "
        "extract: {format: aozora, members: ['github/**']}}",
    )
    edited.environment["JADAPT_MIRROR"] = str(mirror)
    target = "results/mini/corpora/pinned/manifest.json"
    done = edited.shell(
        "snakemake", "--cores", "1", "--show-failed-logs", target, check=False
    )  # fmt: skip
    assert done.returncode == 1
    assert "a" * 64 in done.stdout
    (line,) = [text for text in done.stdout.splitlines() if text.startswith("error:")]
    assert "text.txt" in line
    assert (mirror / pinned).exists()
    assert not (edited.path / "results/mini/corpora/pinned").exists()
