"""Processes that end with us, however we end."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

# Runs between fork and exec in a small interpreter of its own, because Python code after a fork of a process with
# threads may deadlock. The kernel kills the child when the *thread* that started it ends, so start children from a
# thread that outlives them; the comparison of parents covers a parent that died before the call.
_TIE = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def start(
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
) -> subprocess.Popen[str]:
    """Start `command` (an absolute path first) so that it is killed when we end, SIGKILL included.

    It gets a session of its own: Ctrl-C in a terminal reaches only us, and we let it finish what it is doing.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), *command],
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[str], *, timeout: float = 3.0) -> None:
    """End `process`: SIGTERM, wait `timeout` seconds, SIGKILL; returns when it has ended and its pipes are closed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
