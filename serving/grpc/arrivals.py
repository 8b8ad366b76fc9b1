"""Messages of gRPC that are still arriving: limited in total, per caller, and in time."""

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
    """Who may send a message now. For one event loop.

    gRPC does not announce how large a message is, so each that arrives counts as the largest that may
    come: there are as many places as such messages fit into `Limits.held_bytes`. Anyone who finds none free waits,
    within the time that a message has to arrive; `Limits.peer_messages` are one caller's at most, so that somebody who
    sends halves waits for themselves.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(limits.messages)
        self._peers: dict[str, _Peer] = {}

    @asynccontextmanager
    async def of(self, host: str) -> AsyncGenerator["Arriving"]:
        """One call of the caller at `host`, for as long as the block runs. Raises `Problem` (503)."""
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
    """One call whose message is not read yet."""

    own: asyncio.Semaphore
    shared: asyncio.Semaphore
    seconds: float

    async def message(self, messages: AsyncIterator[bytes]) -> bytes:
        """Wait for a place, then for the message. Raises `Problem` (400 where there is none, 408)."""
        try:
            async with asyncio.timeout(self.seconds), self.own, self.shared:
                return await anext(messages)
        except StopAsyncIteration:
            raise Problem(BAD_REQUEST, "The call has no message.") from None
        except TimeoutError:
            raise Problem(BODY_TOO_SLOW, f"The message did not arrive within {self.seconds:g} seconds.") from None
