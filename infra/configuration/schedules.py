"""Expressions of EventBridge Scheduler, `rate(…)` and `cron(…)`, checked as far as AWS documents them. Pure.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html (ranges and wildcards)
"""

import calendar
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

ANY: Final = "?"
_RATE: Final = re.compile(r"rate\([1-9][0-9]{0,3} (minutes?|hours?|days?)\)")
_CRON: Final = re.compile(r"cron\(([A-Z0-9*?,/#-]+( [A-Z0-9*?,/#-]+){5})\)")
_MINUTES: Final[Mapping[str, int]] = {"minute": 1, "hour": 60, "day": 24 * 60}
_MONTH_MINUTES: Final = 730 * 60
"""Length of a month for `rate(…)`: 730 hours, as in AWS's pricing calculator."""
_LONGEST: Final = 256
"""Characters. https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html"""


@dataclass(frozen=True, kw_only=True)
class _Field:
    """A field of `cron(…)`: numbers from `lowest` to `highest`, or their names, and forms of its own."""

    lowest: int
    highest: int
    names: Mapping[str, int] = field(default_factory=dict[str, int])
    special: re.Pattern[str] = re.compile(r"(?!)")
    any_allowed: bool = False

    def fits(self, text: str) -> bool:
        """Whether the field may be so."""
        return (self.any_allowed and text == ANY) or all(map(self._part, text.split(",")))

    def _part(self, text: str) -> bool:
        """Whether one of the alternatives is a value, a range or `*`, with a step or without, or a special form."""
        if self.special.fullmatch(text):
            return True
        span, slash, step = text.partition("/")
        if slash and not (step.isdecimal() and 1 <= int(step) <= self.highest):
            return False
        if span == "*":
            return True
        first, dash, last = span.partition("-")
        if not self._known(first):
            return False
        return not dash or (self._known(last) and self._number(first) <= self._number(last))

    def values(self, text: str) -> frozenset[int]:
        """The numbers in a valid field, without special forms; empty for `?`."""
        parts = [part for part in text.split(",") if part != ANY and not self.special.fullmatch(part)]
        return frozenset(number for part in parts for number in self._span(part))

    def forms(self, text: str) -> list[str]:
        """The special forms among a valid field's alternatives, with names replaced by numbers."""
        forms = [part for part in text.split(",") if self.special.fullmatch(part)]
        return [next((f"{self.names[name]}{form[3:]}" for name in self.names if form.startswith(name)), form)
                for form in forms]  # fmt: skip

    def _span(self, part: str) -> range:
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        start = self.lowest if span == "*" else self._number(first)
        end = self._number(last) if dash else self.highest if slash or span == "*" else start
        return range(start, end + 1, int(step) if slash else 1)

    def _known(self, text: str) -> bool:
        return text in self.names or (text.isdecimal() and self.lowest <= int(text) <= self.highest)

    def _number(self, text: str) -> int:
        return self.names[text] if text in self.names else int(text)


def _numbered(names: str) -> Mapping[str, int]:
    return {name: number for number, name in enumerate(names.split(), start=1)}


_DAY: Final = _Field(
    lowest=1,
    highest=31,
    special=re.compile(r"L|LW|([1-9]|[12][0-9]|3[01])W"),
    any_allowed=True,
)
_WEEKDAY: Final = _Field(
    lowest=1,
    highest=7,
    names=_numbered("SUN MON TUE WED THU FRI SAT"),
    special=re.compile(r"L|([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(L|#[1-5])"),
    any_allowed=True,
)
_MINUTE: Final = _Field(lowest=0, highest=59)
_HOUR: Final = _Field(lowest=0, highest=23)
_MONTH: Final = _Field(lowest=1, highest=12, names=_numbered("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"))
_YEAR: Final = _Field(lowest=1970, highest=2199)
_FIELDS: Final[Sequence[_Field]] = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY, _YEAR)


def valid_schedule(text: str) -> bool:
    """Whether EventBridge Scheduler takes the expression: a rate, or six fields with one of the two days as `?`."""
    if len(text) > _LONGEST:
        return False
    if _RATE.fullmatch(text):
        return True
    if (found := _CRON.fullmatch(text)) is None:
        return False
    given = found[1].split(" ")
    days = (given[_FIELDS.index(_DAY)], given[_FIELDS.index(_WEEKDAY)])
    return days.count(ANY) == 1 and all(map(_Field.fits, _FIELDS, given))


def runs_per_month(text: str) -> float:
    """How often a valid expression fires per month: the mean over all months of its years.

    Ignores daylight saving time, which moves hours but does not change their number per year.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html
    """
    if _RATE.fullmatch(text):
        count, unit = text.removeprefix("rate(").removesuffix(")").split(" ")
        return _MONTH_MINUTES / (int(count) * _MINUTES[unit.removesuffix("s")])
    minute, hour, day, month, weekday, year = text.removeprefix("cron(").removesuffix(")").split(" ")
    years, months = _YEAR.values(year), _MONTH.values(month)
    days = sum(len(_days(day, weekday, *calendar.monthrange(each, one))) for each in years for one in months)
    return len(_MINUTE.values(minute)) * len(_HOUR.values(hour)) * days / (12 * len(years))


@cache
def _days(day: str, weekday: str, first: int, length: int) -> frozenset[int]:
    """Days of a month of `length` days whose first is weekday `first` (0: Monday). One of the two fields is `?`."""
    if weekday == ANY:
        found = {each for each in _DAY.values(day) if each <= length}
        return frozenset(found.union(*(_month_form(form, first, length) for form in _DAY.forms(day))))
    plain = _WEEKDAY.values(weekday)
    found = {each for each in range(1, length + 1) if _number_of_weekday(each, first) in plain}
    return frozenset(found.union(*(_week_form(form, first, length) for form in _WEEKDAY.forms(weekday))))


def _number_of_weekday(day: int, first: int) -> int:
    """AWS's number of a day's weekday: 1 is Sunday."""
    return (first + day) % 7 + 1


def _month_form(form: str, first: int, length: int) -> Iterator[int]:
    """`L`, `LW` or `15W` (the weekday nearest to the 15th, within the month); empty in a month without that day."""
    day = length if form.startswith("L") else int(form.removesuffix("W"))
    if day > length:
        return
    near = (day, day - 1, day + 1, day - 2, day + 2)
    weekdays = [each for each in near if 1 <= each <= length and 2 <= _number_of_weekday(each, first) <= 6]
    yield weekdays[0] if form.endswith("W") else day


def _week_form(form: str, first: int, length: int) -> Iterator[int]:
    """`L` (Saturday, the last day of the week), `6L` (the month's last Friday) or `6#3` (its third)."""
    same = [each for each in range(1, length + 1) if _number_of_weekday(each, first) == int(form[0].replace("L", "7"))]
    if form == "L":
        yield from same
    elif form.endswith("L"):
        yield same[-1]
    else:
        yield from same[int(form[2]) - 1 : int(form[2])]
