"""The agent's process: its status server in an event loop, everything else in threads, with graceful shutdown."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable

import boto3
from botocore.config import Config
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from camera.agent import Agent
from camera.capture.source import quiet_ffmpeg
from camera.delivery.forward import Creates
from camera.settings import AgentSettings
from camera.status import create_status_app
from registry.store.s3_store import S3Store
from serving.listening import check_address
from serving.logs import log_to_stdout

logger = logging.getLogger(__name__)

_AWS = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})
"""One attempt: the forwarder has its own retries, and shutdown waits for an attempt."""
_HOST = "127.0.0.1"
_LOOK_SECONDS = 0.2


def run(settings: AgentSettings, *, store: Creates | None = None) -> None:
    """Run until SIGTERM or SIGINT, or until every file was played. Logs to standard output.

    Raises `AddressInUse`, `SpoolInUse`, `SpoolUnusable`.
    """
    log_to_stdout(settings.secrets)
    threading.excepthook = _log_death
    logging.getLogger("httpx").setLevel(logging.WARNING)
    quiet_ffmpeg()
    check_address(_HOST, settings.port, advice="name another with --port")
    agent = Agent(settings, store=store or _store(settings))
    asyncio.run(_serve(agent, settings.port))


def _store(settings: AgentSettings) -> Creates | None:
    return S3Store(boto3.client("s3", config=_AWS), settings.data_lake) if settings.data_lake else None


async def _serve(agent: Agent, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = Server(
        create_status_app(agent),
        address=_HOST,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    # Before its threads start, so that this is the first log line.
    logger.info("agent started", extra={"cameras": [camera.settings.name for camera in agent.cameras], "port": port})
    agent.start()
    serving = asyncio.create_task(server.serve())
    await _until(lambda: stop.is_set() or agent.done() or serving.done())
    await asyncio.to_thread(agent.stop)
    server.stop()
    await serving
    logger.info("agent ended")


def _log_death(died: threading.ExceptHookArgs) -> None:
    """Writes to the log, which removes secrets, instead of standard error."""
    name = None if died.thread is None else died.thread.name
    logger.critical("thread %s died", name, exc_info=died.exc_value)


async def _until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(_LOOK_SECONDS)
