"""Limits of callers' connections: their number per peer and in total, and their idle time.

Granian and gRPC accept connections and limit neither. A sweep inspects this process's sockets several times a second
and shuts down those beyond a limit; the server that owns the socket then reads its end and closes it. Requests do not
pass through here. docs/design/limits.md has the alternatives.
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
"""Prefix length of a caller's network: a customer of a provider has at least a /64. RFC 6177."""

type Line = tuple[str, str, str]
"""A connection: the caller's address and port, and the local port; all as text, as ASGI servers report them."""


class Reason(StrEnum):
    """Why a connection was closed."""

    SILENT = "silent"
    """Complete header lines did not arrive within `Limits.header_seconds`."""
    IDLE = "idle"
    """No request arrived within `Limits.keep_alive_seconds` of the last response."""
    PEER = "peer"
    """Its caller has more than `Limits.peer_connections`."""
    ALL = "all"
    """All callers have more than `Limits.connections`, or `Limits.probe_connections`."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Maximum connections of one port. `per_peer` None: no limit, since the peers are a load balancer's nodes."""

    total: int
    per_peer: int | None


@dataclass(kw_only=True)
class RequestCounts:
    """Requests of one connection."""

    running: int = 0
    last: float = 0.0


@dataclass(kw_only=True, slots=True)
class ConnectionState:
    """One connection at one moment. `quiet`: seconds since it was opened, or its last request started or ended."""

    line: Line
    age: float
    quiet: float
    running: bool
    requested: bool

    @property
    def peer(self) -> str:
        """The peer for which it is counted."""
        return peer_of(self.line[0])


@functools.lru_cache(4096)
def peer_of(host: str) -> str:
    """Returns the address for which connections are counted; for IPv6, the /64 network."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_NETWORK), strict=False))


def to_close(connections: Iterable[ConnectionState], limits: Limits, budget: Budget) -> Mapping[Line, Reason]:
    """Returns the connections of one port that are beyond a limit, each with the reason.

    If there are too many, those without a request are closed first, starting with the oldest; then idle ones, starting
    with the longest idle; then those with a running request, starting with the youngest.
    """
    closed: dict[Line, Reason] = {}
    peers: dict[str, list[ConnectionState]] = defaultdict(list)
    for one in connections:
        if not one.running and one.quiet > (limits.keep_alive_seconds if one.requested else limits.header_seconds):
            closed[one.line] = Reason.IDLE if one.requested else Reason.SILENT
        else:
            peers[one.peer].append(one)
    kept: list[ConnectionState] = []
    for group in peers.values():
        surplus = 0 if budget.per_peer is None else max(0, len(group) - budget.per_peer)
        group.sort(key=_priority)
        closed |= {one.line: Reason.PEER for one in group[:surplus]}
        kept += group[surplus:]
    surplus = max(0, len(kept) - budget.total)
    return closed | {one.line: Reason.ALL for one in sorted(kept, key=_priority)[:surplus]}


def _priority(one: ConnectionState) -> tuple[int, float]:
    """Returns the sort key by which connections are closed, lowest first."""
    if one.running:
        return 2, one.age
    return (1, -one.quiet) if one.requested else (0, -one.age)


class Connections:
    """Counts requests per connection, and closes connections. `ports`: the limits of each local port."""

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
            "petpark_connections_closed",
            "Connections closed for being beyond a limit",
            ("reason",),
            registry=metrics.registry,
        )

    def begin(self, line: Line) -> None:
        """Count a request whose header lines have arrived. Called by the event loop."""
        counts = self._requests.get(line) or self._requests.setdefault(line, RequestCounts())
        counts.running += 1
        counts.last = self._clock()

    def end(self, line: Line) -> None:
        """Stop counting a request that has ended. Called by the event loop."""
        if counts := self._requests.get(line):
            counts.running -= 1
            counts.last = self._clock()

    def run(self, stop: threading.Event) -> None:
        """Sweep every `SWEEP_SECONDS` until `stop` is set."""
        while not stop.wait(SWEEP_SECONDS):
            self.sweep()

    def sweep(self) -> None:
        """Inspect all connections once, and close those beyond a limit."""
        before = list(self._requests)
        descriptors = self._descriptors()
        by_port: dict[str, list[ConnectionState]] = {port: [] for port in self._ports}
        now = self._clock()
        for line, (_, since) in descriptors.items():
            by_port[line[2]].append(self._state(line, since, now))
        for port, states in by_port.items():
            self._open.labels(port).set(len(states))
            for line, reason in to_close(states, self._limits, self._ports[port]).items():
                descriptor, inode = descriptors[line][0]
                self._sockets[inode] = None  # the server will close it; it is no longer counted
                if _shut(descriptor, inode):
                    self._closed.labels(reason).inc()
        for line in before:
            if line not in descriptors:
                self._requests.pop(line, None)

    def _state(self, line: Line, since: float, now: float) -> ConnectionState:
        counts = self._requests.get(line)
        return ConnectionState(
            line=line,
            age=now - since,
            quiet=now - max(since, counts.last if counts else 0.0),
            running=bool(counts and counts.running),
            requested=counts is not None,
        )

    def _descriptors(self) -> dict[Line, tuple[tuple[int, int], float]]:
        """Returns descriptor and inode of each caller's connection, and when it was first seen."""
        found: dict[Line, tuple[tuple[int, int], float]] = {}
        sockets: dict[int, tuple[Line, float] | None] = {}
        before = self._sockets
        for descriptor in map(int, os.listdir(_DESCRIPTORS)):  # noqa: PTH208 - Path objects would take most of the time
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISSOCK(status.st_mode):
                    continue
                inode = status.st_ino
                known = before[inode] if inode in before else self._identify(descriptor, inode)
            except OSError:  # closed in the meantime
                continue
            sockets[inode] = known
            if known is not None:
                found[known[0]] = (descriptor, inode), known[1]
        self._sockets = sockets
        return found

    def _identify(self, descriptor: int, inode: int) -> tuple[Line, float] | None:
        """Returns the connection of a socket and the time; None if it is not a caller's. Raises OSError if closed."""
        with _duplicate(descriptor, inode) as duplicate:
            if duplicate.family not in (socket.AF_INET, socket.AF_INET6):
                return None
            here = str(duplicate.getsockname()[1])
            if here not in self._ports:
                return None
            try:
                host, port = duplicate.getpeername()[:2]
            except OSError:  # a listening socket, or a disconnected caller
                return None
            return (host, str(port), here), self._clock()


@contextlib.contextmanager
def _duplicate(descriptor: int, inode: int) -> Generator[socket.socket]:
    """Yield a duplicate of a server's socket. Raises OSError if the descriptor now refers to another file."""
    copy = os.dup(descriptor)
    try:
        duplicate = socket.socket(fileno=copy)
    except OSError:  # no longer a socket
        os.close(copy)
        raise
    try:
        if os.fstat(duplicate.fileno()).st_ino != inode:
            raise OSError("the descriptor refers to another file")
        yield duplicate
    finally:
        duplicate.close()


def _shut(descriptor: int, inode: int) -> bool:
    """Shut down a connection, which the server then closes. Returns False if it had already ended."""
    try:
        with _duplicate(descriptor, inode) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True
