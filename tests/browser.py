"""A headless Chromium for tests of pages: this machine's own, or the one that Playwright installed.

`python -m tests.browser` installs one if there is none; `make test` calls it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Error, sync_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "microsoft-edge")
ADVICE: Final = (
    "The pages are tested in Chromium. Install it (Debian: apt-get install chromium), or run "
    "`.venv/bin/python -m playwright install --with-deps chromium-headless-shell`."
)
OS_RELEASE: Final = Path("/etc/os-release")
_APT: Final = ("apt-get", "-qq", "-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=30")
_STEP_SECONDS: Final = 900
_ARGUMENTS: Final = (
    "--no-sandbox",  # tests may run as root in a container, where Chromium has none; it sees only our own pages
    "--disable-dev-shm-usage",
    "--disable-gpu",
)

type Run = Callable[[Sequence[str]], bool]
"""Runs a command and returns whether it succeeded."""

type Way = Sequence[Sequence[str]]
"""The commands that install a browser."""


class BrowserMissing(AssertionError):
    """There is no browser, or it does not start; the message says what to install."""


@contextmanager
def chromium() -> Generator[Browser]:
    """Start one. Raises `BrowserMissing`."""
    with sync_playwright() as playwright:
        path = on_path() or playwright.chromium.executable_path
        if not Path(path).exists():
            raise BrowserMissing(f"There is no browser on this machine. {ADVICE}")
        try:
            browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        except Error as error:
            raise BrowserMissing(f"{path} does not start: {error.message}\n{ADVICE}") from error
        try:
            yield browser
        finally:
            browser.close()


def on_path() -> str | None:
    """Returns the browser on `PATH`, if there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def ways_to_install(*, root: bool, os_release: str) -> list[Way]:
    """Returns the ways to install a browser, best first.

    Debian's package brings its libraries. Ubuntu's package of the same name needs snap, so there, as anywhere else,
    Playwright downloads its own build; as root it installs the libraries too.
    """
    playwright = [sys.executable, "-m", "playwright", "install", "chromium-headless-shell"]
    if not root:
        return [[playwright]]
    own = [[*playwright, "--with-deps"]]
    if "ID=debian" not in os_release.split():
        return [own]
    return [[[*_APT, "update"], [*_APT, "install", "--yes", "--no-install-recommends", "chromium"]], own]


def install(ways: Sequence[Way], run: Run, starts: Callable[[], str]) -> str:
    """Install a browser unless one starts. Returns why there is still none, or an empty string.

    `starts` returns why no browser starts.
    """
    why = starts()
    for way in ways:
        if not why:
            break
        if all(run(command) for command in way):
            why = starts()
    return why


def _run(command: Sequence[str]) -> bool:
    print(f"setup      browser for tests of pages: {' '.join(command)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        ran = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_STEP_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"setup      failed: {error}", file=sys.stderr)
        return False
    if ran.returncode:
        lines = (ran.stdout + ran.stderr).decode(errors="replace").strip().splitlines()
        print("\n".join(["setup      failed:", *lines[-5:]]), file=sys.stderr)
    return ran.returncode == 0


def _starts() -> str:
    try:
        with chromium():
            return ""
    except BrowserMissing as error:
        return str(error)


def main() -> int:
    """Install a browser unless this machine has one; an exit code."""
    release = OS_RELEASE.read_text() if OS_RELEASE.exists() else ""
    why = install(ways_to_install(root=os.geteuid() == 0, os_release=release), _run, _starts)
    if why:
        print(f"make test: {why}", file=sys.stderr)
    return 2 if why else 0


if __name__ == "__main__":
    sys.exit(main())
