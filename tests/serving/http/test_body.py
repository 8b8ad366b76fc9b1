"""Bodies are counted while they are held, and no longer, however reading them ends."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from serving.http.body import Bodies
from serving.problems import Problem
from serving.settings import Limits

LIMITS = Limits(body_bytes=64, held_bytes=96)
CHUNKS = st.lists(st.binary(max_size=40), max_size=5)


def request(chunks: list[bytes], *, whole: bool) -> Request:
    """One in chunks; its caller leaves after the last where it is not `whole`."""
    messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False} if whole else {"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    scope = {"type": "http", "headers": [(b"transfer-encoding", b"chunked")], "client": ("127.0.0.1", 1)}
    return Request(scope, receive)


@given(CHUNKS, st.booleans(), st.integers(0, 96))
def test_bytes_of_a_body_are_held_inside_the_block_and_no_longer(chunks, whole, others):
    async def read() -> None:
        bodies = Bodies(LIMITS)
        with bodies.holding(others):
            try:
                async with bodies.read(request(list(chunks), whole=whole)) as body:
                    assert whole
                    assert body == b"".join(chunks)
                    assert len(body) <= LIMITS.body_bytes
                    assert bodies.held == others + len(body) <= LIMITS.held_bytes
            except ClientDisconnect:
                assert not whole
            except Problem:
                assert sum(map(len, chunks)) > min(LIMITS.body_bytes, LIMITS.held_bytes - others)
            assert bodies.held == others

    asyncio.run(read())


def test_bytes_of_a_body_are_released_where_the_block_fails():
    async def read() -> None:
        bodies = Bodies(LIMITS)
        with pytest.raises(KeyError):
            async with bodies.read(request([b"photo"], whole=True)):
                raise KeyError
        assert bodies.held == 0

    asyncio.run(read())
