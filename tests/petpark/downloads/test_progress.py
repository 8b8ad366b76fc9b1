"""Progress: a bar where someone watches, a line now and then where a file does."""

from __future__ import annotations

import io
from itertools import count

from rich.console import Console

from petpark.downloads.progress import shown


def test_in_a_pipe_there_is_a_line_now_and_then() -> None:
    written = io.StringIO()
    seconds = count(0, 3)
    with shown("setup      AWS provider", Console(file=written, width=20), clock=lambda: next(seconds)) as report:
        for done in range(0, 150_000_001, 15_000_000):
            report(done, 150_000_000)
        report(150_000_000, None)  # a server that does not say how much it is
    assert written.getvalue().splitlines() == [
        "setup      AWS provider: 45 MB of 150 MB",
        "setup      AWS provider: 105 MB of 150 MB",
        "setup      AWS provider: 150 MB",
    ]


def test_on_a_terminal_there_is_a_bar_that_goes_away() -> None:
    written = io.StringIO()
    with shown("AWS provider", Console(file=written, force_terminal=True, width=100)) as report:
        report(75_000_000, 150_000_000)
    assert "75.0/150.0 MB" in written.getvalue()
    assert written.getvalue().endswith("\x1b[2K")
