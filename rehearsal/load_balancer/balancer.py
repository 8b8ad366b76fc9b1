"""The load balancer: listens, chooses a target for each request, and follows what the emulator declares."""

import asyncio
import concurrent.futures
import errno
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.instances.cloud import Cloud
from rehearsal.load_balancer.exchange import BROKEN, BodyTooLarge, Channel, Request, relay
from rehearsal.load_balancer.member import Health, Member
from rehearsal.load_balancer.routes import Target, TargetGroup, read_routes

LOG = logging.getLogger(__name__)


class PortInUse(Exception):
    """Another process listens where the load balancer should."""


@dataclass(frozen=True, kw_only=True)
class TargetStatus:
    """How a registered target does."""

    instance_id: str
    address: str | None  # None while its instance has none
    port: int
    health: Health
    in_flight: int


class LoadBalancer:
    """Forwards HTTP/1.1 from `url` to the targets of one emulated load balancer, from `start` to `stop`.

    `resolve` returns the address of a target's instance and raises `LookupError` while there is none. What is declared
    is read again every `refresh_seconds`. Without a healthy target the answer is 503. When a target breaks off, another
    is tried if the request was not sent or may be repeated; otherwise the answer is 502.
    """

    def __init__(
        self,
        emulator: Cloud,
        *,
        load_balancer_arn: str,
        resolve: Callable[[str], str],
        host: str = "127.0.0.1",
        port: int = 0,
        refresh_seconds: float = 2.0,
    ) -> None:
        self._elbv2: Any = emulator.client("elbv2")
        self._arn = load_balancer_arn
        self._resolve = resolve
        self._host = host
        self._port = port
        self._refresh_seconds = refresh_seconds
        self._groups: Sequence[TargetGroup] = ()
        self._members: dict[Target, Member] = {}
        self._watches: dict[Target, asyncio.Task[None]] = {}
        self._leaving: dict[Member, asyncio.Task[None]] = {}
        self._credit: dict[str, int] = {}
        self._turn = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = asyncio.Event()
        self._listening: concurrent.futures.Future[int] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, name="load-balancer", daemon=True)

    @property
    def url(self) -> str:
        """Where requests go."""
        return f"http://{self._host}:{self._port}"

    def start(self) -> Self:
        """Read what is declared and listen. Raises `PortInUse`, `NotRehearsed` or the emulator's refusal."""
        self._thread.start()
        self._port = self._listening.result()
        return self

    def stop(self) -> None:
        """Close every connection and stop listening. May be called twice."""
        if self._loop and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def targets(self) -> list[TargetStatus]:
        """Every registered target."""
        return [
            TargetStatus(
                instance_id=member.target.id,
                address=member.address,
                port=member.target.port,
                health=member.health,
                in_flight=member.in_flight,
            )
            for member in self._all_members()
        ]

    def drain(self, instance_id: str) -> None:
        """Take an instance out of service; return when its requests are answered or its deregistration delay is over.

        AWS deregisters an instance before it ends it; the emulator ends it first. So the code that ends the instance's
        processes calls this before.
        """
        if self._loop and self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._drain(instance_id), self._loop).result()

    # Following what is declared

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            self._follow(await asyncio.to_thread(read_routes, self._elbv2, self._arn))
            server = await self._listen()
        except BaseException as problem:  # noqa: BLE001 - `start` raises it
            self._listening.set_exception(problem)
        else:
            refreshing = asyncio.create_task(self._refresh())
            self._listening.set_result(server.sockets[0].getsockname()[1])
            await self._end.wait()
            refreshing.cancel()
            server.close()
            server.abort_clients()
        finally:
            await self._close()

    async def _close(self) -> None:
        """End running exchanges, and let the loop close its connections."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for member in self._all_members():
            member.close()
        await asyncio.sleep(0)

    async def _listen(self) -> asyncio.Server:
        try:
            return await asyncio.start_server(self._serve, self._host, self._port, backlog=512)
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE:
                raise
            raise PortInUse(
                f"Port {self._port} on {self._host} is in use, so the load balancer cannot listen there. End the "
                "program that does, or choose another port (0 takes a free one)."
            ) from problem

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_seconds)
            try:
                self._follow(await asyncio.to_thread(read_routes, self._elbv2, self._arn))
            except (BotoCoreError, ClientError) as problem:
                LOG.warning("the load balancer keeps its previous targets: %s", problem)

    def _follow(self, groups: Sequence[TargetGroup]) -> None:
        """Watch targets that are new; forget those no longer registered, once their requests are answered."""
        registered = {target: group for group in groups for target in group.targets}
        for target in self._members.keys() - registered.keys():
            self._watches.pop(target).cancel()
            self._leave(self._members.pop(target))
        for target, group in registered.items():
            if target in self._members:
                self._members[target].group = group
            else:
                member = self._members[target] = Member(target, group, self._resolve)
                self._watches[target] = asyncio.create_task(member.watch())
        self._groups = groups

    def _leave(self, member: Member) -> None:
        self._leaving[member] = asyncio.create_task(member.drain())
        self._leaving[member].add_done_callback(lambda _: self._leaving.pop(member))

    def _all_members(self) -> list[Member]:
        return [*self._members.values(), *self._leaving]

    async def _drain(self, instance_id: str) -> None:
        await asyncio.gather(*(member.drain() for member in self._all_members() if member.target.id == instance_id))

    # Forwarding

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Channel.accept(reader, writer)
        peer = str(writer.get_extra_info("peername")[0])
        try:
            while request := await client.receive_request():
                await self._answer(request, peer, client)
                if not client.again():
                    break
        except BodyTooLarge as problem:
            await client.answer(413, str(problem))
        except BROKEN:
            return  # the client has gone, or the target has in the middle of its answer: the client must see that
        finally:
            client.close()

    async def _answer(self, request: Request, peer: str, client: Channel) -> None:
        group = self._next_group()
        status, sentence = 503, "No target of the load balancer is healthy."
        tried: set[Target] = set()
        while member := self._next_member(group, tried):
            with member.serving():
                try:
                    channel, used = await member.connect()
                except BROKEN:
                    tried.add(member.target)
                    status, sentence = 502, f"{member.target.id} does not accept connections."
                    continue
                with channel:
                    try:
                        response = await channel.ask(request.forwarded(peer), request.body)
                    except BROKEN as problem:
                        if not used:  # an idle connection may end at any time; that is no sign of an unhealthy target
                            tried.add(member.target)
                        status = 504 if isinstance(problem, TimeoutError) else 502
                        sentence = f"{member.target.id} broke off before it answered."
                        if request.idempotent:
                            continue
                        break
                    await relay(response, channel, client)
                    member.keep(channel)
                    return
        await client.answer(status, sentence)

    def _next_group(self) -> str | None:
        """Smooth weighted round robin: over any stretch each group gets its share, in turns as even as can be."""
        weights = {group.arn: group.weight for group in self._groups if group.weight > 0}
        if not weights:
            return None
        credit = {arn: self._credit.get(arn, 0) + weight for arn, weight in weights.items()}
        chosen = max(credit, key=lambda arn: credit[arn])
        credit[chosen] -= sum(weights.values())
        self._credit = credit
        return chosen

    def _next_member(self, group: str | None, tried: set[Target]) -> Member | None:
        healthy = [
            member
            for target, member in self._members.items()
            if target.group == group and member.health == "healthy" and target not in tried
        ]
        self._turn += 1
        return healthy[self._turn % len(healthy)] if healthy else None
