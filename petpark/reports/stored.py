"""Reports as files in the data lake. Created once, never overwritten."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from registry.layout.data_lake import report_key
from registry.layout.roles import Role

if TYPE_CHECKING:
    from petpark.targets.target import Target

MONTHLY: Final = "monthly"
MONITORING: Final = "monitoring"


def store(target: Target, page: str, *, kind: str, period: str, written_at: datetime) -> str:
    """Store a page; returns its `s3://` address. `period`: the month or day that it ends with."""
    lake = target.outputs.data_lake
    key = report_key(target.outputs.stack, kind, period, f"{written_at:%Y%m%dT%H%M%S%fZ}")
    target.store(lake, role=Role.PUBLISHER).create(key, page.encode())
    return f"s3://{lake}/{key}"
