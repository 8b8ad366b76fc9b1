"""The current time; tests can pass their own clock."""

from collections.abc import Callable
from datetime import UTC, datetime

type Clock = Callable[[], datetime]
"""Returns now, with its time zone."""


def utc_now() -> datetime:
    """Return what this machine's clock says."""
    return datetime.now(UTC)
