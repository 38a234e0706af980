"""A real browser for the tests of the page: headless Chromium."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

selenium = pytest.importorskip("selenium", reason="of the extra test")

from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
)
TIMEOUT = 15.0


class Browser:
    """Controls Chromium from a thread, so that a server in this process can answer it."""

    def __init__(self) -> None:
        assert CHROMIUM is not None
        assert DRIVER is not None
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = Options()
        options.binary_location = CHROMIUM
        for flag in [*FLAGS.split(), f"--user-data-dir={self._profile.name}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self._driver = self._do(webdriver.Chrome, options, Service(DRIVER))

    def close(self) -> None:
        self._do(self._driver.quit)
        self._profile.cleanup()

    def _do(self, function: Callable[..., Any], *args: Any) -> Any:
        return gevent.get_hub().threadpool.apply(function, args)

    def show(self, url: str, *, width: int = 1200, dark: bool = False) -> None:
        """Load a page without cached state."""
        self._do(self._driver.get, "about:blank")
        self.complaints()
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._do(self._driver.execute_cdp_cmd, "Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._do(self._driver.execute_cdp_cmd, "Emulation.setEmulatedMedia", {"features": [scheme]})
        self._do(self._driver.get, url)

    def js(self, expression: str) -> Any:
        """Return the value of a JavaScript expression on the page."""
        return self._do(self._driver.execute_script, f"return ({expression});")

    def until(self, expression: str) -> Any:
        """Wait until the value of an expression is true, and return it."""
        with gevent.Timeout(TIMEOUT, AssertionError(f"never true: {expression}")):
            while not (found := self.js(expression)):
                gevent.sleep(0.05)
        return found

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return str(self.js(f"document.querySelector({selector!r}).textContent"))

    def press(self, *keys: str) -> None:
        """Press keys one after the other in the focused element."""
        for key in keys:
            self._do(ActionChains(self._driver).send_keys(key).perform)

    def tab_to(self, selector: str) -> None:
        """Move the focus to an element with the Tab key."""
        for _ in range(60):
            if self.js(f"document.activeElement === document.querySelector({selector!r})"):
                return
            self.press(Keys.TAB)
        raise AssertionError(f"the keyboard does not lead to {selector}")

    def click(self, selector: str) -> None:
        self.js(f"document.querySelector({selector!r}).click()")

    def choose_file(self, selector: str, path: Path) -> None:
        field = self._do(self._driver.find_element, "css selector", selector)
        self._do(field.send_keys, str(path))

    def complaints(self) -> list[str]:
        """Return the errors since the last call, including loads that the policy forbids."""
        messages = [entry["message"] for entry in self._do(self._driver.get_log, "browser")]
        # The tests themselves read the canvas.
        return [each for each in messages if "getImageData" not in each]
