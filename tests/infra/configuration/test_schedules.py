"""Expressions of EventBridge Scheduler: what AWS documents as valid is, and what its API would refuse is not."""

import calendar
import re
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.configuration.pipeline_settings import PipelineInvalid, PipelineSettings
from infra.configuration.schedules import runs_per_month, valid_schedule

NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
SCHEDULES = ("schedule", "drift_schedule", "report_schedule", "monitoring_schedule")


@pytest.mark.parametrize(
    "text",
    [
        *("rate(1 minute)", "rate(1 hours)", "rate(15 minutes)", "rate(7 days)"),
        # The examples of AWS's page, and each wildcard.
        *("cron(15 10 ? * 6L 2022-2023)", "cron(0 10 * * ? *)", "cron(15 12 * * ? *)", "cron(0 18 ? * MON-FRI *)"),
        *("cron(0 8 1 * ? *)", "cron(0/15 * * * ? *)", "cron(0/10 * ? * MON-FRI *)", "cron(0/5 8-17 ? * MON-FRI *)"),
        *("cron(0 0 L * ? *)", "cron(0 0 LW * ? *)", "cron(0 9 15W JAN,JUL ? *)", "cron(0 9 ? * 2#1 *)"),
        *("cron(0 9 ? * MON#1,L *)", "cron(*/5 0,12 1-15/2 1-6 ? 2026/2)"),
    ],
)
def test_a_documented_expression_is_valid(text: str) -> None:
    assert valid_schedule(text)


@pytest.mark.parametrize(
    "text",
    [
        # Five fields as of Unix, seven as of Quartz.
        *("cron(0 3 * * *)", "cron(0 0 3 * * ? *)", "cron(* * * * * *)"),
        # Both days, or neither.
        *("cron(0 3 * * MON *)", "cron(0 3 ? * ? *)", "cron(0 3 1 * 1 *)"),
        # Out of range.
        *("cron(60 3 * * ? *)", "cron(0 24 * * ? *)", "cron(0 3 0 * ? *)", "cron(0 3 32 * ? *)", "cron(0 3 1 13 ? *)"),
        *(
            "cron(0 3 ? * 0 *)",
            "cron(0 3 ? * 8 *)",
            "cron(0 3 * * ? 1969)",
            "cron(0 3 32W * ? *)",
            "cron(0 3 ? * 2#6 *)",
        ),
        # Ill formed.
        *("cron(0 3 * * ?  *)", "cron(nonsense)", "cron(aaaaaaaaa)", "cron(0 9-3 * * ? *)", "cron(*/0 3 * * ? *)"),
        *("cron(0, 3 * * ? *)", "cron(0 3 - * ? *)", "cron(? 3 * * ? *)", "cron(0 3 * FOO ? *)", "cron(٣ 3 * * ? *)"),
        *("rate(0 days)", "rate(1 week)", "rate(-1 days)", "rate(days)", "at(2026-12-01T00:00:00)", "", "daily"),
        f"cron({','.join(['0'] * 200)} 3 * * ? *)",
    ],
)
def test_what_aws_would_refuse_is_refused_with_a_sentence_before_anything_is_deployed(text: str) -> None:
    for name in SCHEDULES:
        with pytest.raises(
            PipelineInvalid, match=f"^{name} is {re.escape(repr(text))}; expected .*cron has six fields"
        ):
            PipelineSettings.from_dict({name: text})


@given(st.tuples(*(st.text("0123456789*?,/#-LWMONSU", min_size=1, max_size=5) for _ in range(6))))
def test_no_expression_is_valid_without_exactly_one_open_day(fields: tuple[str, ...]) -> None:
    if valid_schedule(f"cron({' '.join(fields)})"):
        assert [fields[2], fields[4]].count("?") == 1
        assert "?" not in "".join(fields[:2] + fields[3:4] + fields[5:])


@pytest.mark.parametrize(
    ("text", "times"),
    [
        *(("rate(1 hour)", 730.0), ("rate(30 minutes)", 1460.0), ("rate(2 days)", 15.21), ("cron(0 6 1 * ? *)", 1.0)),
        *(("cron(0 * * * ? *)", 730.5), ("cron(0/15 * * * ? *)", 2921.9), ("cron(0 6 * * ? *)", 30.44)),
        *(("cron(0 3 ? * MON *)", 4.35), ("cron(0 18 ? * MON-FRI *)", 21.74), ("cron(0 3 ? * L *)", 4.35)),
        *(("cron(0 9 L * ? *)", 1.0), ("cron(0 9 LW * ? *)", 1.0), ("cron(15 10 ? * 6L *)", 1.0)),
        *(("cron(0 9 ? * 2#5 *)", 0.35), ("cron(0 9 31 * ? *)", 0.58), ("cron(0 9 29 FEB ? 2027)", 0.0)),
        *(("cron(0 9 15W JAN,JUL ? *)", 0.17), ("cron(0 9 1 */3 ? 2026)", 0.33), ("cron(0 8-17/3 * 2 ? 2028)", 9.67)),
    ],
)
def test_the_runs_per_month_of_typical_schedules_are_right(text: str, times: float) -> None:
    assert runs_per_month(text) == pytest.approx(times, abs=0.02, rel=1e-4)


def fires(day: date, field: str, weekday: str) -> bool:
    """Whether one of a cron expression's two fields for days is so on this day, by AWS's description of it."""
    this = (day.weekday() + 1) % 7 + 1
    last = calendar.monthrange(day.year, day.month)[1]

    def number(text: str) -> int:
        return NAMES.index(text) + 1 if text in NAMES else int(text)

    def part(text: str) -> bool:
        if weekday == "?":
            if text in ("L", "LW") or text.endswith("W"):
                wanted = last if text[0] == "L" else int(text[:-1])
                if not text.endswith("W"):
                    return day.day == wanted
                workdays = [each for each in range(1, last + 1) if date(day.year, day.month, each).weekday() < 5]
                return wanted <= last and day.day == min(workdays, key=lambda each: (abs(each - wanted), each))
        elif text == "L":
            return this == 7
        elif text.endswith("L"):
            return this == number(text[:-1]) and day.day + 7 > last
        elif "#" in text:
            return this == number(text.partition("#")[0]) and (day.day + 6) // 7 == int(text[-1])
        value, (low, high) = (day.day, (1, 31)) if weekday == "?" else (this, (1, 7))
        return plain(text, value, low, high, number)

    return any(map(part, (field if weekday == "?" else weekday).split(",")))


def plain(text: str, value: int, low: int, high: int, number: Callable[[str], int] = int) -> bool:
    """Whether a value, range or `*`, perhaps with a step, contains the value."""
    span, _, step = text.partition("/")
    first, _, end = span.partition("-")
    start = low if span == "*" else number(first)
    stop = number(end) if end else high if step or span == "*" else start
    return start <= value <= stop and (value - start) % int(step or 1) == 0


def spans(low: int, high: int) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high)
    ranges = st.tuples(numbers, numbers).map(lambda ends: f"{min(ends)}-{max(ends)}")
    span = st.one_of(st.just("*"), numbers.map(str), ranges)
    return st.one_of(span, st.tuples(span, st.integers(1, high)).map(lambda both: f"{both[0]}/{both[1]}"))


def lists(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(part, min_size=1, max_size=3).map(",".join)


WEEKDAY = st.sampled_from([*"1234567", *NAMES])
DAYS = st.one_of(
    lists(st.one_of(spans(1, 31), st.sampled_from(["L", "LW"]), st.integers(1, 31).map(lambda day: f"{day}W"))).map(
        lambda field: (field, "?")
    ),
    lists(
        st.one_of(
            *(spans(1, 7), st.sampled_from(["L", "MON-FRI", "TUE/2"]), WEEKDAY.map(lambda day: f"{day}L")),
            st.tuples(WEEKDAY, st.integers(1, 5)).map(lambda both: f"{both[0]}#{both[1]}"),
        )
    ).map(lambda field: ("?", field)),
)


@given(lists(spans(0, 59)), lists(spans(0, 23)), DAYS, st.integers(1, 12), st.integers(2024, 2099))
@example("0", "0", ("1W", "?"), 8, 2026)  # a Saturday: the nearest weekday in the month is the third
@example("0", "0", ("31W", "?"), 5, 2026)  # a Sunday: not in the next month
@example("0", "0", ("31W", "?"), 4, 2026)  # there is none
def test_a_months_runs_are_those_that_its_minutes_show(
    minute: str, hour: str, days: tuple[str, str], month: int, year: int
) -> None:
    text = f"cron({minute} {hour} {days[0]} {month} {days[1]} {year})"
    assert valid_schedule(text)
    dates = (date(year, month, day) for day in range(1, calendar.monthrange(year, month)[1] + 1))
    expanded = [
        (day, at, past)
        for day in dates
        if fires(day, *days)
        for at in range(24)
        if any(plain(part, at, 0, 23) for part in hour.split(","))
        for past in range(60)
        if any(plain(part, past, 0, 59) for part in minute.split(","))
    ]
    assert runs_per_month(text) * 12 == pytest.approx(len(expanded))
