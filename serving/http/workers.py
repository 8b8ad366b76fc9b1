"""The threads that decode and infer, and the queue before them: short, and shared fairly between callers."""

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
    """Whether its place is given back with it; one that several tasks share cannot be taken away."""
    answers: bool
    """Whether it sends the response itself, so that nothing waits for its end."""
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    waiting: bool = True
    """Whether it is in the queue; guarded by the lock of the workers."""
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Deliver the result to the waiting request. For the event loop."""
        if self.done.done():
            return  # its caller has left, or the time was up
        if self.error is None:
            self.done.set_result(self.result)
        else:
            self.done.set_exception(self.error)


class Workers:
    """A thread a core. Decoding and inference release Python's lock, so the threads really run side by side.

    Callers are served in turns, one piece of work each. A request beyond `threads + queue` is refused at once, for it
    would wait longer than its caller does; but if another caller has more requests waiting, the newest of these
    is refused instead (longest queue drop: McKenney, "Stochastic Fairness Queueing", 1990). So nobody
    fills the queue for others. Work that is not done within `seconds` is given up: it leaves the queue, or its answer
    is dropped; a thread cannot be stopped.
    """

    def __init__(
        self, *, threads: int, queue: int, seconds: float = Limits.answer_seconds, shares: bool = True
    ) -> None:
        """`shares`: whether callers are distinguished by address; behind a load balancer only by key."""
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
        self._turns: SimpleQueue[bool] = SimpleQueue()
        """True for each task; whose it will be is decided when a thread is free. False ends a thread."""
        self._answered: deque[_Task] = deque()
        """Tasks that have answered, and whose requests have not ended yet."""
        self._threads: list[threading.Thread] = []

    @property
    def taken(self) -> int:
        """Requests running or waiting now."""
        return self._taken

    def peer(self, caller: Caller | None, host: str | None) -> str:
        """Returns the caller of a request: its key, else its address; "" if neither distinguishes callers."""
        if caller is not None and caller.key is not None:
            return f"key {caller.key.name}"
        return peer_of(host) if self._shares and host else ""

    async def run[**P, T](self, peer: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on a thread and wait for it. Raises `Problem` (503) when all places are taken or time is up."""
        self._take(peer)
        return await self._in_time(self._submit(peer, functools.partial(work, *args, **kwargs)))

    async def answer[**P](self, peer: str, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """As `run`, for work that sends its caller's answer itself.

        Its end then concerns nobody but the request: the event loop hears of it with the next request, or when none
        waits for a thread, and is not woken for each.
        """
        self._take(peer)
        await self._in_time(self._submit(peer, functools.partial(work, *args, **kwargs), answers=True))

    @contextmanager
    def place(self, peer: str) -> Generator[None]:
        """Hold one place for several calls of `run_in_place`, one after the other. Raises `Problem` (503)."""
        self._take(peer)
        try:
            yield
        finally:
            with self._lock:
                self._give_back(peer)

    async def run_in_place[**P, T](self, peer: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on a thread in a place that is reserved already: it joins the queue, but is not refused.

        Raises `Problem` (503) where it takes long.
        """
        return await self._in_time(self._submit(peer, functools.partial(work, *args, **kwargs), own_place=False))

    def close(self) -> None:
        """Begin nothing any more. What is begun is not waited for: its callers have gone, or had their time."""
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
                self._begin_thread()
        self._turns.put(True)
        return task

    def _begin_thread(self) -> None:
        name = f"classify_{len(self._threads)}"
        self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
        self._threads[-1].start()

    def _work(self) -> None:
        while self._turns.get():
            self._run_next()

    def _run_next(self) -> None:
        with self._lock:
            if not self._waiting:
                return  # refused since, or its caller left
            peer = next(iter(self._waiting))
            tasks = self._waiting.pop(peer)
            task = tasks.popleft()
            task.waiting = False
            if tasks:
                self._waiting[peer] = tasks
        try:
            task.result = task.work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            task.error = error
        answered = task.answers and task.error is None
        with self._lock:
            if answered:
                self._answered.append(task)
            if task.own_place:
                self._give_back(peer)
            none_waits = not self._waiting
        if not answered:
            _call(task.loop, task.settle)
        if none_waits and self._answered:
            _call(task.loop, self.settle)

    def settle(self) -> None:
        """End the requests of the tasks that have answered. For the event loop."""
        here = asyncio.get_running_loop()
        while self._answered:
            task = self._answered.popleft()
            if task.loop is here:
                task.settle()
            else:
                _call(task.loop, task.settle)

    async def _in_time(self, task: _Task) -> Any:
        try:
            async with asyncio.timeout(self._seconds):
                return await task.done
        except TimeoutError:
            detail = f"No answer within {self._seconds:g} seconds. Retry after a moment."
            raise Problem(OVERLOADED, detail, retry_after=RETRY_AFTER_SECONDS) from None
        finally:
            if task.waiting:
                self._leave(task)

    def _leave(self, task: _Task) -> None:
        """Take a task out of the queue whose caller waits no more. One that runs keeps its place until it ends."""
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
            self._give_back(task.peer)

    def _take(self, peer: str) -> None:
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
        """Find the newest request in the queue of the caller with the most places; None if `peer` has as many."""
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

    def _give_back(self, peer: str) -> None:
        self._taken -= 1
        self._held[peer] -= 1
        if not self._held[peer]:
            del self._held[peer]


def _call(loop: asyncio.AbstractEventLoop, what: Callable[[], object]) -> None:
    """Have the event loop call `what`; if the loop has ended, nothing waits for it."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(what)
