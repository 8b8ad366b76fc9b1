"""What a dataset must show before a model is made of it, and whether it does."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from training.dataset.quality.findings import Name
from training.errors import SpecMalformed
from training.settings import Settings


@dataclass(frozen=True, kw_only=True)
class DataGates(Settings):
    """Limits of a dataset's measures, which ordinary photos keep; a park sets its own.

    Shares are between 0 and 1. A limit at which nothing can fail is a gate that is not asked.
    """

    label_noise: float = 0.05  # most: share of photos whose label is contradicted
    rarest_class: float = 0.1  # least: photos of the rarest class, as a share of what it had if all had alike
    hours: int = 0  # least: hours of the day in which photos were taken; 0: not asked
    without_camera: float = 1.0  # most: share of photos of which nobody knows the camera; 1: not asked
    without_time: float = 1.0  # most: share of photos of which nobody knows the time; 1: not asked
    unusable: float = 0.2  # most: share of the files that were no whole photos
    near_duplicates: float = 0.5  # most: share of photos that look like another one
    contradictions: float = 0.01  # most: share of photos that look like one with another label
    camera_bias: float = 0.8  # most: how well a camera tells the class (Cramér's V); 1: not asked
    leaks: int = 0  # most: pairs of photos in different splits that show the same
    unclear: float = 0.2  # most: share of photos that are blurred, dark, overexposed or tiny
    greyscale: float = 1.0  # most: share of photos without colour; 1: not asked, for nights are without
    unlike: float = 0.05  # most: share of photos that are like no others
    days: float = 0.0  # most: days since the newest photo of the camera that has been silent longest; 0: not asked

    def __post_init__(self) -> None:
        """Refuse what no gate can mean; SpecMalformed."""
        for name, value in asdict(self).items():
            if not (value >= 0 and math.isfinite(value)) or (name not in _COUNTS and value > 1):
                raise SpecMalformed(
                    f"data gate {name} is {'a number' if name in _COUNTS else 'a share'}: "
                    f"{'0 or above' if name in _COUNTS else 'from 0 to 1'}, not {value}"
                )


@dataclass(frozen=True, kw_only=True)
class DataGateResult:
    """How a dataset did at one gate."""

    name: str  # field of DataGates
    characteristic: Name
    passed: bool
    measured: bool
    """False: nobody looked. Then it did not pass either, but no photo is to blame."""
    asked: str
    found: str


@dataclass(frozen=True, kw_only=True)
class _Gate:
    characteristic: Name
    what: str
    least: bool = False
    unit: str = ""  # of a number that is no share
    plain: bool = False  # a share that is written as a number, not as percent
    off: float = 1.0


_GATES: Final[Mapping[str, _Gate]] = {
    "label_noise": _Gate(characteristic=Name.ACCURACY, what="photos whose label is contradicted"),
    "rarest_class": _Gate(
        characteristic=Name.COMPLETENESS, what="photos of the rarest class, of an equal part", least=True, off=0.0
    ),
    "hours": _Gate(
        characteristic=Name.COMPLETENESS, what="hours of the day with photos", least=True, unit=" h", off=0.0
    ),
    "without_camera": _Gate(characteristic=Name.COMPLETENESS, what="photos of unknown cameras"),
    "without_time": _Gate(characteristic=Name.COMPLETENESS, what="photos of unknown times"),
    "unusable": _Gate(characteristic=Name.RELIABILITY, what="files that are no whole photos"),
    "near_duplicates": _Gate(characteristic=Name.RELIABILITY, what="photos that look like another"),
    "contradictions": _Gate(characteristic=Name.RELIABILITY, what="photos that look like one with another label"),
    "camera_bias": _Gate(
        characteristic=Name.RELIABILITY, what="how well the camera tells the class (0 to 1)", plain=True
    ),
    "leaks": _Gate(
        characteristic=Name.RELIABILITY, what="pairs that show the same in two splits", unit=" pairs", off=-1
    ),
    "unclear": _Gate(characteristic=Name.RELEVANCE, what="photos that are blurred, dark, overexposed or tiny"),
    "greyscale": _Gate(characteristic=Name.RELEVANCE, what="photos without colour"),
    "unlike": _Gate(characteristic=Name.RELEVANCE, what="photos that are like no others"),
    "days": _Gate(characteristic=Name.TIMELINESS, what="days since a camera's newest photo", unit=" days", off=0.0),
}
_COUNTS: Final = frozenset(name for name, gate in _GATES.items() if gate.unit)


def judge(gates: DataGates, measures: Mapping[str, float]) -> tuple[DataGateResult, ...]:
    """Hold measures against every gate that is asked."""
    limits: dict[str, float] = asdict(gates)
    return tuple(
        _judge(name, gate, limits[name], measures.get(name))
        for name, gate in _GATES.items()
        if limits[name] != gate.off
    )


def failed(results: Iterable[DataGateResult]) -> tuple[DataGateResult, ...]:
    """Those at which the dataset was measured, and found wanting."""
    return tuple(result for result in results if result.measured and not result.passed)


def _judge(name: str, gate: _Gate, limit: float, value: float | None) -> DataGateResult:
    passed = value is not None and (value >= limit if gate.least else value <= limit)
    return DataGateResult(
        name=name,
        characteristic=gate.characteristic,
        passed=passed,
        measured=value is not None,
        asked=f"{gate.what}: at {'least' if gate.least else 'most'} {_written(limit, gate)}",
        found="not measured" if value is None else _written(value, gate),
    )


def _written(value: float, gate: _Gate) -> str:
    if gate.plain:
        return f"{value:.2f}"
    return f"{value:g}{gate.unit}" if gate.unit else f"{value * 100:.1f}\u00a0%"
