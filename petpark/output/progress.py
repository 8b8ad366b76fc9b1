"""Progress of a command: a bar on a terminal, lines in a pipe or a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, override

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console


class Report(Protocol):
    """Receives the progress of an operation."""

    def __call__(self, done: int, of: int, what: str = "", said: str = "") -> None:
        """`done` of `of`; `what`, for a command with several stages; `said`: the same as a sentence."""
        ...


@dataclass
class ProgressLines:
    """Progress as lines: at most eleven per stage, however many steps it has."""

    write: Callable[[str], None]
    what: str
    _last: tuple[str, int] | None = None

    def __call__(self, done: int, of: int, what: str = "", said: str = "") -> None:
        """See `Report`."""
        now = (what or self.what, 10 * done // of if of else 0)
        if now != self._last:
            self._last = now
            self.write(said or (f"{now[0]}: {done:,} of {of:,}" if of else f"{now[0]} …"))


class _Rate(ProgressColumn):
    """A progress bar's column: how many per second."""

    @override
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="progress.data.speed")


def bar_on(console: Console) -> Progress:
    """Returns a progress bar that disappears when it ends."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
