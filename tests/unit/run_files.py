"""What a run wrote: its log, its files as bytes, and the log without what clocks say."""

import json


def lines(work):
    return [json.loads(line) for line in (work / "output/train.jsonl").read_text().splitlines()]


def weights(folder):
    """Every file of a model by name, as bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def without_clocks(log):
    clocks = ("tokens_per_second", "peak_memory_mib")
    return [{key: value for key, value in line.items() if key not in clocks} for line in log]
