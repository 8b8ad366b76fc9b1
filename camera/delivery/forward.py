"""Upload of events to the data lake: in order, create-only, retried until stored."""

import json
import logging
import threading
from dataclasses import dataclass
from typing import Any, Protocol

from camera.backoff import Backoff
from camera.delivery.spool import Spool, Spooled
from camera.telemetry import AgentMetrics
from camera.timing import Clock, moment
from registry.errors import ObjectExists, RegistryError
from registry.layout.data_lake import event_key, event_picture_key

logger = logging.getLogger(__name__)

_BATCH = 16
_IDLE_SECONDS = 1.0
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_TIDY_SECONDS = 300.0


class Creates(Protocol):
    """The part of ObjectStore that the forwarder needs."""

    def create(self, key: str, body: bytes) -> None:
        """See ObjectStore."""
        ...


@dataclass(kw_only=True)
class Link:
    """State of the connection to the cloud; written by the forwarder, read by other threads."""

    to: str | None
    last_success: float | None = None
    last_error: str | None = None


class Forwarder:
    """Uploads the spool's waiting events; `step` uploads a batch and returns the wait before the next.

    An event is confirmed when the store acknowledged it. After a lost response the retry gets `ObjectExists`, which
    means the same, because event ids are unique. An event that cannot be uploaded blocks later ones.
    """

    def __init__(
        self,
        spool: Spool,
        store: Creates | None,
        *,
        to: str | None,
        retention_hours: float,
        clock: Clock,
        metrics: AgentMetrics,
        backoff: Backoff | None = None,
    ) -> None:
        """Without a store nothing is uploaded, and only retention applies."""
        self._spool = spool
        self._store = store
        self._retention = retention_hours * 3600
        self._clock = clock
        self._metrics = metrics
        self._backoff = backoff or Backoff(first=_FIRST_WAIT, most=_LONGEST_WAIT)
        self._tidied: float | None = None
        self.link = Link(to=to)

    def run(self, stop: threading.Event) -> None:
        """Run steps until stopped."""
        while not stop.wait(self._step_or_wait()):
            pass

    def step(self) -> float:
        """Upload up to a batch. Returns the seconds to wait before the next step."""
        self._keep_retention()
        store = self._store
        if store is None:
            return _IDLE_SECONDS
        waiting = self._spool.waiting(_BATCH)
        for spooled in waiting:
            try:
                send(store, spooled)
            except RegistryError as error:
                return self._failed(error)
            self._spool.confirm(spooled.sequence)
            self._sent()
        return 0.0 if len(waiting) == _BATCH else _IDLE_SECONDS

    def _step_or_wait(self) -> float:
        try:
            return self.step()
        except Exception:  # a full disk or a bug: logged, and the agent continues
            logger.exception("cannot forward")
            return self._backoff.failed()

    def _sent(self) -> None:
        self._metrics.forwarded.inc()
        if self.link.last_error is not None:
            logger.info("upload works again", extra={"to": self.link.to})
        self._backoff.succeeded()
        self.link.last_error = None
        self.link.last_success = self._clock.wall()

    def _failed(self, error: RegistryError) -> float:
        self._metrics.forward_failures.labels(error.outcome).inc()
        if self.link.last_error is None:
            logger.warning("cannot upload events; keeping them on disk", extra={"reason": str(error)})
        self.link.last_error = str(error)
        return self._backoff.failed()

    def _keep_retention(self) -> None:
        now = self._clock.monotonic()
        if self._tidied is None or now - self._tidied >= _TIDY_SECONDS:
            self._tidied = now
            wall = self._clock.wall()
            self._spool.forget(before=wall - self._retention, now=wall)


def send(store: Creates, spooled: Spooled) -> None:
    """Create an event's objects, the picture first, so that readers of the event find it."""
    event = spooled.event
    day = event.at[:10]
    picture_key = None
    if spooled.picture is not None:
        picture_key = event_picture_key(event.camera, day, event.id)
        _create(store, picture_key, spooled.picture)
    facts: dict[str, Any] = {
        **event.to_dict(),
        "sequence": spooled.sequence,
        "recorded_at": moment(spooled.recorded).isoformat(),
        "picture": picture_key,
    }
    body = json.dumps(facts, ensure_ascii=False, sort_keys=True).encode()
    _create(store, event_key(event.camera, day, event.id), body)


def _create(store: Creates, key: str, body: bytes) -> None:
    try:
        store.create(key, body)
    except ObjectExists:
        return
