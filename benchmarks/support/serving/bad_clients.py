"""Bad clients, each with the responses that it must get: never a 5xx, and no effect on others."""

import io
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from PIL import Image

CUT = "cut off"
"""The connection was closed without a response."""

LEFT = "left"
"""The caller closed it itself."""

_BODY_LIMIT = 20 * 2**20
_TIMEOUT_SECONDS = 40.0


@dataclass(frozen=True, kw_only=True)
class Manner:
    """One way to misbehave, and what may come of it."""

    name: str
    act: Callable[[socket.socket], str]
    expected: tuple[str, ...]
    lasting: bool = False
    """Whether the endpoint's timeout ends it, after seconds."""

    def meet(self, port: int, host: str = "127.0.0.1") -> str:
        """Do it once, from the address `host`; the status, `CUT` or `LEFT`."""
        try:
            with socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS, source_address=(host, 0)) as line:
                return self.act(line)
        except ConnectionError:
            return CUT
        except TimeoutError:
            return "no end"


def manners(photo: bytes) -> tuple[Manner, ...]:
    """All of them; `photo` is a good one, which they abuse."""
    bomb = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(bomb, "PNG")
    first, second = photo[: len(photo) // 2], photo[len(photo) // 2 :]
    return (
        Manner(name="garbage instead of HTTP", act=sending(b"\x16\x03\x01" + bytes(range(256))), expected=("400", CUT)),
        Manner(name="10,000 header lines", act=_many_headers, expected=("400", "431", CUT)),
        Manner(name="header lines that never end", act=_endless_headers, expected=("408", CUT), lasting=True),
        Manner(name="body that never ends", act=_endless_body(first), expected=("408",), lasting=True),
        Manner(name="body torn off", act=_cut_off(first), expected=(LEFT,)),
        Manner(name="half a photo", act=sending(post(first)), expected=("422",)),
        Manner(name="tail of a photo", act=sending(post(second)), expected=("422",)),
        Manner(name="text as a photo", act=sending(post(b"no photo")), expected=("422",)),
        Manner(name="empty photo", act=sending(post(b"")), expected=("422",)),
        Manner(name="200 million pixels", act=sending(post(bomb.getvalue(), "image/png")), expected=("413",)),
        Manner(name="huge body, announced", act=_announced, expected=("413",)),
        Manner(name="huge body, in chunks", act=_chunks, expected=("413", CUT)),
        Manner(name="wrong type", act=sending(post(photo, "text/plain")), expected=("415",)),
        Manner(name="wrong method", act=sending(b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\n\r\n"), expected=("405",)),
        Manner(name="wrong address", act=sending(b"GET /wp-login.php HTTP/1.1\r\nHost: x\r\n\r\n"), expected=("404",)),
    )


def post(body: bytes, kind: str = "image/jpeg") -> bytes:
    """Returns a whole request that classifies `body`."""
    return head(f"Content-Type: {kind}", f"Content-Length: {len(body)}") + body


def head(*lines: str) -> bytes:
    """Returns the head of a request that classifies, with these header lines more."""
    return "\r\n".join(("POST /v1/classify HTTP/1.1", "Host: x", *lines, "", "")).encode()


def sending(what: bytes) -> Callable[[socket.socket], str]:
    """Send it and read the response's status, which may come before all is sent."""

    def act(line: socket.socket) -> str:
        with suppress(ConnectionError):
            line.sendall(what)
        return status(line)

    return act


def status(line: socket.socket) -> str:
    """Returns the status of a response; `CUT` if there is none."""
    answer = b""
    while len(answer) < 12:
        got = line.recv(4096)
        if not got:
            return CUT
        answer += got
    return answer[9:12].decode("latin-1")


def _many_headers(line: socket.socket) -> str:
    lines = b"".join(b"x-%d: %d\r\n" % (number, number) for number in range(10_000))
    return sending(b"GET /healthz/live HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n")(line)


def _endless_headers(line: socket.socket) -> str:
    return sending(b"GET /healthz/live HTTP/1.1\r\nHost: x\r\nX-Never")(line)


def _endless_body(first: bytes) -> Callable[[socket.socket], str]:
    return sending(head("Content-Type: image/jpeg", f"Content-Length: {len(first) + 1}") + first)


def _cut_off(first: bytes) -> Callable[[socket.socket], str]:
    def act(line: socket.socket) -> str:
        line.sendall(head("Content-Type: image/jpeg", f"Content-Length: {2 * len(first)}") + first)
        return LEFT

    return act


def _announced(line: socket.socket) -> str:
    return sending(head("Content-Type: image/jpeg", f"Content-Length: {_BODY_LIMIT + 1}"))(line)


def _chunks(line: socket.socket) -> str:
    line.sendall(head("Content-Type: image/jpeg", "Transfer-Encoding: chunked"))
    piece = b"%x\r\n" % 2**20 + bytes(2**20) + b"\r\n"
    try:
        for _ in range(_BODY_LIMIT // 2**20 + 1):
            line.sendall(piece)
    except ConnectionError:
        pass  # the response may have come before
    return status(line)
