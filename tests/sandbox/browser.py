"""
A real headless Chromium for tests, driven over the DevTools protocol. No driver binary, no browser download.

Protocol: https://chromedevtools.github.io/devtools-protocol/ (Page, Runtime, Input, Emulation).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import Request, urlopen

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
START_SECONDS = 30.0
WAIT_SECONDS = 5.0
ROWS = "document.querySelectorAll('#list-requests .row').length"

# A page's own requests leave through loopback alone; the rest would be Chromium's errands.
_SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-sync"),
    *("--disable-extensions", "--disable-component-update", "--mute-audio", "--no-proxy-server"),
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)
_KEYS = {"Enter": 13, "Tab": 9, "Escape": 27, " ": 32, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38}
_KEYS |= {"ArrowRight": 39, "ArrowDown": 40, "PageUp": 33, "PageDown": 34}
_TEXTS = {"Enter": "\r", " ": " "}


def executable() -> str | None:
    """Where Chromium is; None when there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page of the browser. One thread."""

    def __init__(self, address: str) -> None:
        self._open = ExitStack()
        self._socket = self._open.enter_context(connect(address, max_size=None))
        self._number = 0
        self.told: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Tab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Exception):  # whatever state the page is in, it ends here
            self.call("Page.close")
        self._open.close()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command and its answer; meanwhile errors the page reports are noted in `told`."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=START_SECONDS))
            if message.get("id") == self._number:
                assert "error" not in message, (method, message["error"])
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Runtime.exceptionThrown":
            self.told.append(json.dumps(message["params"]["exceptionDetails"])[:1000])
        elif message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.told.append(message["params"]["entry"]["text"])

    def open(self, url: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = WAIT_SECONDS) -> Any:
        """Wait for an expression to be true, and give its value; true for an element."""
        script = f"(() => {{ const v = ({script}); return v instanceof Node ? true : v }})()"
        deadline = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"never came true: {script}\n{self.told}"
            time.sleep(0.02)
        return value

    def text(self, selector: str) -> str:
        """What a person reads in the first such element."""
        text: str = self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return text

    def click(self, selector: str) -> None:
        """A real mouse click in the middle of the first such element, when it is there."""
        self.until(f"document.querySelector({json.dumps(selector)})")
        box = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'nearest'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def press(self, key: str, times: int = 1) -> None:
        """A key as a keyboard sends it."""
        event = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": _KEYS[key]}
        for _ in range(times):
            text = {"text": _TEXTS[key]} if key in _TEXTS else {}
            self.call("Input.dispatchKeyEvent", type="keyDown", **event, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text: str) -> None:
        """Text into what has the focus."""
        self.call("Input.insertText", text=text)

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        """The window, or a phone's screen."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if mobile else 1,
            mobile=mobile,
        )

    def scheme(self, name: str) -> None:
        """Prefer `light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def picture(self, path: Path) -> None:
        """A screenshot."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


class Browser:
    """A running Chromium."""

    def __init__(self, port: int) -> None:
        self._port = port

    def tab(self) -> Tab:
        """A new, empty page."""
        request = Request(f"http://127.0.0.1:{self._port}/json/new?about:blank", method="PUT")
        with urlopen(request, timeout=START_SECONDS) as reply:
            return Tab(json.load(reply)["webSocketDebuggerUrl"])


def show(tab: Tab, name: str) -> None:
    tab.click(f"#tab-{name}")
    tab.until(f"!document.querySelector('#panel-{name}').hidden")


def reads(tab: Tab, selector: str, *texts: str) -> None:
    """The element comes to show every text."""
    script = f"(document.querySelector({json.dumps(selector)})?.innerText ?? '')"
    tab.until(f"{json.dumps(texts)}.every((text) => {script}.includes(text))")


@contextmanager
def running_browser(folder: Path) -> Iterator[Browser]:
    """Start a Chromium with an empty profile in a folder, and end it and all its children."""
    path = executable()
    assert path is not None
    command = [path, *_SWITCHES, f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield Browser(_port(folder, process))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait(5)


def _port(folder: Path, process: subprocess.Popen[bytes]) -> int:
    """Chromium writes the port it took into its profile."""
    deadline = time.monotonic() + START_SECONDS
    file = folder / "DevToolsActivePort"
    while not (file.exists() and file.read_text().strip()):
        assert process.poll() is None, f"chromium ended with {process.returncode}"
        assert time.monotonic() < deadline, "chromium opened no port"
        time.sleep(0.05)
    return int(file.read_text().split()[0])
