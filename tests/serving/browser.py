"""A headless Chromium for tests of pages: this machine's own, or the one that Playwright installed."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserType, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "microsoft-edge")


class BrowserMissing(AssertionError):
    """Nothing here can show a page; the message says what to install."""


@contextmanager
def chromium() -> Generator[Browser]:
    """Start one. Raises `BrowserMissing`."""
    with sync_playwright() as playwright:
        # No sandbox: tests may run as root in a container, where Chromium has none; it sees only our own pages.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=_path(playwright.chromium), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def _path(kind: BrowserType) -> str:
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    if Path(kind.executable_path).exists():
        return kind.executable_path
    raise BrowserMissing(
        "The pages are tested in Chromium, and there is none: install it (Debian: apt-get install chromium), or run "
        ".venv/bin/python -m playwright install chromium-headless-shell."
    )
