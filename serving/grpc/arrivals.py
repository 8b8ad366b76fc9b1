"""Limits for gRPC messages that are still arriving: in total, per caller, and in time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from serving.http.connections import peer_of
from serving.problems import BAD_REQUEST, BODY_TOO_SLOW, OVERLOADED, Problem
from serving.settings import Limits


@dataclass
class _Peer:
    places: asyncio.Semaphore
    calls: int = field(default=0)


class Arrivals:
    """Admits arriving messages. For one event loop.

    gRPC does not announce a message's size, so each arriving message counts as the largest permitted one: there are
    as many slots as such messages fit into `Limits.held_bytes`. A call without a free slot waits, within the time limit
    for a message. One caller has at most `Limits.peer_messages` slots, so that unfinished messages block only their own
    sender.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(limits.messages)
        self._peers: dict[str, _Peer] = {}

    @asynccontextmanager
    async def of(self, host: str) -> AsyncGenerator["Arriving"]:
        """Context of one call of the caller at `host`. Raises `Problem` (503)."""
        name = peer_of(host)
        peer = self._peers.setdefault(name, _Peer(asyncio.Semaphore(self._limits.peer_messages)))
        if peer.calls >= self._limits.peer_calls:
            detail = f"{peer.calls} calls from your address are running or waiting. Retry after a moment."
            raise Problem(OVERLOADED, detail, retry_after=1)
        peer.calls += 1
        try:
            yield Arriving(peer.places, self._places, self._limits.body_seconds)
        finally:
            peer.calls -= 1
            if not peer.calls:
                self._peers.pop(name, None)


@dataclass(frozen=True)
class Arriving:
    """One call whose message has not been read yet."""

    own: asyncio.Semaphore
    shared: asyncio.Semaphore
    seconds: float

    async def message(self, messages: AsyncIterator[bytes]) -> bytes:
        """Returns the message, after waiting for a slot. Raises `Problem` (400 without a message, 408)."""
        try:
            async with asyncio.timeout(self.seconds), self.own, self.shared:
                return await anext(messages)
        except StopAsyncIteration:
            raise Problem(BAD_REQUEST, "The call has no message.") from None
        except TimeoutError:
            raise Problem(BODY_TOO_SLOW, f"The message did not arrive within {self.seconds:g} seconds.") from None
