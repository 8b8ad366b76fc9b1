"""The process's output streams: flushes them at the end, and handles write errors."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Generator
from pathlib import Path
from typing import IO, cast

from petpark.errors import ENVIRONMENT


class OutputNotWritten(OSError):
    """A command's output cannot be written. A separate class, because an OSError can be about another file."""


@contextlib.contextmanager
def naming_output_errors() -> Generator[None]:
    """Turn errors of the output into `OutputNotWritten`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputNotWritten(error.errno, error.strerror) from error


@contextlib.contextmanager
def written_out() -> Generator[None]:
    """Flush what the block prints. If that fails, end the process with `ENVIRONMENT`.

    Prints the reason, unless the reader has closed the pipe, as with `| head`.
    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    try:
        try:
            yield
        finally:
            for stream in filter(None, (sys.stderr, sys.stdout)):  # None: closed from the beginning
                stream.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError):
                sys.stderr.write(f"OutputNotWritten: {_name(sys.stdout)}{error.strerror}.\n")
        for stream in filter(None, (sys.stderr, sys.stdout)):
            discard(stream)
        raise SystemExit(ENVIRONMENT) from None


def unread() -> bool:
    """Whether the reader of the output has closed it. A BrokenPipeError alone can be about another connection."""
    poll = select.poll()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with contextlib.suppress(OSError, ValueError):
            poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _name(stream: IO[str] | None) -> str:
    """The file that a stream is written to, with a colon; empty if it is unknown."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return f"{Path(f'/proc/self/fd/{cast("IO[str]", stream).fileno()}').readlink()}: "
    return ""


def discard(stream: IO[str]) -> None:
    """Send the rest of the stream's buffer to /dev/null: Python flushes it at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
