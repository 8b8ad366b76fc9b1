"""The threads that decode and infer, and the queue before them: short, and shared fairly between callers."""

import asyncio
import functools
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from serving.connections import peer_of
from serving.keys.door import Caller
from serving.problems import OVERLOADED, Problem
from serving.settings import Limits

RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True)
class _Task:
    future: Future[Any]
    work: Callable[[], Any]
    own_place: bool
    """Whether its place is given back with it; one that several tasks share cannot be taken away."""


class Workers:
    """A thread a core. Decoding and inference release Python's lock, so the threads really run side by side.

    Callers are served in turns, one piece of work each. A request beyond `threads + queue` is refused at once, for it
    would wait longer than its caller does; but where another caller holds more places, the newest request that waits
    for that one is refused instead (longest queue drop: McKenney, "Stochastic Fairness Queueing", 1990). So nobody
    fills the queue for others. Work that is not done within `seconds` is given up: it leaves the queue, or its answer
    is dropped; a thread cannot be stopped.
    """

    def __init__(
        self, *, threads: int, queue: int, seconds: float = Limits.answer_seconds, shares: bool = True
    ) -> None:
        """`shares`: whether addresses tell callers apart; behind a load balancer only keys do."""
        self.threads = threads
        self._seconds = seconds
        self._shares = shares
        self._places = threads + queue
        self._taken = 0
        self._held: Counter[str] = Counter()
        """Places of each caller, running or waiting."""
        self._waiting: dict[str, deque[_Task]] = {}
        """What each caller waits for, the caller whose turn is next first."""
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="classify")

    @property
    def taken(self) -> int:
        """Requests running or waiting now."""
        return self._taken

    def peer(self, caller: Caller | None, host: str | None) -> str:
        """Return whose turn a request takes: its key's, else its address's; "" if neither tells callers apart."""
        if caller is not None and caller.key is not None:
            return f"key {caller.key.name}"
        return peer_of(host) if self._shares and host else ""

    async def run[**P, T](self, peer: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on a thread and wait for it. Raises `Problem` (503) when all places are taken or time is up."""
        self._take(peer)
        future = self._submit(peer, functools.partial(work, *args, **kwargs), own_place=True)
        # The place is given back when the work ends or is cancelled before it began, not when its caller leaves.
        future.add_done_callback(lambda _: self._give_back(peer))
        return await self._in_time(future)

    @contextmanager
    def place(self, peer: str) -> Generator[None]:
        """Hold one place for several calls of `run_in_place`, one after the other. Raises `Problem` (503)."""
        self._take(peer)
        try:
            yield
        finally:
            self._give_back(peer)

    async def run_in_place[**P, T](self, peer: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on a thread in a place that is held already: it joins the queue, but is not refused.

        Raises `Problem` (503) where it takes long.
        """
        return await self._in_time(self._submit(peer, functools.partial(work, *args, **kwargs), own_place=False))

    def close(self) -> None:
        """Begin nothing any more. What is begun is not waited for: its callers have gone, or had their time."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            waiting = [task.future for tasks in self._waiting.values() for task in tasks]
            self._waiting.clear()
        for future in waiting:
            future.cancel()

    def _submit[T](self, peer: str, work: Callable[[], T], *, own_place: bool) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            self._waiting.setdefault(peer, deque()).append(_Task(future, work, own_place))
        self._pool.submit(self._run_next)  # once for each task; whose it will be is decided when a thread is free
        return future

    def _run_next(self) -> None:
        with self._lock:
            if not self._waiting:
                return  # refused since
            peer = next(iter(self._waiting))
            tasks = self._waiting.pop(peer)
            task = tasks.popleft()
            if tasks:
                self._waiting[peer] = tasks
        if not task.future.set_running_or_notify_cancel():
            return
        try:
            result = task.work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            task.future.set_exception(error)
        else:
            task.future.set_result(result)

    async def _in_time[T](self, future: Future[T]) -> T:
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            detail = f"There was no answer within {self._seconds:g} seconds. Try again after a moment."
            raise Problem(OVERLOADED, detail, retry_after=RETRY_AFTER_SECONDS) from None

    def _take(self, peer: str) -> None:
        while True:
            with self._lock:
                if self._taken < self._places:
                    self._taken += 1
                    self._held[peer] += 1
                    return
                refused = self._longest(peer)
            if refused is None:
                raise self._overloaded()
            if refused.set_running_or_notify_cancel():
                refused.set_exception(self._overloaded())  # and so gives its place back

    def _longest(self, peer: str) -> Future[Any] | None:
        """Take the newest request out of the queue of the caller with the most places; None if `peer` has as many."""
        droppable = {
            other: next((task for task in reversed(tasks) if task.own_place), None)
            for other, tasks in self._waiting.items()
        }
        most = max((other for other, task in droppable.items() if task), key=self._held.__getitem__, default="")
        task = droppable.get(most)
        if task is None or self._held[most] <= self._held[peer] + 1:
            return None
        self._waiting[most].remove(task)
        if not self._waiting[most]:
            del self._waiting[most]
        return task.future

    def _overloaded(self) -> Problem:
        detail = f"{self._places} requests are running or waiting. Try again after a moment."
        return Problem(OVERLOADED, detail, retry_after=RETRY_AFTER_SECONDS)

    def _give_back(self, peer: str) -> None:
        with self._lock:
            self._taken -= 1
            self._held[peer] -= 1
            if not self._held[peer]:
                del self._held[peer]
