"""How the false alarms that a camera may raise are shared by its tests: docs/design/drift.md derives it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

LEVELS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "outputs": 0.0002,
        "inputs": 0.00025,
        "strangeness": 0.0002,
        "embeddings": 0.0002,
        "classifier": 0.0001,
        "traffic": 0.00005,
    }
)
"""Of each test, the probability of rejecting a window that has not drifted. They add up to that of all together."""

WINDOWS_A_MONTH: Final = 24 * 365.25 / 12


def false_alarms_a_month() -> float:
    """Returns the most that all tests of a camera are expected to raise together: expectations add up."""
    return WINDOWS_A_MONTH * sum(LEVELS.values())
