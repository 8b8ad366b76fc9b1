"""Requests and time to find the active version, in logs of different lengths."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.support.counting import Requests
from benchmarks.support.registry.entries import MoveLog, VersionLog
from benchmarks.support.s3_server import S3Server
from registry.channels.channel import Channel
from registry.layout.model_store import channel_entry_key, channel_prefix
from registry.logs.chain_memory import WORTH_KEEPING, ChainMemory
from registry.versions.catalog import Catalog

MODEL = "pets"
CHANNEL = "prod"
PAGE = 1000
"""Keys that S3 lists in one request."""

MOST_VERSIONS = 10_000

POLL = "channel.after(n), entry n known"
AGAIN = "channel.head(), looked at before"
HEAD = "channel.head(), on a new machine"
REMEMBERED = "channel.head(), on a machine that read it before"
VERSION = "catalog.version(n)"
LATEST = "catalog.latest()"
LISTING = "limit: one listing behind the last entry"
CONSTANT = (POLL, AGAIN, VERSION)
GROWING = (LATEST,)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one way to ask."""

    requests: int  # the most of all repetitions
    ms: float  # median


@dataclass(frozen=True, kw_only=True)
class Resolve:
    """Costs by number of channel entries and way to ask."""

    costs: dict[int, dict[str, Cost]]

    def table(self) -> Table:
        """For people."""
        table = Table(
            title=f"resolve: requests, ms by number of entries (versions: up to {MOST_VERSIONS:,})",
            caption="versitygw reads the whole folder for each listing, so a listing's time grows with the log here;"
            " S3 keeps keys in order.",
            title_justify="left",
            caption_justify="left",
        )
        table.add_column("", no_wrap=True)
        for size in self.costs:
            table.add_column(f"{size:,}", justify="right", no_wrap=True)
        for way in (POLL, AGAIN, VERSION, REMEMBERED, HEAD, LATEST, LISTING):
            costs = (self.costs[size][way] for size in self.costs)
            table.add_row(way, *(f"{cost.requests}, {cost.ms:6.1f}" for cost in costs))
        return table

    def verdicts(self) -> list[str]:
        """What must not grow, and what may grow by the logarithm only."""
        return [f"requests of {way}: {'as promised' if self.keeps(way) else 'MORE THAN PROMISED'}" for way in ALL]

    def keeps(self, way: str) -> bool:
        """Whether the number of requests grows no faster than promised."""
        if way in CONSTANT:
            return len({costs[way].requests for costs in self.costs.values()}) == 1
        most = {REMEMBERED: most_again, HEAD: most_anew}.get(way, most_requests)
        return all(costs[way].requests <= most(size) for size, costs in self.costs.items())

    @property
    def holds(self) -> bool:
        """Whether all of it is as promised."""
        return all(self.keeps(way) for way in ALL)

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


ALL = (*CONSTANT, REMEMBERED, HEAD, *GROWING)


def most_requests(entries: int) -> int:
    """Galloping doubles pages until it is past the end, bisecting halves what is between; then the entry is read."""
    return 4 + 2 * math.ceil(math.log2(max(1, entries / PAGE)))


def most_again(entries: int) -> int:
    """The last entry that is remembered, and a listing behind it; short logs are not remembered."""
    return 2 if entries >= WORTH_KEEPING else most_anew(entries)


def most_anew(entries: int) -> int:
    """Every entry once, listed by the thousand; the last page may be empty."""
    return entries + entries // PAGE + 1


def measure(server: S3Server, *, sizes: Sequence[int], repetitions: int, console: Console) -> Resolve:
    """Grow the logs to each of the sizes, ask in every way."""
    bucket = server.bucket("resolve")
    client = bucket.client()
    requests = Requests(client)
    store = bucket.store(client)
    versions, moves = VersionLog(bucket.folder, MODEL), MoveLog(bucket.folder, MODEL, CHANNEL)
    costs: dict[int, dict[str, Cost]] = {}
    for size in sizes:
        with console.status(f"resolve: writing {size:,} entries"):
            versions.grow(min(size, MOST_VERSIONS))
            moves.grow(size)
        memory = ChainMemory(bucket.folder.parent / f"memory-{size}", store="resolve")
        known = Channel(store, MODEL, CHANNEL, memory=memory)
        head = known.head()
        assert head is not None
        assert head.number == size
        last = channel_entry_key(MODEL, CHANNEL, size)
        prefix = channel_prefix(MODEL, CHANNEL)
        ways: dict[str, Callable[[], object]] = {
            POLL: lambda: known.after(size),  # noqa: B023 - called in this round only
            AGAIN: known.head,
            VERSION: lambda: Catalog(store, MODEL).version(versions.length),
            REMEMBERED: lambda: Channel(store, MODEL, CHANNEL, memory=memory).head(),  # noqa: B023 - as above
            HEAD: lambda: Channel(store, MODEL, CHANNEL).head(),
            LATEST: lambda: Catalog(store, MODEL).latest(),
            LISTING: lambda: list(store.keys(prefix, after=last)),  # noqa: B023 - as above
        }
        with console.status(f"resolve: asking {size:,} entries"):
            costs[size] = {way: ask(call, requests, repetitions) for way, call in ways.items()}
    return Resolve(costs=costs)


def ask(call: Callable[[], object], requests: Requests, repetitions: int) -> Cost:
    """What a call costs."""
    seconds: list[float] = []
    sent: list[int] = []
    for _ in range(repetitions):
        requests.taken()
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
        sent.append(requests.taken())
    return Cost(requests=max(sent), ms=statistics.median(seconds) * 1000)
