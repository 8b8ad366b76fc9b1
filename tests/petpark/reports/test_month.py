"""A month of the park: its days and hours by its own clocks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petpark.reports.month import Month, MonthInvalid, parse_zone

MADRID = ZoneInfo("Europe/Madrid")
ZONES = st.sampled_from([ZoneInfo(name) for name in ("UTC", "Europe/Madrid", "America/New_York", "Asia/Kathmandu")])
MONTHS = st.builds(Month, year=st.integers(2000, 2100), number=st.integers(1, 12), zone=ZONES)


@pytest.mark.parametrize(
    ("text", "days", "hours"),
    [
        ("2026-03", 31, 743),
        ("2026-10", 31, 745),
        ("2026-11", 30, 720),
        ("2026-02", 28, 672),
        ("2028-02", 29, 696),
        ("2026-12", 31, 744),
    ],
)
def test_a_month_has_the_hours_that_the_parks_clocks_show(text, days, hours):
    month = Month.parse(text, MADRID)
    assert (len(month.days), month.hours, str(month)) == (days, hours, text)


@given(MONTHS)
def test_months_follow_each_other_without_a_gap(month):
    after = Month.before(month.end + timedelta(days=40), month.zone)
    assert after.start == month.end
    assert month.days[0] == month.day_of(month.start)
    assert month.days[-1] == month.day_of(month.end - timedelta(seconds=1))
    assert Month.before(month.end, month.zone) == month


@given(MONTHS, st.floats(0, 0.9999))
def test_every_moment_of_a_month_is_on_one_of_its_days_and_in_one_of_the_folders_that_are_read(month, share):
    moment = month.start + share * (month.end - month.start)
    assert month.contains(moment)
    assert month.day_of(moment) in month.days
    assert moment.astimezone(UTC).date() in month.utc_days


def test_a_month_that_is_not_over_ends_now():
    month = Month.parse("2026-11", MADRID)
    now = datetime(2026, 11, 12, 9, tzinfo=UTC)
    assert month.until(now) == now
    assert month.until(month.end + timedelta(days=3)) == month.end
    assert month.until(month.start - timedelta(days=3)) == month.start
    assert Month.before(now, MADRID).days[0] == date(2026, 10, 1)


def test_the_last_month_is_by_the_parks_clocks():
    """In Madrid it is December already."""
    now = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    assert str(Month.before(now, MADRID)) == "2026-11"
    assert str(Month.before(now, ZoneInfo("UTC"))) == "2026-10"


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-1", "november", "", "1999-12", "2026-11-01", "２０２６-１１"]
)
def test_an_invalid_month_is_refused(text):
    with pytest.raises(MonthInvalid, match="expected one such as 2026-11"):
        Month.parse(text, MADRID)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_an_invalid_time_zone_is_refused(name):
    with pytest.raises(MonthInvalid, match="not a time zone"):
        parse_zone(name)
