"""The keys that an endpoint knows, read from the parameter store at the start and again and again."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from prometheus_client import Gauge

from serving.keys.record import ApiKey, RecordMalformed, hash_of
from serving.telemetry import Metrics

logger = logging.getLogger(__name__)

POLL_SECONDS = 15.0
"""How long a new key, a rotation or a revocation takes to reach an endpoint, at most."""

LONGEST_SECONDS = 24 * 3600.0
"""For how long the last known keys are trusted while the parameter store does not answer."""


class ParameterReader(Protocol):
    """The call of boto3's SSM client that a ring needs."""

    def get_paginator(self, operation_name: Literal["get_parameters_by_path"], /) -> Any:
        """Give a paginator, as boto3 does."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Known:
    """One reading. Immutable, so that a request sees the keys before a change or after it."""

    by_hash: Mapping[str, tuple[ApiKey, datetime | None]] = field(
        default_factory=dict[str, tuple[ApiKey, datetime | None]]
    )
    """Hash of a key -> its record, and until when that hash is good if a rotation replaced it."""
    keys: int = 0
    read_at: float | None = None
    """By the monotonic clock; None before the first reading."""


class KeyRing:
    """One writer (the poller's thread), many readers."""

    def __init__(
        self,
        ssm: ParameterReader,
        path: str,
        *,
        metrics: Metrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ssm = ssm
        self._path = path
        self._clock = clock
        self._monotonic = monotonic
        self._known = _Known()
        self._complained: set[str] = set()
        self._away = False
        at = metrics.registry
        Gauge("petpark_api_keys", "API keys known here", registry=at).set_function(lambda: self._known.keys)
        Gauge(
            "petpark_api_keys_age_seconds", "Time since the API keys were last read; NaN before", registry=at
        ).set_function(lambda: float("nan") if self.age is None else self.age)
        self._malformed = Gauge("petpark_api_keys_malformed", "Parameters that are no record of a key", registry=at)

    @property
    def age(self) -> float | None:
        """Seconds since the keys were last read; None before."""
        read_at = self._known.read_at
        return None if read_at is None else self._monotonic() - read_at

    @property
    def usable(self) -> bool:
        """Whether what is known may still be believed."""
        return self.age is not None and self.age <= LONGEST_SECONDS

    def to_json(self) -> dict[str, object]:
        """Give it as `/v1/model` shows it."""
        age = self.age
        return {"known": self._known.keys, "read_seconds_ago": None if age is None else round(age, 1)}

    def find(self, key: str) -> ApiKey | None:
        """Give the record of `key`, expired or not; None for one that nobody made, or that a rotation ended.

        Looked up by its hash: how long that takes says something about hashes of the caller's own choosing, and from a
        hash nobody gets to a key. So no comparison needs to take constant time.
        """
        found = self._known.by_hash.get(hash_of(key))
        if found is None:
            return None
        record, until = found
        return record if until is None or self._clock() < until else None

    def run(self, stop: threading.Event, *, poll_seconds: float = POLL_SECONDS) -> None:
        """Read again and again until `stop` is set; a first reading that failed is repeated soon."""
        while not stop.is_set():
            stop.wait(poll_seconds if self.refresh() or self.age is not None else min(2.0, poll_seconds))

    def refresh(self) -> bool:
        """Read all keys once. Where that fails, what is known stays; True when the store answered."""
        try:
            parameters = list(self._read())
        except Exception as error:  # noqa: BLE001 - whatever happens here must not end the poller
            level = logging.DEBUG if self._away else logging.ERROR
            self._away = True
            logger.log(level, "cannot read the API keys; the last known are in force", extra={"error": repr(error)})
            return False
        if self._away:
            self._away = False
            logger.info("reading the API keys again")
        records = list(self._records(parameters))
        by_hash: dict[str, tuple[ApiKey, datetime | None]] = {}
        for record in records:
            if record.previous is not None:
                by_hash[record.previous.hash] = (record, record.previous.until)
        by_hash |= {record.hash: (record, None) for record in records}
        self._malformed.set(len(parameters) - len(records))
        self._known = _Known(by_hash=by_hash, keys=len(records), read_at=self._monotonic())
        return True

    def _read(self) -> Iterator[tuple[str, str]]:
        pages = self._ssm.get_paginator("get_parameters_by_path").paginate(Path=self._path)
        for page in pages:
            for parameter in page["Parameters"]:
                yield parameter["Name"].rpartition("/")[2], parameter["Value"]

    def _records(self, parameters: list[tuple[str, str]]) -> Iterator[ApiKey]:
        """Those that can be read; one that cannot spoils no other, and is complained of once."""
        complaints: set[str] = set()
        for name, text in parameters:
            try:
                yield ApiKey.from_json(name, text)
            except RecordMalformed as error:
                complaints.add(name)
                if name not in self._complained:
                    logger.warning("no record of an API key", extra={"parameter": name, "detail": str(error)})
        self._complained = complaints
