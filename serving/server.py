"""The process around the application: Granian in the same event loop, the follower in a thread, a graceful end."""

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Protocol

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.types import ASGIApp

from registry.layout import Variable
from serving.app import create_app
from serving.body import Bodies
from serving.keys.door import Door
from serving.keys.ring import KeyRing
from serving.live import Live
from serving.registry_view import RegistryView
from serving.roll_back import OpensDesk
from serving.settings import Limits, ServingSettings
from serving.state_report import report_state
from serving.telemetry import Metrics
from serving.workers import Workers

if TYPE_CHECKING:
    from grpc.aio import Server as GrpcServer

logger = logging.getLogger(__name__)

_CONNECTIONS = 1024
_MOMENT = 0.05
_SUMMING_UP_SECONDS = 30.0


class AddressInUse(OSError):
    """Somebody else listens where this endpoint should."""


class Follower(Protocol):
    """Something that looks for news on a thread of its own, in the store or here."""

    def run(self, stop: threading.Event, *, poll_seconds: float) -> None:
        """Look until `stop` is set."""


async def serve(
    settings: ServingSettings,
    *,
    followers: Sequence[Follower],
    live: Live,
    metrics: Metrics,
    ring: KeyRing | None = None,
    view: RegistryView | None = None,
    open_desk: OpensDesk | None = None,
) -> None:
    """Answer requests until SIGTERM or SIGINT; then finish what was begun and return. Raises `AddressInUse`."""
    check_address(settings.host, settings.port, advice=f"set {Variable.HOST} and {Variable.PORT} to a free address")
    if settings.grpc_port:
        advice = f"set {Variable.HOST} and {Variable.GRPC_PORT} to a free address"
        check_address(settings.host, settings.grpc_port, advice=advice)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    workers = Workers(threads=settings.threads, queue=settings.limits.queue)
    bodies = Bodies(settings.limits)
    door = Door(ring, required=settings.api_keys == "required", metrics=metrics)
    app = create_app(
        settings,
        live=live,
        metrics=metrics,
        workers=workers,
        door=door,
        bodies=bodies,
        view=view,
        open_desk=open_desk,
    )
    server = _server(app, settings)
    grpc = await _grpc(settings, live=live, metrics=metrics, workers=workers, door=door, bodies=bodies)
    with _following(followers, poll_seconds=settings.poll_seconds), _reading(ring):
        server.on_startup(lambda: logger.info("listening", extra={"host": settings.host, "port": settings.port}))
        summing_up = asyncio.create_task(sum_up(metrics, every_seconds=_SUMMING_UP_SECONDS))
        reporting = asyncio.create_task(report_state(live))
        serving = asyncio.create_task(server.serve())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            stopping.cancel()
            serving.result()
            raise RuntimeError("The HTTP server ended by itself; its last log lines say why.")
        await drain(live, metrics, settings.limits)
        server.stop()
        await serving
        if grpc is not None:
            await grpc.stop(grace=None)  # what ran has ended, or had its time
        summing_up.cancel()
        reporting.cancel()
    workers.close()


async def sum_up(metrics: Metrics, *, every_seconds: float) -> None:
    """Log what was answered, again and again, until cancelled; a single instance's alarms are made from these lines."""
    while True:
        await asyncio.sleep(every_seconds)
        if answered := metrics.recent.take():
            logger.info("answered", extra=answered)


def check_address(host: str, port: int, *, advice: str) -> None:
    """Granian shares a port with whoever else shares it, and would not say so. Raises `AddressInUse`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise AddressInUse(
                f"cannot listen on {host}:{port}: {error.strerror}. End what listens there, or {advice}."
            ) from error


async def drain(live: Live, metrics: Metrics, limits: Limits) -> None:
    """Tell balancers to look away, answer a moment longer, then wait until nothing is running."""
    live.draining = True
    logger.info("draining")
    await asyncio.sleep(limits.drain_notice_seconds)
    end = time.monotonic() + limits.drain_seconds
    while metrics.running and time.monotonic() < end:
        await asyncio.sleep(_MOMENT)
    logger.info("drained", extra={"cut_off": metrics.running})


async def _grpc(
    settings: ServingSettings, *, live: Live, metrics: Metrics, workers: Workers, door: Door, bodies: Bodies
) -> "GrpcServer | None":
    """Start gRPC where it is wanted; elsewhere its library is not even loaded."""
    if not settings.grpc_port:
        return None
    from serving.rpc.service import InferenceService, start

    service = InferenceService(
        live=live,
        metrics=metrics,
        workers=workers,
        door=door,
        bodies=bodies,
        name=settings.model,
        batch=settings.limits.batch,
    )
    server, _ = await start(service, host=settings.host, port=settings.grpc_port, limits=settings.limits)
    logger.info("listening for gRPC", extra={"host": settings.host, "port": settings.grpc_port})
    return server


@contextlib.contextmanager
def _reading(ring: KeyRing | None) -> Generator[None]:
    """Read the API keys again and again, from a thread of their own."""
    if ring is None:
        yield
        return
    stop = threading.Event()
    threading.Thread(target=ring.run, args=(stop,), name="api-keys", daemon=True).start()
    try:
        yield
    finally:
        stop.set()  # a daemon, as the follower


@contextlib.contextmanager
def _following(followers: Sequence[Follower], *, poll_seconds: float) -> Generator[None]:
    stop = threading.Event()
    for follower in followers:
        name, options = type(follower).__name__.lower(), {"poll_seconds": poll_seconds}
        threading.Thread(target=follower.run, args=(stop,), kwargs=options, name=name, daemon=True).start()
    try:
        yield
    finally:
        stop.set()  # a daemon: a store that does not answer cannot hold the process back


def _server(app: ASGIApp, settings: ServingSettings) -> Server:
    return Server(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.auto,
        websockets=False,
        backlog=_CONNECTIONS,
        backpressure=_CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=int(settings.limits.header_seconds * 1000)),
        log_enabled=False,
    )
