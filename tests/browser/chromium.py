"""Chromium without a window, driven through its DevTools protocol."""

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import contextmanager

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def program():
    """Return the path of the browser; without one the tests fail and say what to install."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise RuntimeError("no Chromium on PATH; on Debian: apt-get install chromium")


@contextmanager
def browser(folder):
    """Start a browser with a profile in ``folder``; yield the address of its DevTools."""
    log = folder / "chromium.log"
    command = [
        program(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--hide-scrollbars", "--no-first-run", "--remote-debugging-port=0",
        "--remote-allow-origins=*", f"--user-data-dir={folder / 'profile'}", "about:blank",
    ]  # fmt: skip
    port = folder / "profile" / "DevToolsActivePort"
    with open(log, "w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + 60
        while not (port.exists() and len(port.read_text().splitlines()) == 2):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Chromium did not start: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
    finally:
        process.terminate()
        process.wait(timeout=30)


class Page:
    """One tab of a certain size; ``problems`` gathers what the console and the loader complain."""

    def __init__(self, devtools, address, *, width, height=900, dark=False):
        request = urllib.request.Request(f"{devtools}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request, timeout=30) as answer:
            tab = json.load(answer)
        self.socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=60)
        self.numbers = itertools.count(1)
        self.problems = []
        self.requests = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.open(address)

    def open(self, address):
        """Go to an address and wait until it has loaded."""
        self.loaded = False
        self.send("Page.navigate", url=address)
        while not self.loaded:
            self._receive()

    def send(self, method, **parameters):
        """Send a command and return its result; events that come first are noted."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        self.socket.send(json.dumps(message))
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self):
        message = json.loads(self.socket.recv())
        kind, parameters = message.get("method"), message.get("params", {})
        if kind == "Page.loadEventFired":
            self.loaded = True
        elif kind == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif kind in ("Runtime.exceptionThrown", "Log.entryAdded", "Network.loadingFailed") or (
            kind == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning")
        ):
            self.problems.append(parameters)
        return message

    def value(self, expression):
        """Return the value of a JavaScript expression, awaited where it is a promise."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def point(self, x, y):
        """Move the mouse to a place of the window."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x, y):
        """Press and release the left button at a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key):
        """Press and release a key such as ``ArrowRight``."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def box(self, selector):
        """Scroll an element into the window and return its place: x, y, width and height."""
        return self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});"
            "const b = e.getBoundingClientRect();"
            "return {x: b.x, y: b.y, width: b.width, height: b.height}; })()"
        )

    def centre(self, selector):
        """Return the middle of an element, scrolled into the window."""
        box = self.box(selector)
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def screenshot(self, path, *, whole=True):
        """Write a picture of the page, or of the window."""
        made = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(made["data"]))

    def close(self):
        """Close the connection and the tab with it."""
        self.send("Page.close")
        self.socket.close()
