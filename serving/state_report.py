"""Log the state of an endpoint once a minute; metric filters of CloudWatch turn it into metrics for alarms."""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from datetime import datetime

from registry.clock import Clock, utc_now
from registry.log_lines import (
    CERTIFICATE_DAYS,
    DISK_PERCENT,
    IN_SERVICE,
    OTHER_VERSION_SECONDS,
    REFUSING,
    STATE,
    STORE_SILENT_SECONDS,
    TELEMETRY_LOST,
)
from serving.release.live import Live

logger = logging.getLogger(__name__)

EVERY_SECONDS = 60.0

_DAY = 24 * 60 * 60


def disk_percent(path: str = "/") -> float:
    """Returns the used share of a path's disk in percent, without the space reserved for root, as `df` does."""
    usage = shutil.disk_usage(path)
    return round(100 * usage.used / (usage.used + usage.free), 1)


def state_of(
    live: Live, *, now: datetime, monotonic: float, disk: Callable[[], float] = disk_percent, lost: int = 0
) -> dict[str, float]:
    """Returns the state as numbers by field; `lost` is the number of sampled predictions lost since the last report.

    `in_service` and `refusing` are 0 or 1. `certificate_days`, until the active version's certificate expires, is
    omitted without a certificate.
    """
    deployed = live.deployed
    left = deployed.model.certified_seconds(now) if deployed else None
    state: dict[str, float] = {
        IN_SERVICE.field: int(live.in_service),
        REFUSING.field: int(live.refused is not None),
        STORE_SILENT_SECONDS.field: round(monotonic - live.store_answered_at, 1),
        OTHER_VERSION_SECONDS.field: 0 if live.differs_since is None else round(monotonic - live.differs_since, 1),
        DISK_PERCENT.field: disk(),
        TELEMETRY_LOST.field: lost,
    }
    return state if left is None else {**state, CERTIFICATE_DAYS.field: round(left / _DAY, 2)}


async def report_state(
    live: Live,
    *,
    every_seconds: float = EVERY_SECONDS,
    clock: Clock = utc_now,
    monotonic: Callable[[], float] = time.monotonic,
    lost: Callable[[], int] = lambda: 0,
) -> None:
    """Log the state every `every_seconds`, until cancelled; `lost` returns the total number of lost predictions."""
    before = 0
    while True:
        await asyncio.sleep(every_seconds)
        total = lost()
        logger.info(STATE, extra=state_of(live, now=clock(), monotonic=monotonic(), lost=total - before))
        before = total
