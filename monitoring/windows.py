"""Which recorded photos are looked at together: a window of one camera and one version."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

HOUR: Final = 3600
FEWEST_PHOTOS: Final = 50
"""Of a window that is tested; an hour with fewer is joined with the hours after it."""

MOST_HOURS: Final = 24
APART_SECONDS: Final = 10.0
"""Between two photos of a camera that are both tested: photos of one visit are alike."""

type Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """What was recorded of N photos. Arrays that recording left out are None."""

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

    def take(self, places: Numbers) -> "Window":
        """Returns the window of some of its photos."""
        return Window(
            probabilities=self.probabilities[places],
            statistic_names=self.statistic_names,
            statistics=None if self.statistics is None else self.statistics[places],
            strangeness=None if self.strangeness is None else self.strangeness[places],
            embedding=None if self.embedding is None else self.embedding[places],
        )


@dataclass(frozen=True, kw_only=True)
class Span:
    """Whole hours, counted from the epoch, and the places of their photos."""

    first: int
    hours: int
    places: Numbers


def thinned(seconds: Numbers, *, apart: float = APART_SECONDS) -> Numbers:
    """Returns the places of photos, ascending in time, of which each is `apart` seconds after the one before."""
    order = np.argsort(seconds, kind="stable")
    kept: list[int] = []
    last = -np.inf
    for place in order.tolist():
        if seconds[place] - last >= apart:
            kept.append(place)
            last = seconds[place]
    return np.array(kept, dtype=np.intp)


def spans(
    seconds: Numbers, *, until: float, fewest: int = FEWEST_PHOTOS, most_hours: int = MOST_HOURS
) -> Sequence[Span]:
    """Join the hours of photos, taken at `seconds` since the epoch, into spans of at least `fewest` photos.

    A span that reaches `most_hours` with fewer photos ends as it is. Hours that are not over at `until` are left out,
    and a last span that may still grow is too. No photo is in two spans.
    """
    if not len(seconds):
        return []
    hours = np.floor_divide(seconds, HOUR).astype(np.int64)
    over = int(until // HOUR)
    found: list[Span] = []
    first, places = int(hours.min()), list[int]()
    order = np.argsort(seconds, kind="stable")
    for hour in range(first, over):
        places += order[
            np.searchsorted(hours[order], hour) : np.searchsorted(hours[order], hour, side="right")
        ].tolist()
        if len(places) >= fewest or hour - first + 1 >= most_hours:
            found.append(Span(first=first, hours=hour - first + 1, places=np.array(places, dtype=np.intp)))
            first, places = hour + 1, []
    return found


QUIET_WINDOWS: Final = 2
"""Windows without drift, one after the other, that end an alarm."""


def alarms(drifted: Sequence[bool]) -> list[tuple[int, int]]:
    """Returns the alarms of consecutive windows: places of the first and the last window of each that drifted."""
    found: list[tuple[int, int]] = []
    for place in (place for place, each in enumerate(drifted) if each):
        if found and place - found[-1][1] <= QUIET_WINDOWS:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found
