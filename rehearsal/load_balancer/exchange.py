"""HTTP/1.1 between a client, the load balancer and a target: framing by h11, transport by asyncio."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import h11

Headers = list[tuple[bytes, bytes]]
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 60.0  # an Application Load Balancer's idle timeout
LARGEST_BODY = 64 * 2**20
BROKEN = (
    OSError,
    h11.RemoteProtocolError,
)  # what the other side's breaking off looks like; a TimeoutError is an OSError
CHUNK = 2**16
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})  # RFC 9110, section 9.2.2
HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"upgrade"}
)


class BodyTooLarge(Exception):
    """A request's body exceeds what the load balancer keeps for a second try."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A whole request, so that it can be sent again."""

    method: bytes
    path: bytes
    headers: Headers
    body: bytes

    @property
    def idempotent(self) -> bool:
        """Whether sending it twice does what sending it once does."""
        return self.method in IDEMPOTENT

    def forwarded(self, client: str) -> h11.Request:
        """What the target gets: the same, with the client's address and no hop-by-hop header."""
        before = [value for name, value in self.headers if name == b"x-forwarded-for"]
        dropped = HOP_BY_HOP | {b"x-forwarded-for", b"transfer-encoding", b"content-length", b"expect"}
        headers = [(name, value) for name, value in self.headers if name not in dropped]
        if not any(name == b"host" for name, _ in headers):  # an HTTP/1.0 client may leave it out
            headers.append((b"host", b"localhost"))
        headers.append((b"x-forwarded-for", b", ".join([*before, client.encode()])))
        if self.body or self.method not in IDEMPOTENT:
            headers.append((b"content-length", str(len(self.body)).encode()))
        return h11.Request(method=self.method, target=self.path, headers=headers)


class Channel:
    """One side's connection."""

    def __init__(self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._http = http
        self._reader = reader
        self._writer = writer

    @classmethod
    def accept(cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Self:
        """A client's connection."""
        return cls(h11.Connection(h11.SERVER), reader, writer)

    @classmethod
    async def connect(cls, host: str, port: int) -> Self:
        """A new connection to a target. Raises OSError."""
        async with asyncio.timeout(CONNECT_SECONDS):
            return cls(h11.Connection(h11.CLIENT), *await asyncio.open_connection(host, port))

    @property
    def usable(self) -> bool:
        """Whether the other side still has the connection open."""
        return not (self._reader.at_eof() or self._reader.exception() or self._writer.is_closing())

    async def receive(self) -> h11.Event:
        """The next event. Raises OSError or h11.RemoteProtocolError when the other side breaks off."""
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Event):
                return event
            if event is h11.PAUSED:
                raise h11.RemoteProtocolError("the other side sent more than belongs to this exchange")
            if self._http.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self._reader.read(CHUNK))

    async def send(self, *events: h11.Event) -> None:
        """Write events at once, waiting while the other side is slow."""
        self._writer.write(b"".join(self._http.send(event) or b"" for event in events))
        await self._writer.drain()

    async def receive_request(self) -> Request | None:
        """The next request and its body; None if the client has disconnected. Raises `BodyTooLarge`."""
        head = await self.receive()
        if not isinstance(head, h11.Request):
            return None
        body = bytearray()
        while isinstance(event := await self.receive(), h11.Data):
            body += event.data
            if len(body) > LARGEST_BODY:
                raise BodyTooLarge(f"A request's body may have {LARGEST_BODY} bytes at most.")
        return Request(method=head.method, path=head.target, headers=list(head.headers), body=bytes(body))

    async def ask(self, request: h11.Request, body: bytes) -> h11.Response:
        """Send a request and wait for the head of its answer."""
        data = [h11.Data(data=body)] if body else []
        await self.send(request, *data, h11.EndOfMessage())
        async with asyncio.timeout(ANSWER_SECONDS):
            while isinstance(event := await self.receive(), h11.InformationalResponse):
                pass
        if not isinstance(event, h11.Response):
            raise h11.RemoteProtocolError("the target closed the connection before it answered")
        return event

    async def answer(self, status: int, sentence: str) -> None:
        """Answer with a line of plain text."""
        body = f"{sentence}\n".encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        await self.send(h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage())

    def again(self) -> bool:
        """Make ready for the next exchange on this connection, where both sides allow one."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            return True
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close a connection that is left in the middle of an exchange; one between two stays open."""
        if self._http.our_state is not h11.IDLE:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


async def relay(response: h11.Response, target: Channel, client: Channel) -> None:
    """Pass an answer on as it comes."""
    headers = without_hops(response.headers)
    await client.send(h11.Response(status_code=response.status_code, headers=headers, reason=response.reason))
    while isinstance(event := await target.receive(), h11.Data):
        await client.send(h11.Data(data=event.data))
    await client.send(h11.EndOfMessage())


def without_hops(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers that concern the ends, not one connection."""
    return [(name, value) for name, value in headers if name not in HOP_BY_HOP]


async def status_of(host: str, port: int, path: str, seconds: float) -> int:
    """The status that a GET gets. Raises OSError, TimeoutError included, or h11.RemoteProtocolError."""
    async with asyncio.timeout(seconds):
        channel = await Channel.connect(host, port)
        try:
            headers = [("Host", f"{host}:{port}"), ("User-Agent", "ELB-HealthChecker/2.0"), ("Connection", "close")]
            return (await channel.ask(h11.Request(method="GET", target=path, headers=headers), b"")).status_code
        finally:
            channel.close()
