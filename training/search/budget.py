"""What a study has spent, what it may still spend, and whether one more instance fits into that."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from training.errors import SpecMalformed

AROUND: Final = 600
"""Seconds that an instance may take besides its job: to boot, install and end."""

_HOUR: Final = 3600


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of a study, over all its instances; None is no limit."""

    max_hours: float | None = None
    max_usd: float | None = None
    usd_per_hour: float | None = None  # what an instance costs; None: not given

    def __post_init__(self) -> None:
        """Refuse what no budget can mean; SpecMalformed."""
        for name, value in self.limits().items():
            if not 0 < value < float("inf"):
                raise SpecMalformed(f"{name} must be above 0, not {value}")
        if self.max_usd is not None and self.usd_per_hour is None:
            raise SpecMalformed("max_usd needs to know what an instance costs: give --usd-per-hour too")

    def limits(self) -> dict[str, float]:
        """Returns the limits that were given."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def usd(self, seconds: float) -> float | None:
        """Returns what this much instance time costs; None without a price."""
        return None if self.usd_per_hour is None else seconds / _HOUR * self.usd_per_hour

    def allows(self, seconds: float) -> bool:
        """Returns whether so much instance time is within every limit."""
        usd = self.usd(seconds)
        in_time = self.max_hours is None or seconds <= self.max_hours * _HOUR
        return in_time and (self.max_usd is None or usd is None or usd <= self.max_usd)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of the ledger: the `number`-th instance of a study, for which trial, since when."""

    number: int
    trial: int
    most: int  # seconds that it may take
    born: float  # by the same clock as the trials' ends
    refused: bool = False  # the cloud had no instance: it costs nothing
    alive: bool = False  # it is seen to be at work


def spent(entries: Sequence[Entry], ends: Mapping[int, float], now: float) -> dict[int, float]:
    """Returns seconds by ledger number; what may still run counts as if it took all of its time, or more if it has.

    `ends`: when trials had their results. An instance that ended without one counts until the next of its trial
    was started, but no longer than it may take.
    """
    seconds: dict[int, float] = {}
    after: dict[int, Entry] = {}
    for entry in reversed(entries):
        if entry.refused:
            seconds[entry.number] = 0.0
            continue
        following = after.get(entry.trial)
        if following is not None:
            seconds[entry.number] = min(max(0.0, following.born - entry.born), entry.most)
        elif entry.trial in ends:
            seconds[entry.number] = max(0.0, ends[entry.trial] - entry.born)
        else:
            seconds[entry.number] = max(float(entry.most), now - entry.born) if entry.alive else float(entry.most)
        after[entry.trial] = entry
    return dict(sorted(seconds.items()))
