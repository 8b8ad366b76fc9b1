"""Latency of a promotion, and of a follower to see it, compared with a round trip of the same client."""

import contextlib
import multiprocessing
import random
import secrets
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks.support.counting import Requests
from benchmarks.support.figures import Latency
from benchmarks.support.registry.entries import a_version
from benchmarks.support.s3_server import Bucket, S3Server
from benchmarks.support.workers import Member
from registry.channels.channel import Channel
from registry.errors import ObjectMissing
from registry.store.object_store import ObjectStore

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

PROMISE = 2.0
"""Round trips that the median promotion may take."""

TIMEOUT_SECONDS = 60.0
MODEL, FOLLOWED = "pets", "followed"

ROUND_TRIP = "round trip: GET with status 404"
WRITE = "one conditional PUT of the same size"
KNOWN = "promote, head known (expected=)"
SEEN = "promote, channel looked at before"
NOTHING = "promote, from nothing"


@dataclass(frozen=True, kw_only=True)
class Action:
    """One kind of call."""

    name: str
    latency: Latency
    requests: float  # median

    def row(self, *units_ms: float) -> list[str]:
        """For the table."""
        p50, p99 = self.latency.p50_ms, self.latency.p99_ms
        return [
            self.name,
            f"{self.requests:g}",
            f"{p50:.2f}",
            f"{p99:.2f}",
            *(f"{p50 / unit:.2f}" for unit in units_ms),
        ]


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """Figures of moves, and of following them."""

    actions: tuple[Action, ...]
    seen: Latency  # from the move's return until the follower has it; below zero if it had it before
    poll: Latency

    def table(self) -> Table:
        """For people."""
        table = Table(title=f"promote, {self.actions[0].latency.n} of each in turns", title_justify="left")
        for column in ("", "requests", "p50, ms", "p99, ms", "p50 in round trips", "in such PUTs"):
            table.add_column(column, justify="left" if not column else "right", no_wrap=True)
        units = [action.latency.p50_ms for action in self.actions if action.name in (ROUND_TRIP, WRITE)]
        for action in self.actions:
            table.add_row(*action.row(*units))
        table.add_section()
        for name, latency in (
            ("follow: a poll without changes, next to moves", self.poll),
            ("follow: from a move's return until seen", self.seen),
        ):
            table.add_row(*Action(name=name, latency=latency, requests=1).row(*units))
        return table

    def verdicts(self) -> list[str]:
        """The promise, by the strictest round trip: one for which the server has nothing to do."""
        latency = {action.name: action.latency.p50_ms for action in self.actions}
        return [
            f"{name}: p50 of {latency[name] / latency[ROUND_TRIP]:.2f} round trips"
            f" (promise: ≤ {PROMISE:g}, {'kept' if latency[name] <= PROMISE * latency[ROUND_TRIP] else 'missed'})"
            for name in (KNOWN, SEEN)
        ]

    @property
    def holds(self) -> bool:
        """Times depend on the machine: judged above, not checked against the run."""
        return True

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def measure(server: S3Server, *, n: int, console: Console) -> Promotion:
    """`n` of each."""
    bucket = server.bucket("latency")
    with console.status(f"promote: {n} of each"):
        actions = promote(bucket, n)
    with console.status(f"follow: {n} moves"):
        seen, poll = follow(bucket, n)
    return Promotion(actions=actions, seen=seen, poll=poll)


def promote(bucket: Bucket, n: int) -> tuple[Action, ...]:
    """Each kind of move on its own channel, a round trip and a bare write, in turns."""
    client = bucket.client()
    requests = Requests(client)
    store = bucket.store(client)
    version = a_version(MODEL)
    known, seen = Channel(store, MODEL, "known"), Channel(store, MODEL, "seen")
    body = known.move(version, by="benchmark", why="first").to_bytes()
    seen.move(version, by="benchmark", why="first")

    def move_known() -> None:
        nonlocal number
        number = known.move(version, by="benchmark", why="to measure it", expected=number).number

    def move_seen() -> None:
        seen.move(version, by="benchmark", why="to measure it")

    def move_from_nothing() -> None:
        Channel(store, MODEL, "nothing").move(version, by="benchmark", why="to measure it")

    number = 1
    calls: dict[str, Callable[[], None]] = {
        ROUND_TRIP: lambda: _miss(store),
        WRITE: lambda: store.create(f"{MODEL}/writes/{secrets.token_hex(8)}", body),
        KNOWN: move_known,
        SEEN: move_seen,
        NOTHING: move_from_nothing,
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    sent: dict[str, list[int]] = {name: [] for name in calls}
    for _ in range(n):
        for name, call in calls.items():
            requests.taken()
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
            sent[name].append(requests.taken())
    return tuple(
        Action(name=name, latency=Latency.of(seconds[name]), requests=statistics.median(sent[name])) for name in calls
    )


def follow(bucket: Bucket, n: int) -> tuple[Latency, Latency]:
    """Move `n` times while another process polls without a pause. Returns the times of sight, and a poll's duration."""
    channel, version = Channel(bucket.store(), MODEL, FOLLOWED), a_version(MODEL)
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    with Member(context, partial(_follow, bucket, n, start)) as follower:
        start.wait(TIMEOUT_SECONDS)
        returned: list[float] = []
        for _ in range(n):
            channel.move(version, by="benchmark", why="to be followed")
            returned.append(time.monotonic())  # one clock for all processes of the machine
            time.sleep(random.uniform(0, 0.02))
        seen, polls = follower.answer(TIMEOUT_SECONDS)
    return Latency.of([see - back for see, back in zip(seen, returned, strict=True)]), Latency.of(polls)


def _follow(bucket: Bucket, n: int, start: "Barrier") -> tuple[list[float], list[float]]:
    channel = Channel(bucket.store(), MODEL, FOLLOWED)
    channel.after(0)  # connects
    start.wait(TIMEOUT_SECONDS)
    seen: list[float] = []
    polls: list[float] = []
    while len(seen) < n:
        began = time.monotonic()
        move = channel.after(len(seen))
        now = time.monotonic()
        if move is None:
            polls.append(now - began)
        else:
            seen.append(now)
    return seen, polls


def _miss(store: ObjectStore) -> None:
    with contextlib.suppress(ObjectMissing):
        store.get(f"{MODEL}/channels/none/00000001.json")
