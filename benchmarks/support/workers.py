"""Processes that each run one function and return its result."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnContext


class Member[T]:
    """A process that calls `work`; it ends after its result, at the end of its block, or with this process."""

    def __init__(self, context: "SpawnContext", work: Callable[[], T]) -> None:
        self._answers, out = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(work, out), daemon=True)
        self._process.start()
        out.close()  # so that its end is noticed as the end of the pipe

    def answer(self, timeout: float) -> T:
        """Returns the result of `work`; exits the program if that takes over `timeout` seconds."""
        if not self._answers.poll(timeout):
            sys.exit(f"no result from process {self._process.pid} within {timeout:g} s")
        try:
            return self._answers.recv()
        except EOFError:
            sys.exit(f"process {self._process.pid} ended without a result")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join(10)


def _work[T](work: Callable[[], T], out: "Connection[T, None]") -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    out.send(work())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
