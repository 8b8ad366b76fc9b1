"""Photos measured by other processes: decoding holds the GIL half of the time, so threads gain little.

A process ends when its pipe closes, and so with the one that started it, however that ends.
"""

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Final, Self

from imaging.errors import PhotoError, PhotoUnreadable
from imaging.measures import PhotoMeasures, measure

HERE: Final = 256
"""Photos that are measured by the caller's own threads before processes start: these take a quarter of a second."""

_MOST: Final = 8
"""More than these cannot be kept busy by one process that reads and sends."""

_PROGRAM: Final = ("-P", "-m", "imaging.measuring")
"""-P: no imports from the current folder."""

_ENVIRONMENT: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(16 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(32 * 2**20),
}
"""A process keeps the memory that one photo took for the next one; returned, it costs half as much again as measuring.

https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

_TRIES: Final = 2
_GRACE_SECONDS: Final = 10.0
_READY: Final = b"ready"


class MeasuringFailed(RuntimeError):
    """No process could be started that measures photos."""


class Measurer:
    """Measures photos for any number of threads: the first ones here, further ones in a process a core.

    Use it as a context manager; the processes end with the block.
    """

    def __init__(self, *, processes: int | None = None, here: int = HERE) -> None:
        """`processes`: by default one for each core; with one core all photos are measured here."""
        self._count = min(_MOST, os.process_cpu_count() or 1) if processes is None else processes
        self._left = here
        self._lock = threading.Lock()
        self._started: list[_Process] = []
        self._free: queue.LifoQueue[_Process] = queue.LifoQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.end()

    def measure(self, data: bytes) -> PhotoMeasures:
        """As `imaging.measure`; PhotoError, MeasuringFailed.

        A photo on which two processes end one after the other, by memory or a fault of a decoder, is `PhotoUnreadable`.
        """
        if self._is_here():
            return measure(data)
        process = self._free.get()
        try:
            for _ in range(_TRIES):
                with contextlib.suppress(EOFError, OSError):
                    return process.measure(data)
                process.start_again()
        finally:
            self._free.put(process)
        raise PhotoUnreadable("the process that decodes it ends each time, for memory or by a fault of the decoder")

    def _is_here(self) -> bool:
        if self._count <= 1:
            return True
        with self._lock:
            if self._left > 0:
                self._left -= 1
                return True
            if not self._started:
                self._started = [_Process() for _ in range(self._count)]
                for process in self._started:
                    self._free.put(process)
        return False


class _Process:
    """One process, for one thread at a time."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *_PROGRAM, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=os.environ | _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._is_ready = False

    def measure(self, data: bytes) -> PhotoMeasures:
        """PhotoError; EOFError or OSError if the process ended."""
        if not self._is_ready:
            self._wait_until_ready()
        self._pipe.send_bytes(data)
        answer = pickle.loads(self._pipe.recv_bytes())  # noqa: S301  from a process that we started
        if isinstance(answer, PhotoError):
            raise answer
        return answer

    def _wait_until_ready(self) -> None:
        try:
            self._is_ready = self._pipe.recv_bytes() == _READY
        except (EOFError, OSError) as error:
            self.end()
            raise MeasuringFailed(
                f"a process that decodes photos ended as it started, with {self._process.returncode}; what it said "
                "stands above. Free memory, or allow this user more processes"
            ) from error

    def start_again(self) -> None:
        """After it ended unexpectedly."""
        self.end()
        self._start()

    def end(self) -> None:
        """It has nothing to finish: its photos are done, or their results are not needed."""
        self._pipe.close()
        self._process.kill()
        self._process.wait(_GRACE_SECONDS)


def main() -> None:
    """Measure each photo that comes by the pipe, and send back what was found, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides when it ends
    with contextlib.suppress(EOFError, ConnectionError), Connection(int(sys.argv[1])) as pipe:
        pipe.send_bytes(_READY)
        while True:
            data = pipe.recv_bytes()
            try:
                found: PhotoMeasures | PhotoError = measure(data)
            except PhotoError as error:
                found = error
            pipe.send_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main()
