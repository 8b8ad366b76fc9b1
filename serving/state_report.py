"""The state of an endpoint, once a minute in a log line, from which CloudWatch makes the metrics of its alarms."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime

from registry.clock import Clock, utc_now
from registry.log_lines import CERTIFICATE_DAYS, IN_SERVICE, REFUSING, STATE, STORE_SILENT_SECONDS
from serving.release.live import Live

logger = logging.getLogger(__name__)

EVERY_SECONDS = 60.0

_DAY = 24 * 60 * 60


def state_of(live: Live, *, now: datetime, monotonic: float) -> dict[str, float]:
    """The state in numbers.

    `in_service` and `refusing` are 0 or 1; `certificate_days`, until the certificate of the active version ends, is
    left out where there is none.
    """
    deployed = live.deployed
    left = deployed.model.certified_seconds(now) if deployed else None
    state: dict[str, float] = {
        IN_SERVICE.field: int(live.in_service),
        REFUSING.field: int(live.refused is not None),
        STORE_SILENT_SECONDS.field: round(monotonic - live.store_answered_at, 1),
    }
    return state if left is None else {**state, CERTIFICATE_DAYS.field: round(left / _DAY, 2)}


async def report_state(
    live: Live,
    *,
    every_seconds: float = EVERY_SECONDS,
    clock: Clock = utc_now,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Log the state periodically, until cancelled."""
    while True:
        await asyncio.sleep(every_seconds)
        logger.info(STATE, extra=state_of(live, now=clock(), monotonic=monotonic()))
