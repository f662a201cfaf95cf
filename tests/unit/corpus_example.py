"""Small corpora of texts that a test makes up, fetched as a user's own files are."""

from pathlib import Path

import yaml

from jadapt.corpora.fetching import fetch

ROOT = Path(__file__).resolve().parents[2]
CORPORA = yaml.safe_load((ROOT / "config/corpora.yaml").read_text("utf-8"))
SHARES = {"validation": 0.2, "test": 0.2}
SIGNS = "山川空海森花鳥風月星"


def sentence(number):
    return "、".join(SIGNS[int(digit)] * 3 for digit in f"{number:05d}") + "。"


def entry(path):
    return {"kind": "local", "path": str(path), "licence": "CC0-1.0", "attribution": "us"}


def prepare(tmp_path, files, language="ja", **domain):
    """Write own files, fetch them, and return the settings and the fetched records."""
    sources, fetched = {}, {}
    for name, text in files.items():
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        source = path.stem
        sources[source] = entry(path)
        fetched[source] = tmp_path / "downloads" / source / "fetched.json"
        fetch(source, sources[source], fetched[source], None, False)
    settings = {
        "domain": {"language": language, "sources": list(sources)} | domain,
        "sources": sources,
        "cleaning": CORPORA["cleaning"],
        "splits": SHARES,
    }
    return settings, fetched
