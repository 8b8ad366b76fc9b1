"""`Content-Encoding` of request bodies (RFC 9110, section 8.4.1): gzip and deflate, decoded piece by piece."""

import zlib
from collections.abc import Iterator

from serving.problems import UNREADABLE, WRONG_TYPE, Problem

_PIECE = 256 * 1024
"""The most bytes decompressed at once, so that an excessive body is refused before it is in memory."""

_GZIP_OR_ZLIB, _RAW = 32 + zlib.MAX_WBITS, -zlib.MAX_WBITS


class Identity:
    """A body as it is."""

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """The chunk itself."""
        yield chunk

    def end(self) -> None:
        """Nothing can be missing."""


class Compressed:
    """A gzip or deflate body. Raises `Problem` (422) if it is neither, truncated, or followed by more data."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._head: bytes | None = b""

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """What the chunk becomes, at most 256 KiB at a time."""
        if self._head is not None:
            chunk = self._head + chunk
            if len(chunk) < 2:
                self._head = chunk
                return
            self._head, self._decoder = None, zlib.decompressobj(_frame(chunk))
        while chunk:
            if self._decoder.eof:
                raise _broken("it goes on after its end")
            try:
                yield self._decoder.decompress(chunk, _PIECE)
            except zlib.error as error:
                raise _broken(str(error)) from None
            chunk = self._decoder.unconsumed_tail or self._decoder.unused_data

    def end(self) -> None:
        """Check that the compressed data is complete."""
        if not self._decoder.eof:
            raise _broken("it is cut off")


def _frame(head: bytes) -> int:
    """Choose by the first two bytes: some clients send `deflate` as raw data, without zlib's header."""
    framed = head.startswith(b"\x1f\x8b") or (head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(head[:2]) % 31 == 0)
    return _GZIP_OR_ZLIB if framed else _RAW


def decoder(header: str | None) -> Identity | Compressed:
    """Choose by the header's value. Raises `Problem` (415) for unsupported codings, and for several."""
    coding = (header or "identity").strip().lower()
    if coding == "identity":
        return Identity()
    if coding in {"gzip", "x-gzip", "deflate"}:
        return Compressed()
    raise Problem(
        WRONG_TYPE,
        f"The Content-Encoding is {coding[:64]!r}; send gzip, deflate, or the body as it is.",
        headers={"accept-encoding": "gzip, deflate, identity"},
    )


def _broken(detail: str) -> Problem:
    return Problem(UNREADABLE, f"The body does not match its Content-Encoding: {detail}.")
