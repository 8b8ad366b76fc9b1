"""Connections beyond a limit are closed, those that are worth least first, and no other."""

import socket
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.http.connections import Budget, Connections, ConnectionState, Reason, peer_of, to_close
from serving.settings import Limits
from serving.telemetry import Metrics

LIMITS = Limits(header_seconds=10, keep_alive_seconds=75)
ROOMY = Budget(total=1000, per_peer=None)


def connection(
    port: int = 1, *, host: str = "192.0.2.1", age=1.0, quiet=1.0, running=False, requested=False
) -> ConnectionState:
    return ConnectionState(line=(host, str(port), "8080"), age=age, quiet=quiet, running=running, requested=requested)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (connection(quiet=9.9), None),
        (connection(quiet=10.1), Reason.SILENT),
        (connection(quiet=74.9, requested=True), None),
        (connection(quiet=75.1, requested=True), Reason.IDLE),
        (connection(quiet=999, requested=True, running=True), None),
    ],
)
def test_a_connection_on_which_nothing_is_asked_does_not_stay(one, reason):
    assert to_close([one], LIMITS, ROOMY).get(one.line) == reason


def test_who_has_too_many_loses_those_without_a_request_first_and_those_at_work_last():
    ranked = [
        connection(1, age=9, quiet=9),
        connection(2, age=1, quiet=1),
        connection(3, age=60, quiet=50, requested=True),
        connection(4, age=60, quiet=5, requested=True),
        connection(5, age=2, requested=True, running=True),
        connection(6, age=80, requested=True, running=True),
    ]
    for kept in range(len(ranked) + 1):
        closed = to_close(ranked, LIMITS, Budget(total=100, per_peer=kept))
        assert set(closed) == {one.line for one in ranked[: len(ranked) - kept]}
        assert set(to_close(ranked, LIMITS, Budget(total=kept, per_peer=None))) == set(closed)


SOME = st.builds(
    connection,
    st.integers(1, 9999),
    host=st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"]),
    age=st.floats(0, 100),
    quiet=st.floats(0, 100),
    running=st.booleans(),
    requested=st.booleans(),
)


@given(st.lists(SOME, max_size=30, unique_by=lambda one: one.line), st.integers(0, 9), st.integers(0, 9))
def test_what_stays_is_within_every_limit_and_nothing_within_them_is_closed(all_seen, total, per_peer):
    closed = to_close(all_seen, LIMITS, Budget(total=total, per_peer=per_peer))
    kept = [one for one in all_seen if one.line not in closed]
    assert len(kept) <= total
    for peer in {one.peer for one in kept}:
        assert sum(one.peer == peer for one in kept) <= per_peer
    for one in all_seen:
        if closed.get(one.line) is Reason.PEER:
            assert sum(other.peer == one.peer for other in kept) >= min(per_peer, total) or len(kept) == total
        if closed.get(one.line) is Reason.ALL:
            assert len(kept) == total


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "unix", False),
    ],
)
def test_addresses_of_one_customer_are_one_peer(one, other, same):
    assert (peer_of(one) == peer_of(other)) is same


class Listener:
    """A port whose connections are watched, and the clock of whoever watches."""

    def __init__(self, stack: ExitStack) -> None:
        self.now = 100.0
        self._stack = stack
        self._server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self._server.getsockname()[1]
        self.metrics = Metrics()
        self.watched = Connections(
            Limits(header_seconds=10, keep_alive_seconds=75),
            ports={self.port: Budget(total=3, per_peer=2)},
            metrics=self.metrics,
            clock=lambda: self.now,
        )

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        line = socket.create_connection(("127.0.0.1", self.port), 30, source_address=(host, 0))
        self._stack.enter_context(line)
        accepted, _ = self._server.accept()
        self._stack.enter_context(accepted)
        return line

    def sweep(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.watched.sweep()

    def name(self, line: socket.socket) -> tuple[str, str, str]:
        host, port = line.getsockname()
        return host, str(port), str(self.port)

    def closed(self, reason: Reason) -> float:
        return self.metrics.registry.get_sample_value("petpark_connections_closed_total", {"reason": reason}) or 0.0


@pytest.fixture
def listener():
    with ExitStack() as stack:
        yield Listener(stack)


def is_open(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return line.recv(1) != b""
    except BlockingIOError:
        return True


def test_a_silent_caller_is_cut_off_and_one_that_asks_is_not(listener):
    silent, asking = listener.connect(), listener.connect("127.0.0.2")
    listener.sweep()
    listener.watched.begin(listener.name(asking))
    listener.sweep(11)
    assert (is_open(silent), is_open(asking)) == (False, True)
    listener.watched.end(listener.name(asking))
    listener.sweep(74)
    assert is_open(asking)
    listener.sweep(2)
    assert not is_open(asking)
    assert (listener.closed(Reason.SILENT), listener.closed(Reason.IDLE)) == (1, 1)


def test_a_request_that_takes_long_keeps_its_connection(listener):
    line = listener.connect()
    listener.watched.begin(listener.name(line))
    listener.sweep()
    listener.sweep(1_000)
    assert is_open(line)


def test_one_caller_has_a_share_and_all_together_have_a_limit(listener):
    many = [listener.connect() for _ in range(4)]
    listener.sweep()
    assert sum(map(is_open, many)) == 2
    others = [listener.connect(f"127.0.0.{number}") for number in (2, 3)]
    for line in others:
        listener.watched.begin(listener.name(line))
    listener.sweep()
    assert sum(map(is_open, many)) == 1
    assert all(map(is_open, others))
    assert (listener.closed(Reason.PEER), listener.closed(Reason.ALL)) == (2, 1)


def test_other_sockets_and_files_of_the_process_are_nobodys_business(listener, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other, (tmp_path / "file").open("w"):
        line = socket.create_connection(other.getsockname(), 30)
        pair = socket.socketpair()
        for end in (line, *pair):
            listener._stack.enter_context(end)
        listener.sweep()
        listener.sweep(1_000)
        assert is_open(line)
        assert all(map(is_open, pair))
    assert is_open(listener.connect())


def test_nothing_is_remembered_of_connections_that_ended(listener):
    line = listener.connect()
    name = listener.name(line)
    listener.watched.begin(name)
    listener.sweep()
    listener._stack.close()
    listener.sweep()
    listener.watched.end(name)
    assert listener.watched._requests == {}
    assert all(known is None for known in listener.watched._sockets.values())
