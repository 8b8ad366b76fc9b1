"""The state of an endpoint, once a minute in a log line, from which CloudWatch makes the metrics of its alarms."""

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
    """How full the disk of a path is, as `df` shows it: of what is not reserved for root."""
    usage = shutil.disk_usage(path)
    return round(100 * usage.used / (usage.used + usage.free), 1)


def state_of(
    live: Live, *, now: datetime, monotonic: float, disk: Callable[[], float] = disk_percent, lost: int = 0
) -> dict[str, float]:
    """The state in numbers; `lost` predictions were sampled and not stored since the last report.

    `in_service` and `refusing` are 0 or 1; `certificate_days`, until the certificate of the active version ends, is
    left out where there is none.
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
    """Log the state periodically, until cancelled; `lost` counts predictions that were sampled and not stored."""
    before = 0
    while True:
        await asyncio.sleep(every_seconds)
        total = lost()
        logger.info(STATE, extra=state_of(live, now=clock(), monotonic=monotonic(), lost=total - before))
        before = total
