"""What a stack may promise of its endpoint. The alarms on it are in `infra.endpoint.objectives`."""

from enum import StrEnum
from typing import Final

PERCENTAGES: Final = ("90", "95", "99", "99.5", "99.9", "99.95")
"""Objectives that a stack may have."""


class Objective(StrEnum):
    """What a share of the requests must be."""

    AVAILABILITY = "availability"
    LATENCY = "latency"
