"""What training shows: a bar on a terminal, short lines in a log."""

import os
import pty
import re
import sys
import threading

import tiny_study


class Terminal:
    """A pseudoterminal in the place of stdout and stderr, and what was shown on it."""

    def __init__(self, monkeypatch):
        self.ours, theirs = pty.openpty()
        self.shown = bytearray()
        self.stream = os.fdopen(theirs, "w", buffering=1)
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, self.stream)
        # A terminal that nobody reads fills up, and who writes to it waits.
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            try:
                self.shown += os.read(self.ours, 65536)
            except OSError:
                return

    def text(self):
        self.stream.close()
        self.reader.join(timeout=30)
        return self.shown.decode("utf-8", "replace")


# Steps done and to do, steps a second, the loss.
BAR = re.compile(r"12/12 \[[^\]]*\dit/s, reduced_train_loss=\d")


def test_a_terminal_shows_a_bar(study, module, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        terminal = Terminal(patch)
        tiny_study.run(study, tmp_path, module, **tiny_study.RUNS["lora"]).train()
        shown = terminal.text()
    # The bar is drawn over itself.
    assert BAR.search(shown) and "\r" in shown, shown[-2000:]


def test_a_log_holds_lines_and_no_bar(study, module, tmp_path, monkeypatch):
    path = tmp_path / "training.log"
    with monkeypatch.context() as patch, open(path, "w", encoding="utf-8") as stream:
        for name in ("stdout", "stderr"):
            patch.setattr(sys, name, stream)
        tiny_study.run(study, tmp_path, module, **tiny_study.RUNS["lora"]).train()
    text = path.read_text(encoding="utf-8")
    assert not BAR.search(text) and "\r" not in text and "it/s" not in text
    assert re.search(r"step \d+ of 12", text), text[-2000:]
