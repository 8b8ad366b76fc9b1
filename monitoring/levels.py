"""Significance levels of the drift tests, from the accepted false alarms of a camera (docs/design/drift.md)."""

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
"""Per test, the probability of rejecting a window without drift. Their sum bounds that of all tests together."""

WINDOWS_A_MONTH: Final = 24 * 365.25 / 12


def false_alarms_a_month() -> float:
    """Returns the maximum expected number of false alarms of all tests of a camera per month."""
    return WINDOWS_A_MONTH * sum(LEVELS.values())
