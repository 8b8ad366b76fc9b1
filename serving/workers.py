"""The threads that decode and infer, and the door before them that keeps the queue short."""

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from serving.problems import OVERLOADED, Problem
from serving.settings import Limits

RETRY_AFTER_SECONDS = 1


class Workers:
    """A thread a core. Decoding and inference release Python's lock, so the threads really run side by side.

    A request beyond `threads + queue` is refused at once: it would wait longer than its caller does. Work that is not
    done within `seconds` is given up: it leaves the queue, or its answer is dropped; a thread cannot be stopped.
    """

    def __init__(self, *, threads: int, queue: int, seconds: float = Limits.answer_seconds) -> None:
        self.threads = threads
        self._seconds = seconds
        self._places = threads + queue
        self._taken = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="classify")

    @property
    def taken(self) -> int:
        """Requests running or waiting now."""
        return self._taken

    async def run[**P, T](self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on a thread and wait for it. Raises `Problem` (503) when all places are taken or time is up."""
        self._take()
        future = self._pool.submit(work, *args, **kwargs)
        # The place is given back when the work ends or is cancelled before it began, not when its caller leaves.
        future.add_done_callback(self._give_back)
        return await self._in_time(future)

    @contextmanager
    def place(self) -> Generator[None]:
        """Hold one place for several calls of `run_in_place`, one after the other. Raises `Problem` (503)."""
        self._take()
        try:
            yield
        finally:
            self._give_back()

    async def run_in_place[**P, T](self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on a thread in a place that is held already: it joins the queue, but is not refused.

        Raises `Problem` (503) where it takes long.
        """
        return await self._in_time(self._pool.submit(work, *args, **kwargs))

    def close(self) -> None:
        """Begin nothing any more. What is begun is not waited for: its callers have gone, or had their time."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _in_time[T](self, future: Future[T]) -> T:
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            detail = f"There was no answer within {self._seconds:g} seconds. Try again after a moment."
            raise Problem(OVERLOADED, detail, retry_after=RETRY_AFTER_SECONDS) from None

    def _take(self) -> None:
        with self._lock:
            if self._taken >= self._places:
                raise Problem(
                    OVERLOADED,
                    f"{self._taken} requests are running or waiting. Try again after a moment.",
                    retry_after=RETRY_AFTER_SECONDS,
                )
            self._taken += 1

    def _give_back(self, _future: Future[Any] | None = None) -> None:
        with self._lock:
            self._taken -= 1
