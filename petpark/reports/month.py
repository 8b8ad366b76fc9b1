"""A calendar month in the park's time zone."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTH: Final = re.compile(r"([0-9]{4})-([0-9]{2})")
_FIRST_YEAR: Final = 2000


class MonthInvalid(ValueError):
    """The text is not a month or a time zone; the message says what is expected."""


@dataclass(frozen=True, kw_only=True, order=True)
class Month:
    """`year` and `number` (1 to 12) in the time zone `zone`."""

    year: int
    number: int
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str, zone: ZoneInfo) -> "Month":
        """Read `2026-11`. Raises MonthInvalid."""
        found = _MONTH.fullmatch(text)
        if found is None or not 1 <= int(found[2]) <= 12 or int(found[1]) < _FIRST_YEAR:
            raise MonthInvalid(f"{text!r} is not a month; expected one such as 2026-11")
        return cls(year=int(found[1]), number=int(found[2]), zone=zone)

    @classmethod
    def before(cls, moment: datetime, zone: ZoneInfo) -> "Month":
        """Return the last complete month before `moment`."""
        first = moment.astimezone(zone).date().replace(day=1) - timedelta(days=1)
        return cls(year=first.year, number=first.month, zone=zone)

    def __str__(self) -> str:
        return f"{self.year}-{self.number:02d}"

    @property
    def days(self) -> list[date]:
        """All its days."""
        day, found = date(self.year, self.number, 1), list[date]()
        while day.month == self.number:
            found.append(day)
            day += timedelta(days=1)
        return found

    @property
    def start(self) -> datetime:
        """Its first moment, in UTC."""
        return datetime(self.year, self.number, 1, tzinfo=self.zone).astimezone(UTC)

    @property
    def end(self) -> datetime:
        """The first moment after it, in UTC."""
        following = self.days[-1] + timedelta(days=1)
        return datetime(following.year, following.month, 1, tzinfo=self.zone).astimezone(UTC)

    @property
    def hours(self) -> float:
        """Number of hours: 672 to 745, depending on clock changes."""
        return (self.end - self.start).total_seconds() / 3600

    def until(self, now: datetime) -> datetime:
        """Return its end, or `now` during the month, or its start before the month."""
        return max(self.start, min(self.end, now.astimezone(UTC)))

    def contains(self, moment: datetime) -> bool:
        """Whether a moment, which has a time zone, is in it."""
        return self.start <= moment < self.end

    def day_of(self, moment: datetime) -> date:
        """Return the day of a moment in the park's time zone."""
        return moment.astimezone(self.zone).date()

    @property
    def utc_days(self) -> list[date]:
        """All UTC days that overlap the month."""
        first, last = self.start.date(), (self.end - timedelta(microseconds=1)).date()
        return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def parse_zone(name: str) -> ZoneInfo:
    """Return a time zone of the IANA database, such as Europe/Madrid. Raises MonthInvalid."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise MonthInvalid(f"{name!r} is not a time zone; expected one such as Europe/Madrid or UTC") from error
