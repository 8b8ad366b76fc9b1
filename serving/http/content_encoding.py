"""`Content-Encoding` of request bodies (RFC 9110, section 8.4.1): gzip and deflate, decoded piece by piece."""

import zlib
from collections.abc import Iterator

from serving.problems import UNREADABLE, WRONG_TYPE, Problem

_PIECE = 256 * 1024
"""Maximum bytes decompressed at a time, so that a body beyond the limit is refused before it is in memory."""

_GZIP_OR_ZLIB, _RAW = 32 + zlib.MAX_WBITS, -zlib.MAX_WBITS


class Identity:
    """A body without compression."""

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the chunk."""
        yield chunk

    def end(self) -> None:
        """Do nothing: any length is complete."""


class Compressed:
    """A gzip or deflate body. Raises `Problem` (422) if it is neither, truncated, or followed by more data."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._head: bytes | None = b""

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the decompressed chunk in pieces of at most 256 KiB. Raises `Problem` (422)."""
        if self._head is not None:
            chunk = self._head + chunk
            if len(chunk) < 2:
                self._head = chunk
                return
            self._head, self._decoder = None, zlib.decompressobj(_frame(chunk))
        while chunk:
            if self._decoder.eof:
                raise _broken("data follows its end")
            try:
                yield self._decoder.decompress(chunk, _PIECE)
            except zlib.error as error:
                raise _broken(str(error)) from None
            chunk = self._decoder.unconsumed_tail or self._decoder.unused_data

    def end(self) -> None:
        """Raise `Problem` (422) if the compressed data is incomplete."""
        if not self._decoder.eof:
            raise _broken("it is truncated")


def _frame(head: bytes) -> int:
    """Returns zlib's window bits for the first two bytes: some clients send `deflate` without zlib's header."""
    framed = head.startswith(b"\x1f\x8b") or (head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(head[:2]) % 31 == 0)
    return _GZIP_OR_ZLIB if framed else _RAW


def decoder(header: str | None) -> Identity | Compressed:
    """Returns the decoder for a Content-Encoding. Raises `Problem` (415) for an unsupported coding, or several."""
    coding = (header or "identity").strip().lower()
    if coding == "identity":
        return Identity()
    if coding in {"gzip", "x-gzip", "deflate"}:
        return Compressed()
    raise Problem(
        WRONG_TYPE,
        f"The Content-Encoding is {coding[:64]!r}; send gzip, deflate, or an uncompressed body.",
        headers={"accept-encoding": "gzip, deflate, identity"},
    )


def _broken(detail: str) -> Problem:
    return Problem(UNREADABLE, f"The body does not match its Content-Encoding: {detail}.")
