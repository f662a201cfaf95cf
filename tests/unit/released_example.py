"""A made-up release: the example's tables with a manifest, as a finished study leaves them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import reporting_example as example
from jadapt.core.files import sha256_file, write_json
from jadapt.core.released import FORMAT_VERSION

VERSIONS = {"python": "3.11.7", "nemo_toolkit": "2.5.3", "torch": "2.13.0"}


def checksum(*words) -> str:
    """A SHA-256 that stands for a file."""
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()


def manifest(folder: Path, settings: dict, runs: list[tuple[str, int]]) -> dict:
    """Describe the tables in ``folder`` as those of ``runs``, all of one commit and machine."""
    domains = ["english", *settings.get("sequence", ["everyday"])]
    return {
        "format_version": FORMAT_VERSION,
        "study": settings["study"],
        "commits": ["c" * 40],
        "locks": ["d" * 64],
        "devices": ["AMD EPYC, 1 thread"],
        "versions": [VERSIONS],
        "compute": {
            "jobs": 12, "seconds": 720.0, "cpu_seconds": 700.0, "gpu_hours": 0.0,
            "stages": {
                "adapt": {"jobs": 10, "seconds": 700.0, "cpu_seconds": 690.0, "gpu_hours": 0.0},
                "tokens": {"jobs": 2, "seconds": 20.0, "cpu_seconds": 10.0, "gpu_hours": 0.0},
            },
        },
        "tables": {
            name: {
                "sha256": sha256_file(folder / f"{name}.csv"),
                "bytes": (folder / f"{name}.csv").stat().st_size,
                "rows": len((folder / f"{name}.csv").read_text("utf-8").splitlines()) - 1,
            }
            for name in sorted(path.stem for path in folder.glob("*.csv")) if name != "claims"
        },
        "tokenizer": checksum("tokenizer"),
        "tokens": {
            f"{domain}/{split}": {
                "tokens_sha256": checksum(domain, split, "tokens"),
                "corpus_sha256": checksum(domain, split), "tokens": 1000, "bytes": 4000,
            }
            for domain in domains for split in ("train", "validation", "test")
        },
        "corpora": {
            domain: {
                "available": True, "language": "en" if domain == "english" else "ja",
                "documents": 100,
                "splits": {s: checksum(domain, s) for s in ("train", "validation", "test")},
                "sources": {
                    f"{domain}-text": {
                        "kind": "pypi", "licence": "CC-BY-4.0", "attribution": "contributors",
                        "homepage": "https://example.org", "package": f"{domain}-text",
                        "version": "1.0", "bytes": 5_000_000,
                        "files": [{
                            "file": "text.tar.gz", "bytes": 5_000_000, "sha256": checksum("file"),
                        }],
                    },
                },
            }
            for domain in domains
        },
        "runs": [
            {
                "run": run, "seed": seed, "commit": "c" * 40, "lock": "d" * 64,
                "device": "AMD EPYC, 1 thread", "learning_rate": 0.001, "seconds": 60.0,
                "gpu_hours": 0.0, "diverged": False, "run_sha256": checksum(run, seed, "run"),
                "log_sha256": checksum(run, seed, "log"),
                "evaluation_sha256": checksum(run, seed, "evaluation"),
            }
            for run, seed in runs
        ],
        "searches": {"search/sft": checksum("search")},
        "settings": settings,
    }  # fmt: skip


def write(folder: Path, settings: dict = example.SETTINGS, **shape) -> dict:
    """Write tables and manifest into ``folder``; return the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    example.write(folder, **shape)
    runs = [("base", 1)]
    runs += [(m, s) for m in shape.get("methods", ("sft", "lora")) for s in (1, 2)]
    made = manifest(folder, settings, runs)
    write_json(folder / "manifest.json", made)
    return made
