import os
import time

from jadapt.workflow import mtimes


def test_files_of_the_future_are_dated_now_and_no_others(tmp_path, capsys):
    now = time.time()
    ages = {"old": now - 3600, "later": now + 7200, "late": now + 3600}
    for name, date in ages.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (date, date))
    assert mtimes.bring_to_now([tmp_path, tmp_path / "absent"]) == 2
    assert capsys.readouterr().err == "the clock went back: 2 files of the future are dated now\n"
    dates = {name: (tmp_path / name).stat().st_mtime for name in ages}
    assert dates["old"] == ages["old"]
    assert now <= dates["late"] == dates["later"] <= time.time()
    assert mtimes.bring_to_now([tmp_path]) == 0
    assert capsys.readouterr().err == ""
