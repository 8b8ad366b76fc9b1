"""Windows: recorded photos of one camera and one version that are tested together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

HOUR: Final = 3600
FEWEST_PHOTOS: Final = 50
"""Minimum photos of a tested window; an hour with fewer is joined with the next hours."""

MOST_HOURS: Final = 24
APART_SECONDS: Final = 10.0
"""Minimum seconds between two tested photos of a camera: photos of one visit are similar."""

type Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """Recorded data of N photos. Arrays that were not recorded are None."""

    probabilities: Numbers  # float [N, K], in the order of the reference's labels
    statistic_names: tuple[str, ...] = ()
    statistics: Numbers | None = None  # float [N, S]
    strangeness: Numbers | None = None  # float [N]
    embedding: Numbers | None = None  # float [N, D]

    def __post_init__(self) -> None:
        for name in ("statistics", "strangeness", "embedding"):
            array = getattr(self, name)
            if array is not None and len(array) != len(self):
                raise ValueError(f"{len(array)} rows of {name} for {len(self)} photos")

    def __len__(self) -> int:
        return len(self.probabilities)

    def take(self, indices: Numbers) -> "Window":
        """Returns the window of some of its photos."""
        return Window(
            probabilities=self.probabilities[indices],
            statistic_names=self.statistic_names,
            statistics=None if self.statistics is None else self.statistics[indices],
            strangeness=None if self.strangeness is None else self.strangeness[indices],
            embedding=None if self.embedding is None else self.embedding[indices],
        )


@dataclass(frozen=True, kw_only=True)
class Span:
    """Whole hours, counted from the epoch, and the indices of their photos."""

    first: int
    hours: int
    indices: Numbers


def thinned(seconds: Numbers, *, apart: float = APART_SECONDS) -> Numbers:
    """Returns the indices of photos, ascending in time, at least `apart` seconds apart."""
    order = np.argsort(seconds, kind="stable")
    kept: list[int] = []
    last = -np.inf
    for index in order.tolist():
        if seconds[index] - last >= apart:
            kept.append(index)
            last = seconds[index]
    return np.array(kept, dtype=np.intp)


def spans(
    seconds: Numbers, *, until: float, fewest: int = FEWEST_PHOTOS, most_hours: int = MOST_HOURS
) -> Sequence[Span]:
    """Returns the hours of photos, taken at `seconds` since the epoch, joined into spans of at least `fewest` photos.

    A span of `most_hours` may have fewer photos. Hours that are not over at `until` are left out, and so is a last
    span that may still grow. No photo is in two spans.
    """
    if not len(seconds):
        return []
    hours = np.floor_divide(seconds, HOUR).astype(np.int64)
    over = int(until // HOUR)
    found: list[Span] = []
    first, indices = int(hours.min()), list[int]()
    order = np.argsort(seconds, kind="stable")
    for hour in range(first, over):
        indices += order[
            np.searchsorted(hours[order], hour) : np.searchsorted(hours[order], hour, side="right")
        ].tolist()
        if len(indices) >= fewest or hour - first + 1 >= most_hours:
            found.append(Span(first=first, hours=hour - first + 1, indices=np.array(indices, dtype=np.intp)))
            first, indices = hour + 1, []
    return found


QUIET_WINDOWS: Final = 2
"""Number of consecutive windows without drift that end an alarm."""


def alarms(drifted: Sequence[bool]) -> list[tuple[int, int]]:
    """Returns the alarms of consecutive windows: indices of the first and the last window with drift of each."""
    found: list[tuple[int, int]] = []
    for index in (index for index, each in enumerate(drifted) if each):
        if found and index - found[-1][1] <= QUIET_WINDOWS:
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
    return found


def ongoing(drifted: Sequence[bool]) -> bool:
    """Returns whether an alarm is active after consecutive windows: fewer than `QUIET_WINDOWS` without drift since."""
    found = alarms(drifted)
    return bool(found) and len(drifted) - 1 - found[-1][1] < QUIET_WINDOWS
