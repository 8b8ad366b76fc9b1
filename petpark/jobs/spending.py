"""A job's cost so far at list prices: ended attempts as settled, a running one by its hourly price."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from registry.clock import Clock, utc_now
from registry.errors import ObjectMissing
from registry.layout.jobs import attempts_of_job_prefix, job_launch_key
from registry.layout.roles import Role
from registry.layout.workspace import spending_prefix

if TYPE_CHECKING:
    from petpark.targets.target import Target

_MICROS: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A job's launched attempts, their instance time in seconds, and their cost in USD at list prices."""

    launches: int = 0
    seconds: float = 0.0
    usd: float = 0.0


class Spending:
    """The cost of one job, from the records of the state machine `job`: see `docs/design/pipeline.md`."""

    def __init__(self, target: Target, job: str, *, clock: Clock = utc_now) -> None:
        self._store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
        self._region = target.outputs.region
        self._job = job
        self._clock = clock

    def so_far(self) -> float:
        """Returns the cost in USD; see `cost`."""
        return self.cost().usd

    def cost(self) -> Cost:
        """Returns the cost of all attempts; a running one is counted until now, at list price (0 if unknown)."""
        seconds, usd, attempts = 0.0, 0.0, self._attempts()
        for attempt, began in attempts.items():
            launch = self._launch(attempt)
            ended, paid = self._settlement(attempt, began) or (self._clock(), None)
            elapsed = (ended - began).total_seconds() * len(launch.get("instances", ()))
            seconds += elapsed
            usd += hourly_price(self._region, str(launch.get("type", ""))) * elapsed / 3600 if paid is None else paid
        return Cost(launches=len(attempts), seconds=round(seconds, 1), usd=round(usd, 6))

    def settled(self) -> bool:
        """Whether every attempt's cost is settled, so that the total is final."""
        return all(self._settlement(attempt, began) is not None for attempt, began in self._attempts().items())

    def _attempts(self) -> Mapping[str, datetime]:
        """Returns the launch time of each launched attempt."""
        prefix, now = attempts_of_job_prefix(self._job), self._clock()
        return {
            stored.key.removeprefix(prefix).partition("/")[0]: now - stored.age
            for stored in self._store.stats(prefix)
            if stored.key.endswith("/launch.json")
        }

    def _settlement(self, attempt: str, began: datetime) -> tuple[datetime, float] | None:
        """Returns when an attempt was settled, and its cost in USD; None while it runs.

        Its key has the month whose budget paid for the attempt: of the launch or the current one.
        """
        for month in {f"{moment:%Y-%m}" for moment in (began, self._clock())}:
            prefix, now = f"{spending_prefix(month)}{attempt}/paid/", self._clock()
            for stored in self._store.stats(prefix):
                return now - stored.age, int(stored.key.rpartition("/")[2]) / _MICROS
        return None

    def _launch(self, attempt: str) -> Mapping[str, Any]:
        try:
            launch: Mapping[str, Any] = json.loads(self._store.get(job_launch_key(self._job, attempt)))
        except ObjectMissing:
            return {}
        return launch


def hourly_price(region: str, instance_type: str) -> float:
    """Returns the on-demand price in USD per hour from the price list; 0 if it lacks the type or region."""
    from infra.configuration.prices import PriceUnknown, load

    try:
        return load().region(region).instances.usd.get(instance_type, 0.0)
    except PriceUnknown:
        return 0.0
