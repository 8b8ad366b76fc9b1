"""Worker threads for decoding and inference, with a bounded queue that callers share fairly."""

import asyncio
import functools
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from serving.auth.api_key_auth import Caller
from serving.http.connections import peer_of
from serving.problems import OVERLOADED, Problem
from serving.settings import Limits

RETRY_AFTER_SECONDS = 1


@dataclass(kw_only=True, slots=True, eq=False)
class _Task:
    peer: str
    work: Callable[[], Any]
    own_place: bool
    """Whether its place is released when it ends; a place shared by several tasks cannot be revoked."""
    answers: bool
    """Whether it sends the response itself, so that the event loop need not be woken when it ends."""
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    waiting: bool = True
    """Whether it is in the queue; guarded by the lock of the workers."""
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Deliver the result to the waiting request. For the event loop."""
        if self.done.done():
            return  # the caller has disconnected, or the timeout has passed
        if self.error is None:
            self.done.set_result(self.result)
        else:
            self.done.set_exception(self.error)


class Workers:
    """Runs tasks on `threads` threads. Decoding and inference release Python's lock, so they run in parallel.

    Callers are served in turns, one task each. A request beyond `threads + queue` is refused immediately; but if
    another caller has more requests waiting, the newest of these is refused instead (longest queue drop: McKenney,
    "Stochastic Fairness Queueing", 1990), so no caller can fill the queue. A task that takes longer than `seconds`
    times out: it leaves the queue, or its response is dropped, since a running thread cannot be stopped.
    """

    def __init__(
        self, *, threads: int, queue: int, seconds: float = Limits.answer_seconds, shares: bool = True
    ) -> None:
        """`shares`: whether callers are distinguished by address, or, behind a load balancer, only by key."""
        self.threads = threads
        self._seconds = seconds
        self._shares = shares
        self._places = threads + queue
        self._taken = 0
        self._held: Counter[str] = Counter()
        """Places of each caller, running or waiting."""
        self._waiting: dict[str, deque[_Task]] = {}
        """Waiting tasks by caller; the next caller is the first."""
        self._lock = threading.Lock()
        self._turns: SimpleQueue[bool] = SimpleQueue()
        """True for each task, which is chosen when a thread is free. False ends a thread."""
        self._answered: deque[_Task] = deque()
        """Tasks that have sent their response, and whose requests have not ended yet."""
        self._threads: list[threading.Thread] = []

    @property
    def taken(self) -> int:
        """Number of requests running or waiting."""
        return self._taken

    def peer(self, caller: Caller | None, host: str | None) -> str:
        """Returns the caller of a request: its key, else its address; "" if neither distinguishes callers."""
        if caller is not None and caller.key is not None:
            return f"key {caller.key.name}"
        return peer_of(host) if self._shares and host else ""

    async def run[**P, T](self, peer: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on a thread. Returns its result. Raises `Problem` (503) if all places are taken, or on timeout."""
        self._reserve(peer)
        return await self._in_time(self._submit(peer, functools.partial(work, *args, **kwargs)))

    async def answer[**P](self, peer: str, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Like `run`, for work that sends the response itself.

        The event loop is not woken at the end of each task: it ends such requests with the next submitted task, or when
        the queue is empty.
        """
        self._reserve(peer)
        await self._in_time(self._submit(peer, functools.partial(work, *args, **kwargs), answers=True))

    @contextmanager
    def place(self, peer: str) -> Generator[None]:
        """Reserve a place for consecutive calls of `run_in_place`. Raises `Problem` (503) if all are taken."""
        self._reserve(peer)
        try:
            yield
        finally:
            with self._lock:
                self._release(peer)

    async def run_in_place[**P, T](self, peer: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on a thread in a reserved place: it waits in the queue, but is not refused. Returns its result.

        Raises `Problem` (503) on timeout.
        """
        return await self._in_time(self._submit(peer, functools.partial(work, *args, **kwargs), own_place=False))

    def close(self) -> None:
        """Cancel waiting tasks and end idle threads. Running tasks are not waited for: draining gave them time."""
        with self._lock:
            tasks = [task for tasks in self._waiting.values() for task in tasks]
        for task in tasks:
            self._leave(task)
        for _ in self._threads:
            self._turns.put(False)

    def _submit(self, peer: str, work: Callable[[], Any], *, own_place: bool = True, answers: bool = False) -> _Task:
        self.settle()
        loop = asyncio.get_running_loop()
        task = _Task(peer=peer, work=work, own_place=own_place, answers=answers, loop=loop, done=loop.create_future())
        with self._lock:
            self._waiting.setdefault(peer, deque()).append(task)
            if len(self._threads) < self.threads:
                self._start_thread()
        self._turns.put(True)
        return task

    def _start_thread(self) -> None:
        name = f"classify_{len(self._threads)}"
        self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
        self._threads[-1].start()

    def _work(self) -> None:
        while self._turns.get():
            self._run_next()

    def _run_next(self) -> None:
        with self._lock:
            if not self._waiting:
                return  # refused in the meantime, or the caller disconnected
            peer = next(iter(self._waiting))
            tasks = self._waiting.pop(peer)
            task = tasks.popleft()
            task.waiting = False
            if tasks:
                self._waiting[peer] = tasks
        try:
            task.result = task.work()
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting request
            task.error = error
        answered = task.answers and task.error is None
        with self._lock:
            if answered:
                self._answered.append(task)
            if task.own_place:
                self._release(peer)
            queue_empty = not self._waiting
        if not answered:
            _call(task.loop, task.settle)
        if queue_empty and self._answered:
            _call(task.loop, self.settle)

    def settle(self) -> None:
        """End the requests of tasks that have sent their response. For the event loop."""
        running_loop = asyncio.get_running_loop()
        while self._answered:
            task = self._answered.popleft()
            if task.loop is running_loop:
                task.settle()
            else:
                _call(task.loop, task.settle)

    async def _in_time(self, task: _Task) -> Any:
        try:
            async with asyncio.timeout(self._seconds):
                return await task.done
        except TimeoutError:
            detail = f"Not finished within {self._seconds:g} seconds. Retry after a moment."
            raise Problem(OVERLOADED, detail, retry_after=RETRY_AFTER_SECONDS) from None
        finally:
            if task.waiting:
                self._leave(task)

    def _leave(self, task: _Task) -> None:
        """Remove a task from the queue after a timeout or disconnect. A running one keeps its place until it ends."""
        with self._lock:
            if task.waiting:
                self._unqueue(task)
        _call(task.loop, task.done.cancel)
        _call(task.loop, self.settle)

    def _unqueue(self, task: _Task) -> None:
        task.waiting = False
        tasks = self._waiting[task.peer]
        tasks.remove(task)
        if not tasks:
            del self._waiting[task.peer]
        if task.own_place:
            self._release(task.peer)

    def _reserve(self, peer: str) -> None:
        with self._lock:
            if self._taken == self._places:
                refused = self._longest(peer)
                if refused is None:
                    raise self._overloaded()
                self._unqueue(refused)
                refused.error = self._overloaded()
                _call(refused.loop, refused.settle)
            self._taken += 1
            self._held[peer] += 1

    def _longest(self, peer: str) -> _Task | None:
        """Returns the newest waiting task of the caller with the most places; None if `peer` has about as many."""
        droppable = {
            other: next((task for task in reversed(tasks) if task.own_place), None)
            for other, tasks in self._waiting.items()
        }
        most = max((other for other, task in droppable.items() if task), key=self._held.__getitem__, default="")
        task = droppable.get(most)
        return None if task is None or self._held[most] <= self._held[peer] + 1 else task

    def _overloaded(self) -> Problem:
        detail = f"{self._places} requests are running or waiting. Retry after a moment."
        return Problem(OVERLOADED, detail, retry_after=RETRY_AFTER_SECONDS)

    def _release(self, peer: str) -> None:
        self._taken -= 1
        self._held[peer] -= 1
        if not self._held[peer]:
            del self._held[peer]


def _call(loop: asyncio.AbstractEventLoop, what: Callable[[], object]) -> None:
    """Schedule `what` in the event loop; does nothing if the loop is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(what)
