"""A training as a child process: a crash, or its memory, does not affect the worker."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TextIO

_LINES: Final = 12
_POLL_SECONDS: Final = 0.2
_GRACE_SECONDS: Final = 100.0
"""Time between SIGTERM and SIGKILL, for the last checkpoint: a distributed training needs up to 90 s. A spot
instance is interrupted two minutes after its notice."""

COMMAND: Final = (sys.executable, "-m", "training")


class TrainingProcess:
    """Run `command`, pass its output lines to `print_line`, and keep the last ones."""

    def __init__(self, command: Sequence[str] = COMMAND, *, print_line: Callable[[str], None]) -> None:
        self._command = command
        self._print_line = print_line
        self._tail: deque[str] = deque(maxlen=_LINES)

    @property
    def last_lines(self) -> str:
        """The last lines of the output."""
        return "\n".join(self._tail)

    def run(self, stop: Callable[[], bool], variables: Mapping[str, str], *, grace: float = _GRACE_SECONDS) -> int:
        """Run the process. Returns its exit status, negative for a signal.

        Once `stop` returns True, sends SIGTERM, and SIGKILL after `grace` seconds.
        """
        process = subprocess.Popen(
            self._command,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a SIGTERM to the worker's process group must not also reach the training
        )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        reader = threading.Thread(target=self._read, args=(process.stdout,), name="training-output", daemon=True)
        reader.start()
        try:
            status = _wait(process, stop, grace)
        finally:
            if process.poll() is None:
                _end_all(process)
        reader.join(_GRACE_SECONDS)
        return status

    def _read(self, output: TextIO) -> None:
        with output:
            for line in output:
                self._tail.append(line.rstrip("\n"))
                self._print_line(line.rstrip("\n"))


def _wait(process: subprocess.Popen[str], stop: Callable[[], bool], grace: float) -> int:
    while not stop():
        try:
            return process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(grace)
    except subprocess.TimeoutExpired:
        _end_all(process)
        return process.wait()


def _end_all(process: subprocess.Popen[str]) -> None:
    """Kill the process and its children."""
    os.killpg(process.pid, signal.SIGKILL)
