"""The current time; tests can pass their own clock."""

from collections.abc import Callable
from datetime import UTC, datetime

type Clock = Callable[[], datetime]
"""Returns now, with its time zone."""


def utc_now() -> datetime:
    """Return the time of this machine's clock."""
    return datetime.now(UTC)
