"""An operation of the Pulumi CLI as a child process: its events while it runs, and no process left afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal import child_process

STOP_SECONDS = 5.0
"""Seconds that an operation has to end after each of two SIGTERMs."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How an operation ended: its exit status (negative: a signal's number) and its output without events."""

    status: int
    said: str


class Operation:
    """One run of the CLI with `--json`, so that it prints engine events (apitype.EngineEvent), one per line.

    The CLI gets a session of its own, so that Ctrl-C in a terminal reaches only us, and is killed when the thread that
    runs it ends, however it ends. Its language host and plugins are in process groups of their own, but stay in its
    session, by which they are found if the CLI leaves them behind.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._ending = False

    def run(
        self,
        command: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        on_event: Callable[[Mapping[str, Any]], None],
    ) -> Ended:
        """Run `command` (an absolute path first) and return when none of its processes is left.

        An exception raised by `on_event` or a signal's handler ends the operation first.
        """
        with tempfile.TemporaryFile() as errors:
            with self._lock:
                if self._ending:
                    return Ended(status=-signal.SIGTERM, said="ended before it began")
                running = self._process = child_process.start(
                    command, directory=directory, environment=environment, stdout=subprocess.PIPE, stderr=errors
                )
            threading.Thread(target=_clear, args=(running,), daemon=True).start()
            printed: list[str] = []
            try:
                for line in running.stdout or ():
                    event = _event(line)
                    if event is None:
                        printed.append(line)
                    else:
                        on_event(event)
                status = running.wait()
            finally:
                self.end()
                if running.stdout is not None:
                    running.stdout.close()
            errors.seek(0)
            return Ended(status=status, said=(errors.read().decode(errors="replace") + "".join(printed)).strip())

    def end(self) -> None:
        """From any thread: SIGTERM, again, then SIGKILL; return when none of its processes is left.

        The CLI records what is in flight after the first SIGTERM and stops at once after the second. May be called
        before, while and after it runs.
        """
        with self._lock:
            self._ending = True
            running = self._process
        if running is None:
            return
        for _ in range(2):
            if running.poll() is None:
                running.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.wait(STOP_SECONDS)
        _kill(running)
        running.wait()


def _clear(running: subprocess.Popen[str]) -> None:
    """When the CLI has ended, kill what it left: a process with its standard output open would keep us reading."""
    running.wait()
    _kill(running)


def _kill(running: subprocess.Popen[str]) -> None:
    # A session id is not reused while any process is in the session.
    for pid in _session(running.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _event(line: str) -> Mapping[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None


def _session(leader: int) -> list[int]:
    """The processes of a session."""
    if Path("/proc/self").exists():
        entries = [entry.name for entry in Path("/proc").iterdir()]
    else:  # macOS
        entries = subprocess.run(
            ["/bin/ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True
        ).stdout.split()
    found: list[int] = []
    for pid in (int(entry) for entry in entries if entry.isdigit()):
        with contextlib.suppress(OSError):  # it has ended, or is not ours
            if os.getsid(pid) == leader:
                found.append(pid)
    return found
