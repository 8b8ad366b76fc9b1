"""One registered target: where it is, how it does, and the connections to it."""

import asyncio
import contextlib
from collections.abc import Callable, Generator
from typing import Literal

from rehearsal.load_balancer.exchange import BROKEN, Channel, status_of
from rehearsal.load_balancer.routes import Target, TargetGroup

Health = Literal["initial", "healthy", "unhealthy", "draining"]


class Member:
    """Lives in the load balancer's event loop; `health`, `address` and `in_flight` may be read from anywhere."""

    def __init__(self, target: Target, group: TargetGroup, resolve: Callable[[str], str]) -> None:
        self.target = target
        self.group = group
        self.address: str | None = None
        self.health: Health = "initial"
        self.in_flight = 0
        self._resolve = resolve
        self._idle: list[Channel] = []
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._streak = 0

    async def watch(self) -> None:
        """Check the target's health until cancelled."""
        while True:
            self.record(well=await self._probe())
            await asyncio.sleep(self.group.health_check.interval_seconds)

    def record(self, *, well: bool) -> None:
        """Count one check: a new target's first good one is enough, as on AWS; later changes take a threshold."""
        verdict: Health = "healthy" if well else "unhealthy"
        if self.health in {"draining", verdict}:
            self._streak = 0
            return
        self._streak += 1
        check = self.group.health_check
        threshold = check.healthy_threshold if well else check.unhealthy_threshold
        if self._streak >= threshold or (well and self.health == "initial"):
            self.health, self._streak = verdict, 0

    async def connect(self) -> tuple[Channel, bool]:
        """A connection, and whether it has been used before. Raises OSError."""
        await asyncio.sleep(0)  # lets the loop notice which idle connections the target has closed
        while self._idle:
            if (channel := self._idle.pop()).usable:
                return channel, True
            channel.close()
        return await Channel.connect(self.address or "", self.target.port), False

    def keep(self, channel: Channel) -> None:
        """Take a connection back for the next request."""
        if channel.again() and channel.usable and self.health != "draining":
            self._idle.append(channel)
        else:
            channel.close()

    @contextlib.contextmanager
    def serving(self) -> Generator[None]:
        """One request more in flight while inside."""
        self.in_flight += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._quiet.set()

    def close(self) -> None:
        """Take no new request."""
        self.health = "draining"
        while self._idle:
            self._idle.pop().close()

    async def drain(self) -> None:
        """Take no new request; return when those in flight are answered, or after the deregistration delay."""
        self.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.group.deregistration_seconds):
                await self._quiet.wait()

    async def _probe(self) -> bool:
        check = self.group.health_check
        try:
            self.address = self._resolve(self.target.id)
            status = await status_of(
                self.address, check.port or self.target.port, check.path, seconds=check.timeout_seconds
            )
        except (LookupError, *BROKEN):
            return False
        return check.accepts(status)
