"""What a manifest says of the jobs of a study."""

import pytest

from jadapt.release import manifest
from jadapt.workflow import preloaded

ROW = "s\th:m:s\tmax_rss\tcpu_time\n30.5\t0:00:30\t21.0\t0.2\n"


@pytest.mark.parametrize("preloaded_process", [False, True])
def test_what_a_preloaded_process_took_counts_as_the_job(tmp_path, preloaded_process):
    path = tmp_path / "results/mini/benchmarks/adapt/lora/seeds.tsv"
    log = tmp_path / "results/mini/logs/adapt/lora/seeds.log"
    for file in (path, log):
        file.parent.mkdir(parents=True)
    path.write_text(ROW)
    lines = ["step 4", preloaded.USAGE.format(cpu_time=28.75, max_rss=660.5)]
    log.write_text("\n".join(lines[: 1 + preloaded_process]) + "\n")
    found = manifest.benchmark(path)
    if preloaded_process:
        assert found == {"s": 30.5, "cpu_time": pytest.approx(28.95), "max_rss": 660.5}
    else:
        assert found == {"s": 30.5, "cpu_time": 0.2, "max_rss": 21.0}
