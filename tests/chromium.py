"""A real Chromium without a window, spoken to by its own protocol (DevTools)."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

PATIENCE = 60.0


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A page of a fresh browser. Without a browser the test is skipped, and fails where ``CI`` is set."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "Chromium is missing: apt-get install chromium"
        )
    arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
    ]
    process = subprocess.Popen(
        [program, *arguments, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        address = next(
            line.split()[-1] for line in process.stderr if line.startswith("DevTools listening on")
        )
        with connect(address, proxy=None, max_size=None) as socket:
            yield Page(socket)
    finally:
        process.kill()
        process.communicate()


class NavigatedError(AssertionError):
    """The page gave way to another one while it was asked."""


class Page:
    """One page, and what happened on it.

    :param events: what the browser told of the page, oldest first.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self.events: list[tuple[str, dict[str, Any]]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask the browser to do something, and give its answer."""
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        self._socket.send(json.dumps({"id": number, "method": method, "params": params, **session}))
        while (message := self._receive()).get("id") != number:
            pass
        if "navigated" in message.get("error", {}).get("message", ""):
            raise NavigatedError(message["error"])
        assert "error" not in message, message["error"]
        result: dict[str, Any] = message["result"]
        return result

    def emulate(self, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Be a screen of a width and a height in pixels, or a phone, with the light or dark scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str, *, width: int, dark: bool = False) -> None:
        """Show a page of a width in pixels, all its pictures included."""
        self.emulate(width=width, dark=dark)
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(name == "Page.loadEventFired" for name, _ in self.events):
            self._receive()
        self.evaluate(
            "Promise.all([...document.images].map(image => { image.loading = 'eager'; return image.decode(); }))"
        )

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, which the page's own policy does not bind."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and let go of a key."""
        number = {"Tab": 9, "Enter": 13}[key]
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=number)

    def click(self, element: str) -> None:
        """Press the mouse upon the middle of an element, which a JavaScript expression gives."""
        middle = "[each.x + each.width / 2, each.y + each.height / 2]"
        x, y = self.evaluate(
            f"(({element}).scrollIntoView({{block: 'center'}}), (each => {middle})(({element}).getBoundingClientRect()))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, element: str, text: str) -> None:
        """Click upon a field, and type a text."""
        self.click(element)
        self.call("Input.insertText", text=text)

    def wait_for(self, condition: str, *, timeout: float = PATIENCE) -> None:
        """Wait until a JavaScript expression is true.

        :param timeout: seconds.
        """
        give_up = time.monotonic() + timeout
        while True:
            with suppress(NavigatedError):
                if self.evaluate(f"Boolean({condition})"):
                    return
                assert time.monotonic() < give_up, (condition, self.evaluate("document.body.innerText"))
            time.sleep(0.1)

    def screenshot(self, file: Path) -> None:
        """Write the whole page as a PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        file.write_bytes(base64.b64decode(shot))

    def keep(self, file: Path) -> None:
        """Write the whole page as a PNG that outlives the test."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self.screenshot(file)

    def requests(self) -> list[str]:
        """Every URL that the page asked for."""
        return [event["request"]["url"] for name, event in self.events if name == "Network.requestWillBeSent"]

    def complaints(self) -> list[Any]:
        """What the browser wrote into its console, and dialogs."""
        names = (
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Page.javascriptDialogOpening",
        )
        return [event for name, event in self.events if name in names]

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(timeout=PATIENCE))
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message
