"""Callers' connections: how many there may be, per peer and in total, and how long one may be idle.

Granian and gRPC accept connections by themselves and bound neither. The guard looks at this process's own sockets a few
times a second and shuts those that go beyond a limit; the server that owns such a socket then sees its end and closes
it. No byte of a request passes through here. docs/design/limits.md has the alternatives.
"""

import contextlib
import functools
import ipaddress
import os
import socket
import stat
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import Counter, Gauge

from serving.settings import Limits
from serving.telemetry import Metrics

SWEEP_SECONDS = 0.25

_DESCRIPTORS = "/dev/fd"
_IPV6_NETWORK = 64
"""One customer of a provider has a /64 at least. RFC 6177."""

type Line = tuple[str, str, str]
"""A connection: the caller's address and port, and the local port; all as text, as ASGI servers report them."""


class Reason(StrEnum):
    """Why a connection was closed."""

    SILENT = "silent"
    """No whole header lines arrived within `Limits.header_seconds`."""
    IDLE = "idle"
    """Nothing was requested `Limits.keep_alive_seconds` after an answer."""
    PEER = "peer"
    """Its caller has more than `Limits.peer_connections`."""
    ALL = "all"
    """All callers have more than `Limits.connections`, or `Limits.probe_connections`."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one port takes. `a_peer` None: as many as there may be in all, for the peers are a load balancer's."""

    in_all: int
    a_peer: int | None


@dataclass(kw_only=True)
class RequestCounts:
    """Requests of one connection."""

    running: int = 0
    last: float = 0.0


@dataclass(kw_only=True, slots=True)
class ConnectionState:
    """One connection at one moment. `quiet`: seconds since it was opened, or since its last request began or ended."""

    line: Line
    age: float
    quiet: float
    running: bool
    requested: bool

    @property
    def peer(self) -> str:
        """Who it belongs to, as limits count."""
        return peer_of(self.line[0])


@functools.lru_cache(4096)
def peer_of(host: str) -> str:
    """Returns the address that connections are counted for; of IPv6, the network that one customer has."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_NETWORK), strict=False))


def to_close(seen: Iterable[ConnectionState], limits: Limits, budget: Budget) -> Mapping[Line, Reason]:
    """Decide which connections of one port go beyond a limit.

    Of too many, those go first that have asked nothing yet, the oldest before the others; then those that wait for a
    next request, the idlest first; those with a request under way last, the youngest first.
    """
    closed: dict[Line, Reason] = {}
    peers: dict[str, list[ConnectionState]] = defaultdict(list)
    for one in seen:
        if not one.running and one.quiet > (limits.keep_alive_seconds if one.requested else limits.header_seconds):
            closed[one.line] = Reason.IDLE if one.requested else Reason.SILENT
        else:
            peers[one.peer].append(one)
    kept: list[ConnectionState] = []
    for group in peers.values():
        surplus = 0 if budget.a_peer is None else max(0, len(group) - budget.a_peer)
        group.sort(key=_expendable)
        closed |= {one.line: Reason.PEER for one in group[:surplus]}
        kept += group[surplus:]
    surplus = max(0, len(kept) - budget.in_all)
    return closed | {one.line: Reason.ALL for one in sorted(kept, key=_expendable)[:surplus]}


def _expendable(one: ConnectionState) -> tuple[int, float]:
    if one.running:
        return 2, one.age
    return (1, -one.quiet) if one.requested else (0, -one.age)


class Connections:
    """Requests per connection, and the guard that closes connections. `ports`: the limit of each local port."""

    def __init__(
        self,
        limits: Limits,
        *,
        ports: Mapping[int, Budget],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._ports = {str(port): budget for port, budget in ports.items()}
        self._clock = clock
        self._requests: dict[Line, RequestCounts] = {}
        self._sockets: dict[int, tuple[Line, float] | None] = {}
        self._open = Gauge("petpark_connections", "Callers' connections", ("port",), registry=metrics.registry)
        self._closed = Counter(
            "petpark_connections_closed", "Connections beyond a limit, by which", ("reason",), registry=metrics.registry
        )

    def begin(self, line: Line) -> None:
        """A request's header lines have arrived. Called by the event loop."""
        counts = self._requests.get(line) or self._requests.setdefault(line, RequestCounts())
        counts.running += 1
        counts.last = self._clock()

    def end(self, line: Line) -> None:
        """It was answered."""
        if counts := self._requests.get(line):
            counts.running -= 1
            counts.last = self._clock()

    def run(self, stop: threading.Event) -> None:
        """Look repeatedly until `stop` is set."""
        while not stop.wait(SWEEP_SECONDS):
            self.sweep()

    def sweep(self) -> None:
        """Look once, and close what goes beyond a limit."""
        before = list(self._requests)
        descriptors = self._descriptors()
        by_port: dict[str, list[ConnectionState]] = {port: [] for port in self._ports}
        now = self._clock()
        for line, (_, since) in descriptors.items():
            by_port[line[2]].append(self._seen(line, since, now))
        for port, seen in by_port.items():
            self._open.labels(port).set(len(seen))
            for line, reason in to_close(seen, self._limits, self._ports[port]).items():
                descriptor, inode = descriptors[line][0]
                self._sockets[inode] = None  # its owner will close it; it counts no more
                if _shut(descriptor, inode):
                    self._closed.labels(reason).inc()
        for line in before:
            if line not in descriptors:
                self._requests.pop(line, None)

    def _seen(self, line: Line, since: float, now: float) -> ConnectionState:
        counts = self._requests.get(line)
        return ConnectionState(
            line=line,
            age=now - since,
            quiet=now - max(since, counts.last if counts else 0.0),
            running=bool(counts and counts.running),
            requested=counts is not None,
        )

    def _descriptors(self) -> dict[Line, tuple[tuple[int, int], float]]:
        """Callers' connections: descriptor and inode of each, and since when it has been known."""
        found: dict[Line, tuple[tuple[int, int], float]] = {}
        sockets: dict[int, tuple[Line, float] | None] = {}
        before = self._sockets
        for descriptor in map(int, os.listdir(_DESCRIPTORS)):  # noqa: PTH208 - paths take longer than all the rest
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISSOCK(status.st_mode):
                    continue
                inode = status.st_ino
                known = before[inode] if inode in before else self._identify(descriptor, inode)
            except OSError:  # closed since
                continue
            sockets[inode] = known
            if known is not None:
                found[known[0]] = (descriptor, inode), known[1]
        self._sockets = sockets
        return found

    def _identify(self, descriptor: int, inode: int) -> tuple[Line, float] | None:
        """Whose connection it is; None for a socket that is not a caller's. Raises OSError if it is already closed."""
        with _duplicate(descriptor, inode) as duplicate:
            if duplicate.family not in (socket.AF_INET, socket.AF_INET6):
                return None
            here = str(duplicate.getsockname()[1])
            if here not in self._ports:
                return None
            try:
                host, port = duplicate.getpeername()[:2]
            except OSError:  # it listens, or its caller has left
                return None
            return (host, str(port), here), self._clock()


@contextlib.contextmanager
def _duplicate(descriptor: int, inode: int) -> Generator[socket.socket]:
    """Duplicate a socket of the server. A descriptor may be another file by now, so the inode is checked again."""
    copy = os.dup(descriptor)
    try:
        duplicate = socket.socket(fileno=copy)
    except OSError:  # no socket any more
        os.close(copy)
        raise
    try:
        if os.fstat(duplicate.fileno()).st_ino != inode:
            raise OSError("the descriptor names another file by now")
        yield duplicate
    finally:
        duplicate.close()


def _shut(descriptor: int, inode: int) -> bool:
    """Shut down a connection; the server will close it. False if it had already ended."""
    try:
        with _duplicate(descriptor, inode) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True
