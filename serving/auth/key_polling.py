"""The API keys of an endpoint: read at the start, then polled."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client import Gauge

from registry.clock import Clock, utc_now
from serving.auth.key_log import KeyLog, KeyState
from serving.auth.key_record import ApiKey, hash_of
from serving.telemetry import Metrics

logger = logging.getLogger(__name__)

POLL_SECONDS = 15.0
"""Maximum seconds until a new key, a rotation or a revocation reaches an endpoint."""

LONGEST_SECONDS = 24 * 3600.0
"""Seconds for which the last known keys are trusted while the store is unreachable."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    """The result of one poll. Immutable, so that a request sees the keys either before or after a change."""

    state: KeyState = field(default_factory=KeyState)
    by_hash: Mapping[str, tuple[ApiKey, datetime | None]] = field(
        default_factory=dict[str, tuple[ApiKey, datetime | None]]
    )
    """Hash of a key -> its record, and the end of the grace period if a rotation replaced it."""
    read_at: float | None = None
    """By the monotonic clock; None before the first poll."""


class KeyRing:
    """One writer (the poller's thread), many readers."""

    def __init__(
        self,
        log: KeyLog,
        *,
        metrics: Metrics,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._clock = clock
        self._monotonic = monotonic
        self._known = _Known()
        self._complained: set[str] = set()
        self._away = False
        at = metrics.registry
        Gauge("petpark_api_keys", "API keys known to this endpoint", registry=at).set_function(
            lambda: len(self._known.state.records)
        )
        Gauge(
            "petpark_api_keys_age_seconds", "Time since the API keys were last read; NaN before", registry=at
        ).set_function(lambda: float("nan") if self.age is None else self.age)
        self._malformed = Gauge("petpark_api_keys_malformed", "Stored key records that cannot be read", registry=at)

    @property
    def age(self) -> float | None:
        """Seconds since the keys were last read; None before."""
        read_at = self._known.read_at
        return None if read_at is None else self._monotonic() - read_at

    @property
    def usable(self) -> bool:
        """Whether the last known keys are recent enough to be trusted."""
        return self.age is not None and self.age <= LONGEST_SECONDS

    @property
    def known(self) -> int:
        """Number of known keys."""
        return len(self._known.state.records)

    def find(self, key: str) -> ApiKey | None:
        """Returns the record of `key`, expired or not; None for an unknown key, or one replaced by a rotation.

        The lookup is by hash: its timing reveals only hashes, from which no key can be derived, so it need not take
        constant time.
        """
        found = self._known.by_hash.get(hash_of(key))
        if found is None:
            return None
        record, until = found
        return record if until is None or self._clock() < until else None

    def run(self, stop: threading.Event, *, poll_seconds: float = POLL_SECONDS) -> None:
        """Poll until `stop` is set; a failed first poll is retried soon."""
        while not stop.is_set():
            stop.wait(poll_seconds if self.refresh() or self.age is not None else min(2.0, poll_seconds))

    def refresh(self) -> bool:
        """Poll once. Returns False if it failed; the known keys then stay. Needs one request without changes."""
        try:
            state = self._log.latest(self._known.state)
        except Exception as error:  # noqa: BLE001 - no error may end the poller
            level = logging.DEBUG if self._away else logging.ERROR
            self._away = True
            logger.log(level, "cannot read the API keys; using the last known ones", extra={"error": repr(error)})
            return False
        if self._away:
            self._away = False
            logger.info("API keys readable again")
        by_hash = self._known.by_hash if state is self._known.state else self._by_hash(state)
        self._known = _Known(state=state, by_hash=by_hash, read_at=self._monotonic())
        return True

    def _by_hash(self, state: KeyState) -> Mapping[str, tuple[ApiKey, datetime | None]]:
        """An invalid record does not affect others, and is logged once."""
        for name, problem in state.problems.items():
            if name not in self._complained:
                logger.warning("invalid API key record", extra={"key": name, "detail": problem})
        if state.seen > max(state.number, self._known.state.seen):
            logger.warning("invalid objects in the log of API keys", extra={"last": state.seen})
        self._complained = set(state.problems)
        self._malformed.set(len(state.problems))
        records = state.records.values()
        old = {each.previous.hash: (each, each.previous.until) for each in records if each.previous is not None}
        return {**old, **{record.hash: (record, None) for record in records}}
