"""The progress of a download: a bar on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

type Report = Callable[[int, int | None], None]
"""Called with bytes done, and bytes in total if known."""

_EVERY = 10.0
"""Seconds between two lines in a pipe."""


@contextlib.contextmanager
def shown(label: str, console: Console, *, clock: Callable[[], float] = time.monotonic) -> Generator[Report]:
    """Show the progress of one download on `console` while the block runs."""
    if not console.is_terminal:
        yield _lines(label, console, clock)
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def megabytes(count: int) -> str:
    """A size as publishers state it: `130 MB`."""
    return f"{count / 1e6:.0f} MB"


def _lines(label: str, console: Console, clock: Callable[[], float]) -> Report:
    last = clock()

    def report(done: int, total: int | None) -> None:
        nonlocal last
        if (now := clock()) - last >= _EVERY:
            last = now
            console.print(f"{label}: {megabytes(done)}" + (f" of {megabytes(total)}" if total else ""), soft_wrap=True)

    return report
