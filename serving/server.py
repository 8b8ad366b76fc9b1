"""The endpoint's process: Granian in the same event loop, followers in threads, graceful shutdown."""

import asyncio
import contextlib
import logging
import resource
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.types import ASGIApp

from registry.layout.variables import Variable
from registry.log_lines import ANSWERED
from serving.app import Dependencies, create_app, create_probe_app
from serving.auth.api_key_auth import ApiKeyAuth
from serving.auth.key_polling import KeyRing
from serving.http.body import Bodies
from serving.http.connections import Budget, Connections
from serving.http.workers import Workers
from serving.listening import check_address
from serving.pages.registry_view import RegistryView
from serving.pages.rollback import OpensPromotionService
from serving.process_exit import end
from serving.recording.recorder import Recorder
from serving.release.live import Live
from serving.settings import Limits, ServingSettings
from serving.state_report import report_state
from serving.telemetry import Metrics
from serving.tracing import Tracing

if TYPE_CHECKING:
    from grpc.aio import Server as GrpcServer

logger = logging.getLogger(__name__)

_BACKLOG_FACTOR = 4
_OPEN_FILES = 8192
_POLL_SECONDS = 0.05
_SUMMARY_SECONDS = 30.0
_STORING_SECONDS = 3.0
"""Maximum time to store the last recorded predictions; less than `end_seconds`."""


class Follower(Protocol):
    """Something that polls for changes on a separate thread."""

    def run(self, stop: threading.Event, *, poll_seconds: float) -> None:
        """Poll until `stop` is set."""


async def serve(
    settings: ServingSettings,
    *,
    followers: Sequence[Follower],
    live: Live,
    metrics: Metrics,
    ring: KeyRing | None = None,
    view: RegistryView | None = None,
    open_promotion_service: OpensPromotionService | None = None,
    recorder: Recorder | None = None,
    tracing: Tracing | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve requests until `stop` is set; then drain and return. Raises `AddressInUse`.

    If `stop` is None, serves until SIGTERM or SIGINT.
    """
    for port, variable in settings.ports.items():
        check_address(settings.host, port, advice=f"set {Variable.HOST} and {variable} to a free address")
    limits = settings.limits
    stop = stop or _stopped_by_signals()
    shared = _dependencies(settings, live, metrics, ring, recorder)
    connections = Connections(limits, ports=_budgets(settings), metrics=metrics)
    app = create_app(
        settings, shared, view=view, open_promotion_service=open_promotion_service, connections=connections
    )
    http = _server(tracing.wrap(app) if tracing else app, settings, settings.port, limits.connections)
    http.on_startup(lambda: logger.info("listening", extra={"host": settings.host, "port": settings.port}))
    probes = None
    if settings.health_port:
        probe_app = create_probe_app(settings, shared, connections=connections)
        probes = _server(probe_app, settings, settings.health_port, limits.probe_connections)
    grpc = await _grpc(settings, shared, connections)

    async def finish() -> None:
        await drain(live, metrics, limits, workers=shared.workers)
        end_in_time(limits.end_seconds)

    with (
        _following(followers, poll_seconds=settings.poll_seconds),
        _reading(ring),
        _guarding(connections),
        _recording(recorder),
        _tracing(tracing),
        _reporting(live, metrics, recorder),
    ):
        await _Servers(http=http, probes=probes, grpc=grpc).run(stop, finish=finish)
    shared.workers.close()


def _dependencies(
    settings: ServingSettings, live: Live, metrics: Metrics, ring: KeyRing | None, recorder: Recorder | None
) -> Dependencies:
    shares, limits = not settings.behind_load_balancer, settings.limits
    return Dependencies(
        live=live,
        metrics=metrics,
        workers=Workers(threads=settings.threads, queue=limits.queue, seconds=limits.answer_seconds, shares=shares),
        bodies=Bodies(limits, shares=shares),
        auth=ApiKeyAuth(ring, required=settings.api_keys == "required", metrics=metrics),
        recorder=recorder,
    )


@dataclass(frozen=True, kw_only=True)
class _Servers:
    """The servers of one process: of the API, of the health port, and of gRPC."""

    http: Server
    probes: Server | None
    grpc: "GrpcServer | None"

    async def run(self, stop: asyncio.Event, *, finish: Callable[[], Awaitable[None]]) -> None:
        """Answer requests until `stop`, then `finish` and close. Raises what ended the HTTP server before `stop`."""
        probing = asyncio.create_task(self.probes.serve()) if self.probes else None
        serving = asyncio.create_task(self.http.serve())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            stopping.cancel()
            serving.result()
            raise RuntimeError("The HTTP server stopped unexpectedly; see its last log lines.")
        await finish()
        self.http.stop()
        await serving
        if self.probes is not None and probing is not None:
            self.probes.stop()
            await probing
        if self.grpc is not None:
            await self.grpc.stop(grace=None)  # drained, or the time for it is over


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def log_summaries(metrics: Metrics, *, every_seconds: float) -> None:
    """Log a summary of recent responses periodically, until cancelled; alarms of single instances use these lines."""
    while True:
        await asyncio.sleep(every_seconds)
        if answered := metrics.recent.take():
            logger.info(ANSWERED, extra=answered)


async def drain(live: Live, metrics: Metrics, limits: Limits, *, workers: Workers) -> None:
    """Report not ready, serve for `drain_notice_seconds`, then wait up to `drain_seconds` for running requests."""
    live.draining = True
    logger.info("draining")
    await asyncio.sleep(limits.drain_notice_seconds)
    end = time.monotonic() + limits.drain_seconds
    while metrics.running and time.monotonic() < end:
        workers.settle()  # ends requests whose response is sent while other threads still work
        await asyncio.sleep(_POLL_SECONDS)
    logger.info("drained", extra={"cut_off": metrics.running, "unfinished_work": workers.taken})


def end_in_time(seconds: float, *, end_process: Callable[[int], object] = end) -> threading.Timer:
    """Returns a started timer that exits the process after `seconds`, even if threads or calls are still blocked."""

    def end_now() -> None:
        logger.warning("process ended with unfinished work")
        end_process(0)

    timer = threading.Timer(seconds, end_now)
    timer.daemon = True
    timer.start()
    return timer


def _budgets(settings: ServingSettings) -> dict[int, Budget]:
    limits = settings.limits
    per_peer = None if settings.behind_load_balancer else limits.peer_connections
    callers = Budget(total=affordable(limits.connections), per_peer=per_peer)
    probes = Budget(total=affordable(limits.probe_connections), per_peer=None)
    return {port: probes if name is Variable.HEALTH_PORT else callers for port, name in settings.ports.items()}


async def _grpc(settings: ServingSettings, shared: Dependencies, connections: Connections) -> "GrpcServer | None":
    """Start gRPC if it has a port; otherwise its library is not imported. Returns the server, or None."""
    if not settings.grpc_port:
        return None
    from serving.grpc.service import InferenceService, start

    service = InferenceService(
        live=shared.live,
        metrics=shared.metrics,
        workers=shared.workers,
        auth=shared.auth,
        bodies=shared.bodies,
        connections=connections,
        port=settings.grpc_port,
        name=settings.model,
        batch=settings.limits.batch,
        recorder=shared.recorder,
    )
    server, _ = await start(service, host=settings.host, port=settings.grpc_port, limits=settings.limits)
    logger.info("listening for gRPC", extra={"host": settings.host, "port": settings.grpc_port})
    return server


@contextlib.contextmanager
def _reading(ring: KeyRing | None) -> Generator[None]:
    """Poll the API keys on a separate thread while the block runs."""
    if ring is None:
        yield
        return
    stop = threading.Event()
    threading.Thread(target=ring.run, args=(stop,), name="api-keys", daemon=True).start()
    try:
        yield
    finally:
        stop.set()  # a daemon thread, as in _following


@contextlib.contextmanager
def _following(followers: Sequence[Follower], *, poll_seconds: float) -> Generator[None]:
    stop = threading.Event()
    for follower in followers:
        name, options = type(follower).__name__.lower(), {"poll_seconds": poll_seconds}
        threading.Thread(target=follower.run, args=(stop,), kwargs=options, name=name, daemon=True).start()
    try:
        yield
    finally:
        stop.set()  # daemon threads: a store that does not respond cannot delay the exit


@contextlib.contextmanager
def _recording(recorder: Recorder | None) -> Generator[None]:
    """Store recorded predictions on separate threads while the block runs; at its end, as many as time allows."""
    if recorder is None:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=recorder.run, args=(stop,), name="telemetry", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_STORING_SECONDS)
        if thread.is_alive():
            recorder.count_rest()


@contextlib.contextmanager
def _reporting(live: Live, metrics: Metrics, recorder: Recorder | None) -> Generator[None]:
    """Log what was answered, and the endpoint's state, from the event loop."""
    tasks = (
        asyncio.create_task(log_summaries(metrics, every_seconds=_SUMMARY_SECONDS)),
        asyncio.create_task(report_state(live, lost=lambda: recorder.lost if recorder else 0)),
    )
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


@contextlib.contextmanager
def _tracing(tracing: Tracing | None) -> Generator[None]:
    try:
        yield
    finally:
        if tracing is not None:
            tracing.end()


@contextlib.contextmanager
def _guarding(connections: Connections) -> Generator[None]:
    """Close connections beyond the limits while the block runs, on a thread that a busy event loop cannot delay."""
    stop = threading.Event()
    threading.Thread(target=connections.run, args=(stop,), name="connections", daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def _server(app: ASGIApp, settings: ServingSettings, port: int, connections: int) -> Server:
    """Returns a server for HTTP/1.1 only, which load balancers use; HTTP/2's header tables would cost memory.

    Granian accepts `_BACKLOG_FACTOR` times the limit of connections: `Connections` closes the least important ones
    beyond it, whereas Granian would let the next caller wait.
    """
    limits = settings.limits
    return Server(
        app,
        address=settings.host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        backlog=connections,
        backpressure=_BACKLOG_FACTOR * affordable(connections),
        http1_settings=HTTP1Settings(
            header_read_timeout=int(limits.keep_alive_seconds * 1000), max_buffer_size=limits.header_bytes
        ),
        log_enabled=False,
    )


def affordable(connections: int) -> int:
    """Returns `connections`, or fewer if the process's limit of open files requires it.

    Between sweeps `_BACKLOG_FACTOR` times as many may be open, and half of the files are reserved for other uses.
    """
    return max(1, min(connections, open_files() // (2 * _BACKLOG_FACTOR)))


def open_files() -> int:
    """Raise this process's soft limit of open files as far as possible. Returns it. systemd.exec(5), LimitNOFILE."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _OPEN_FILES if soft == resource.RLIM_INFINITY else soft
