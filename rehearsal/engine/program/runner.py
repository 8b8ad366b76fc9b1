"""Runs the user's program in a child process and passes on what it says."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from petpark.loopback import direct
from rehearsal import child_process
from rehearsal.engine.configuration import Project
from rehearsal.engine.display import Reporter

_CHILD = Path(__file__).with_name("child.py")
_LOOK_SECONDS = 0.1
_LAST_LINES = 30


def run(project: Project, address: str, *, reporter: Reporter, stop: Callable[[], bool]) -> str | None:
    """Run the program against the engine at `address`; returns None, or why it failed.

    As soon as `stop` says so the program is ended: its answer does not matter any more.
    """
    child = child_process.start(
        # -P: the folder of child.py must not be on the program's import path.
        [sys.executable, "-P", str(_CHILD), address, str(project.directory), str(project.program)],
        directory=project.directory,
        # The caller's environment without what points at a real account or at another engine.
        environment=direct({k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PULUMI_"))}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    complaints: list[str] = []
    readers = [
        threading.Thread(target=_each_line, args=(child.stdout, reporter.message), daemon=True),
        threading.Thread(target=_each_line, args=(child.stderr, complaints.append), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        code = _wait(child, stop)
        for reader in readers:
            reader.join(5)
    finally:
        child_process.stop(child)
    if code == 0:
        for line in complaints:
            reporter.message(line, warning=True)
    return None if code in (0, None) else _why(complaints, code)


def _wait(child: subprocess.Popen[str], stop: Callable[[], bool]) -> int | None:
    """The exit code, or None if we ended it."""
    while True:
        try:
            return child.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if stop():
                child_process.stop(child)
                return None


def _each_line(stream: IO[str] | None, tell: Callable[[str], object]) -> None:
    for line in stream or ():
        tell(line.rstrip("\n"))


def _why(complaints: list[str], code: int) -> str:
    told = "\n".join(complaints[-_LAST_LINES:]).strip()
    return f"The program failed:\n{told}" if told else f"The program ended with exit code {code} and no word why."
