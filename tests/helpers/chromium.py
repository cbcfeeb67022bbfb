"""A headless Chromium, driven over a pipe by its DevTools protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FOUND = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
NEEDS_BROWSER = [
    pytest.mark.slow,
    pytest.mark.skipif(FOUND is None, reason="there is no Chromium on this machine"),
]
"""Marks of tests that need a browser."""

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)

_CODES = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}
"""Windows virtual key codes of keys that enter no character."""

_ON_3_AND_4 = 'exec "$@" 3<&8 4>&9 8<&- 9>&-'
"""Shell command that moves the pipes to the descriptors that Chromium expects."""


class Page:
    """One open page, and its recorded events."""

    def __init__(self, process: subprocess.Popen[bytes], reading: int, writing: int) -> None:
        self._process = process
        self._reading, self._writing = reading, writing
        self._number, self._received = 0, b""
        self.events: list[dict[str, Any]] = []
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a DevTools command to this page, and return its result."""
        return self._send(method, self._session, **parameters)

    def show(self, width: int, *, dark: bool = False, height: int = 800) -> None:
        """Set the screen's size in CSS pixels; a narrow screen is that of a phone."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded."""
        self.visit(path.absolute().as_uri())

    def visit(self, url: str) -> None:
        """Open an address and wait until the page is loaded."""
        self._load("about:blank")  # ends requests of the page before, whose server may be gone
        self._load(url)

    def _load(self, url: str) -> None:
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._receive()

    def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        evaluated = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in evaluated, evaluated["exceptionDetails"]
        return evaluated["result"].get("value")

    def wait_for(self, script: str, seconds: float = 20) -> None:
        """Wait until a JavaScript expression is true. Raises `AssertionError` if it stays false."""
        end = time.monotonic() + seconds
        while not self.evaluate(script):
            assert time.monotonic() < end, f"still false: {script}"
            time.sleep(0.02)

    def press(self, key: str, held: int = 0) -> None:
        """Press and release a key, which enters a character; `held` is the number of repeats."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        # Without its code, a key has no effect of its own, such as moving the focus.
        code = {"windowsVirtualKeyCode": _CODES[key]} if key in _CODES else {}
        down = {"type": "keyDown", "key": key, **text, **code}
        self.call("Input.dispatchKeyEvent", **down)
        for _ in range(held):
            self.call("Input.dispatchKeyEvent", **down, autoRepeat=True)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **code)

    def tap(self, selector: str) -> None:
        """Touch the middle of the element that a CSS selector finds."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        self.evaluate(f"document.querySelector({json.dumps(selector)}).scrollIntoView()")
        x, y = (
            self.evaluate(f"{box}.{axis} + {box}.{size} / 2")
            for axis, size in (("x", "width"), ("y", "height"))
        )
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def drag(self, places: Sequence[tuple[float, float]], modifiers: int = 0) -> None:
        """Press the mouse at the first place, move it over the others, and release it."""
        kinds = ["mousePressed", *["mouseMoved"] * (len(places) - 1), "mouseReleased"]
        for kind, (x, y) in zip(kinds, [*places, places[-1]], strict=True):
            self.call(
                "Input.dispatchMouseEvent",
                **{"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1},
                modifiers=modifiers,
            )

    def complaints(self) -> list[str]:
        """Return errors and warnings of console, policy and scripts."""
        methods = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [json.dumps(event["params"]) for event in self.events if event["method"] in methods]

    def requests(self) -> list[str]:
        """Return requested addresses, without the page itself and its `data:` URIs."""
        sent = (
            event["params"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        )
        return [
            request["request"]["url"]
            for request in sent
            if request.get("type") != "Document"
            and not request["request"]["url"].startswith("data:")
        ]

    def _send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            chunk = os.read(self._reading, 1 << 20)
            assert chunk, "Chromium has ended"
            self._received += chunk
        line, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """Start a Chromium with an empty profile; needs `FOUND`."""
    assert FOUND
    from_us, to_chromium = os.pipe()
    from_chromium, to_us = os.pipe()
    process = subprocess.Popen(
        ["sh", "-c", _ON_3_AND_4, "sh", FOUND, *_FLAGS, f"--user-data-dir={profile}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(8, 9),
        preexec_fn=lambda: _place(from_us, to_us),
    )
    os.close(from_us)
    os.close(to_us)
    try:
        yield Page(process, from_chromium, to_chromium)
    finally:
        process.kill()
        process.wait()
        os.close(to_chromium)
        os.close(from_chromium)


def _place(reading: int, writing: int) -> None:
    """Move two descriptors to 8 and 9 by way of free ones above 9."""
    copies = os.dup(reading), os.dup(writing)
    while min(copies) < 10:
        copies = os.dup(copies[0]), os.dup(copies[1])
    os.dup2(copies[0], 8)
    os.dup2(copies[1], 9)
