"""What a job has cost so far: what its ended attempts cost, and the one that runs by the hour, at list prices."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from registry.clock import Clock, utc_now
from registry.errors import ObjectMissing
from registry.layout import Role, attempts_of_job_prefix, job_launch_key, spending_prefix

if TYPE_CHECKING:
    from petpark.targets.target import Target

_MICROS: Final = 1_000_000


class Spending:
    """Money of one job. The state machine keeps the books: see `docs/design/pipeline.md`."""

    def __init__(self, target: Target, job: str, *, clock: Clock = utc_now) -> None:
        self._store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
        self._region = target.outputs.region
        self._job = job
        self._clock = clock

    def so_far(self) -> float:
        """USD; 0 before the first launch. A type without a list price counts as nothing until its attempt is paid."""
        total = 0.0
        for attempt, began in self._attempts().items():
            paid = self._paid(attempt, began)
            total += self._running(attempt, began) if paid is None else paid
        return round(total, 4)

    def _attempts(self) -> Mapping[str, datetime]:
        """Attempts that were launched, and when."""
        prefix, now = attempts_of_job_prefix(self._job), self._clock()
        return {
            stored.key.removeprefix(prefix).partition("/")[0]: now - stored.age
            for stored in self._store.stats(prefix)
            if stored.key.endswith("/launch.json")
        }

    def _paid(self, attempt: str, began: datetime) -> float | None:
        """What an attempt cost; None while it runs. Its keys are in the month in which it was afforded."""
        for month in {f"{moment:%Y-%m}" for moment in (began, self._clock())}:
            prefix = f"{spending_prefix(month)}{attempt}/paid/"
            for key in self._store.keys(prefix):
                return int(key.rpartition("/")[2]) / _MICROS
        return None

    def _running(self, attempt: str, began: datetime) -> float:
        try:
            launch: Mapping[str, Any] = json.loads(self._store.get(job_launch_key(self._job, attempt)))
        except ObjectMissing:
            return 0.0
        hours = (self._clock() - began).total_seconds() / 3600
        return hourly_price(self._region, str(launch.get("type", ""))) * len(launch.get("instances", ())) * hours


def hourly_price(region: str, instance_type: str) -> float:
    """USD an hour, on demand, by the dated table; 0 for a type or region that it lacks."""
    from infra.configuration.prices import PriceUnknown, load

    try:
        return load().region(region).instances.usd.get(instance_type, 0.0)
    except PriceUnknown:
        return 0.0
