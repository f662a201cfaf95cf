"""Files by which rules tell programs what to do: written once, and only when they change."""

import argparse

from jadapt.workflow import settings_files


def test_files_are_written_when_the_workflow_starts_and_again_only_if_they_change(tmp_path):
    content = {"lora": "{}", "sft": "[]"}
    files = settings_files.Files(str(tmp_path / "settings"))
    one = files.add("study.json", lambda: '{"a": "あ"}')
    path_of = files.each("runs/{run}.json", content, content.__getitem__)
    assert not (tmp_path / "settings").exists()
    files.write()
    paths = [tmp_path / "settings/runs" / f"{name}.json" for name in content]
    assert path_of({"run": "lora"}) == str(paths[0])
    assert [path.read_text("utf-8") for path in paths] == ["{}\n", "[]\n"]
    before = [path.stat().st_mtime_ns for path in paths]
    content["sft"] = "[1]"
    files.write()
    assert paths[1].read_text("utf-8") == "[1]\n"
    assert paths[0].stat().st_mtime_ns == before[0]
    assert (tmp_path / "settings/study.json").read_text("utf-8") == '{"a": "あ"}\n'
    assert one == str(tmp_path / "settings/study.json")


def test_argparse_reads_paths_with_spaces_from_a_list(tmp_path):
    path = tmp_path / "paths.txt"
    path.write_text(settings_files.lines(["a b.csv", "it's.csv"]) + "\n", encoding="utf-8")
    parser = argparse.ArgumentParser(fromfile_prefix_chars="@")
    parser.add_argument("--files", nargs="+")
    assert parser.parse_args(["--files", f"@{path}"]).files == ["a b.csv", "it's.csv"]
