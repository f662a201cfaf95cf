"""Time the HTML page of a study in Chromium, at the widths of a phone and of a desktop.

The page of the study's results is opened, or else one that is made from the released results. The
clocks are the browser's own: from the start of the navigation until something is seen, until the
page has loaded and its programs have run (from then on it can be used), and how much processor time
that took; and how long the table of runs takes to sort, until it is drawn.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from released_clone import ROOT, build, fresh_clone

sys.path.insert(0, str(ROOT / "tests" / "browser"))

from chromium import Page, browser, program
from jadapt.core.files import write_json

LIMIT_MEGABYTES = 5.0
LIMIT_SECONDS = 1.0
REPEATS = 7
WIDTHS = {"phone": 390, "desktop": 1280}
# Resolves when the load event has ended: only then has the entry its last clock.
LOADED = """new Promise((done) => { const look = () => {
  const [entry] = performance.getEntriesByType('navigation');
  const paint = performance.getEntriesByName('first-contentful-paint')[0];
  if (!entry.loadEventEnd || !paint) return setTimeout(look, 10);
  done({seen: paint.startTime / 1000, usable: entry.loadEventEnd / 1000});
}; look(); })"""
SORTED = """new Promise((done) => { const start = performance.now();
  document.querySelector('#run-table th:nth-child(3) button').click();
  requestAnimationFrame(() => requestAnimationFrame(
    () => done((performance.now() - start) / 1000)));
})"""


def main() -> int:
    """Print the medians; exit with 1 when a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="mini")
    parser.add_argument("--config", type=Path, default=Path("config/config.yaml"))
    parser.add_argument("--page", type=Path, help="default: results/{study}/index.html")
    parser.add_argument("--output", type=Path, help="also write the figures there (JSON)")
    given = parser.parse_args()
    try:
        program()
    except RuntimeError as error:
        print(f"{error}; the page is not measured")
        return 0
    with page_of(given) as path, tempfile.TemporaryDirectory() as profile:
        if path is None:
            print(f"no page of study {given.study} and no released results to make one from")
            return 0
        megabytes = path.stat().st_size / 1e6
        found = {}
        with browser(Path(profile)) as address:
            for name, width in WIDTHS.items():
                opened = [measure(address, path, width) for _ in range(REPEATS)]
                found[name] = {
                    key: statistics.median(each[key] for each in opened) for key in opened[0]
                }
    exceeded = show(megabytes, found)
    if given.output:
        write_json(given.output, {"megabytes": megabytes, **found})
    return int(exceeded)


@contextmanager
def page_of(given: argparse.Namespace) -> Iterator[Path | None]:
    """Yield the page of a study, made in a fresh clone where there is none; or None."""
    path = (given.page or ROOT / "results" / given.study / "index.html").resolve()
    if path.is_file():
        yield path
    elif not (ROOT / "paper/released" / given.study).is_dir():
        yield None
    else:
        with fresh_clone() as clone:
            build(clone, given.config, "html")
            yield clone / "results" / given.study / "index.html"


def measure(address: str, path: Path, width: int) -> dict[str, float]:
    """Open the page in a new tab; return seconds."""
    page = Page(address, "about:blank", width=width)
    # Counts from here on.
    page.send("Performance.enable")
    page.open(path.as_uri())
    found = page.value(LOADED)
    metrics = {
        each["name"]: each["value"] for each in page.send("Performance.getMetrics")["metrics"]
    }
    found |= {"processor": metrics["TaskDuration"], "sorted": page.value(SORTED)}
    page.close()
    return found


def show(megabytes: float, found: dict[str, dict[str, float]]) -> bool:
    """Print the figures beside their limits; return whether one is exceeded."""
    words = {
        "seen": "first content is seen, s",
        "usable": "loaded, programs run: usable, s",
        "processor": "processor time of the tab, s",
        "sorted": "runs sorted and drawn, s",
    }
    rows = [("size of the page, MB", megabytes, LIMIT_MEGABYTES)]
    rows += [
        (f"{name}: {words[key]}", value, LIMIT_SECONDS)
        for name, each in found.items()
        for key, value in each.items()
    ]
    print(f"{f'medians of {REPEATS}':<48}{'measured':>10}{'limit':>8}")
    for label, value, limit in rows:
        verdict = "ok" if value <= limit else "EXCEEDED"
        print(f"{label:<48}{value:>10.2f}{limit:>8.1f}  {verdict}")
    return any(value > limit for _, value, limit in rows)


if __name__ == "__main__":
    sys.exit(main())
