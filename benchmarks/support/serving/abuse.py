"""Bad clients of an endpoint, each kind from its own address, for the duration of a measurement."""

import gzip
import io
import re
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image

from benchmarks.support.serving.bad_clients import CUT, LEFT, Manner, head, manners, post, sending
from benchmarks.support.serving.load import Load, Turn

_LINES = 400
"""Connections of those who open many: more than one caller's, and three of them more than all callers'."""

_KEPT = (
    "garbage instead of HTTP",
    "10,000 header lines",
    "header lines that never end",
    "body that never ends",
    "body torn off",
    "half a photo",
    "text as a photo",
    "200 million pixels",
    "huge body, announced",
    "huge body, in chunks",
)


def kinds(photo: bytes) -> tuple[Manner, ...]:
    """Twenty-five ways to abuse an endpoint, with what must come of each."""
    known = {manner.name: manner for manner in manners(photo)}
    chunked = post_in_chunks()
    trailers = b"".join(b"x-%d: 1\r\n" % number for number in range(30_000))
    bomb = gzip.compress(bytes(200 * 2**20), 6)
    encoded = head("Content-Type: image/jpeg", "Content-Encoding: gzip", f"Content-Length: {len(bomb)}")
    parts = b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n" * 10_000
    key = head("Content-Type: image/jpeg", "Authorization: Bearer pp_guessed", f"Content-Length: {len(photo)}")
    return (
        *(known[name] for name in _KEPT),
        Manner(name="idle connections", act=_held(b""), expected=(CUT,)),
        Manner(name="connections with one byte", act=_held(b"P"), expected=(CUT,)),
        Manner(name="connections that speak HTTP/2", act=_held(http2()), expected=(CUT,)),
        Manner(name="two Hosts", act=sending(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), expected=("400",)),
        Manner(name="no Host", act=sending(b"GET / HTTP/1.1\r\n\r\n"), expected=("400",)),
        Manner(
            name="64 kB of a chunk's extension",
            act=sending(chunked + b"5;" + b"a" * 65_536 + b"\r\nhello\r\n0\r\n\r\n"),
            expected=("400", CUT),
        ),
        Manner(
            name="30,000 trailers",
            act=sending(chunked + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"),
            expected=("400", CUT),
        ),
        Manner(name="chunks of no size", act=sending(chunked + b"zz\r\nhello\r\n"), expected=("400", CUT)),
        Manner(name="200 MB in gzip", act=sending(encoded + bomb), expected=("413",)),
        Manner(name="40 scans", act=sending(post(many_scans())), expected=("413",)),
        Manner(name="data of a smaller photo", act=sending(post(said_to_be(photo, 4000, 4000))), expected=("422",)),
        Manner(name="a line of 50 million pixels", act=sending(post(_line(), "image/png")), expected=("413",)),
        Manner(
            name="10,000 parts",
            act=sending(post(parts + b"--b--\r\n", "multipart/form-data; boundary=b")),
            expected=("422",),
        ),
        Manner(name="a guessed key", act=sending(key + photo), expected=("401",)),
        Manner(name="unread responses", act=_reads_nothing, expected=(LEFT, CUT)),
    )


class Abuse(Load):
    """Every kind at once, each from its own address, one act after the other, until stopped."""

    def __init__(self, port: int, manners: Sequence[Manner], *, every: float) -> None:
        turns = [Turn(f"127.0.1.{number}", (manner,)) for number, manner in enumerate(manners, 1)]
        super().__init__(port, turns, every=every)


@dataclass(frozen=True)
class _Many:
    """Opens many more connections, sends a little on each, and waits until the first is closed."""

    says: bytes

    def __call__(self, line: socket.socket) -> str:
        (host, _), there = line.getsockname(), line.getpeername()
        with ExitStack() as stack:
            lines = [line]
            for _ in range(_LINES):
                try:
                    lines.append(stack.enter_context(socket.create_connection(there, 10, source_address=(host, 0))))
                    lines[-1].sendall(self.says)
                except OSError:
                    continue  # cut off, or not let in
            line.sendall(self.says)
            while line.recv(4096):
                pass
        return CUT


def _held(says: bytes) -> Callable[[socket.socket], str]:
    return _Many(says)


def _reads_nothing(line: socket.socket) -> str:
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 50
    line.settimeout(2)
    end = time.monotonic() + 5
    with suppress(TimeoutError):  # neither side reads any more
        while time.monotonic() < end:
            line.sendall(ask)
    return LEFT


def post_in_chunks() -> bytes:
    """Returns the head of a request whose body comes in chunks."""
    return head("Content-Type: image/jpeg", "Transfer-Encoding: chunked")


def http2() -> bytes:
    """Returns a client's preface that announces a huge header table. RFC 9113, sections 3.4 and 6.5."""
    settings = struct.pack(">HI", 1, 2**31 - 1)
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">HBBBI", 0, len(settings), 4, 0, 0) + settings


def many_scans(width: int = 1200, height: int = 900) -> bytes:
    """Returns a progressive JPEG whose last scan is there 40 times."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(7).integers(0, 256, (height, width), dtype=np.uint8)).save(
        file, "JPEG", progressive=True
    )
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 40 + data[-2:]


def said_to_be(photo: bytes, width: int, height: int) -> bytes:
    """Returns the same data of a JPEG with another size. ITU-T T.81, B.2.2."""
    frame = re.search(rb"\xff[\xc0-\xc2]", photo)
    assert frame is not None
    return photo[: frame.end() + 3] + struct.pack(">HH", height, width) + photo[frame.end() + 7 :]


def _line() -> bytes:
    file = io.BytesIO()
    Image.new("1", (49_999_999, 1)).save(file, "PNG")
    return file.getvalue()
