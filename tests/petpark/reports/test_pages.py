"""Both pages from facts alone: what they say, what they call unknown, and that nobody's text becomes markup."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petpark.reports.facts import (
    Availability,
    CameraMonth,
    Change,
    ChangeKind,
    Costs,
    DriftAlarm,
    MonthFacts,
    Requests,
    Share,
    Unknown,
    Why,
)
from petpark.reports.monitoring_facts import MonitoringFacts, Rejected
from petpark.reports.month import Month
from petpark.reports.pages import charts
from petpark.reports.pages.monitoring_page import monitoring_page
from petpark.reports.pages.month_mail import month_mail
from petpark.reports.pages.month_page import CAMERAS, month_page
from petpark.reports.pages.month_rows import ALARMS, CHANGES
from petpark.reports.pages.texts import LANGUAGES, load
from tests.petpark.reports.park import (
    HOSTILE,
    MADRID,
    MIA,
    NOVEMBER,
    busy_month,
    empty_month,
    monitored,
)

EN = load("en")
MONITORED = monitored()


class Parsed(HTMLParser):
    """Tags in their order, and the words between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        if self.tags[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def words(facts: MonthFacts, language: str = "en") -> str:
    return Parsed(month_page(facts, load(language))).words


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("facts", [busy_month(), empty_month()], ids=["busy", "empty"])
def test_the_report_is_written_in_every_language(facts, language):
    page = month_page(facts, load(language))
    assert f'<html lang="{language}">' in page
    assert load(language).month(NOVEMBER) in page


def test_the_report_says_visits_availability_accuracy_drift_changes_and_cost():
    said = words(busy_month())
    for part in (
        "Monthly report: November 2026",
        "Visits 1,874",
        "99.98 % objective 99.9 %: met",
        "96.8 % of all predictions are correct (94.1 % to 98.4 %, 95 % interval)",
        "estimate without labels is 97.3 % (95.1 % to 98.9 %)",
        "In 3 cases, a camera's photos differed",
        "Channel prod: rolled back from version 12 to 11 mia fewer dogs",
        "Version 12 certified vera QA, 40 photos of each camera",
        "Pipeline ended: GateRefused the pipeline",
        "experiment with version 13 ended: rejected",
        "stack prod 121.40",
        "total 239.18",
        "AWS list prices of 2026-11-02",
        "not an invoice",
    ):
        assert part in said.replace("\N{NO-BREAK SPACE}", " "), part


def test_people_are_named_without_account_and_role():
    page = month_page(busy_month(), EN)
    assert "123456789012" not in page
    assert "assumed-role" not in page


def test_an_arn_in_a_reason_becomes_a_name():
    change = Change(at=NOVEMBER.start, kind=ChangeKind.CERTIFIED, version=1, by=MIA, why=f"as {MIA} asked")
    page = month_page(replace(busy_month(), changes=(change,)), EN)
    assert "as mia asked" in page
    assert "123456789012" not in page


def test_what_a_jobs_instance_did_is_the_pipelines_work():
    by = "arn:aws:sts::123456789012:assumed-role/petpark-promoter/i-0a1b2c3d4e5f60718"
    change = Change(at=NOVEMBER.start, kind=ChangeKind.PROMOTED, channel="prod", version=2, before=1, by=by, why="auto")
    assert "version 2 replaced 1 the pipeline auto" in words(replace(busy_month(), changes=(change,)))


def test_an_empty_month_says_unknown_and_why_and_never_a_figure():
    said = words(empty_month())
    for part in (
        "Visits are unknown: no visits were recorded by a camera agent",
        "Availability is unknown: CloudWatch could not be read",
        "Accuracy from labels is unknown: no photos from this month were labelled",
        "The estimate without labels is unknown: the drift job did not run",
        "Drift is unknown: the drift job did not run",
        "No changes",
        "unknown (the stack was deployed without a price list)",
        "unknown (the stack has no pipeline)",
    ):
        assert part in said, part
    assert "0.0" not in said
    assert not re.search(r"\d", said.replace("November 2026", "").replace("1 Dec 2026, 00:00", ""))
    assert "<svg" not in month_page(empty_month(), EN)


def test_a_part_that_is_unknown_makes_the_total_unknown():
    facts = replace(busy_month(), costs=Costs(stacks={"prod": 10.0}, jobs=Unknown(why=Why.NO_PIPELINE), telemetry=0.0))
    said = words(facts)
    assert "stack prod 10.00" in said
    assert "total unknown (the stack has no pipeline)" in said


def test_no_requests_are_no_availability():
    days = {NOVEMBER.days[0]: Requests(total=0, bad=0)}
    said = words(replace(busy_month(), availability=Availability(objective="99.9", days=days)))
    assert "Availability is unknown: there were no requests" in said


ADDRESS = "s3://lake/reports/stack=prod/monthly/2026-11/1.html"


def test_the_mail_has_the_figures_of_the_report_and_where_it_is():
    facts = busy_month()
    lines = month_mail(facts, EN, address=ADDRESS, region="eu-west-1").splitlines()
    assert lines[0] == "Monthly report: November 2026, stack prod"
    shown = month_page(facts, EN)
    for line in lines[2:7]:
        value = line.partition(": ")[2].partition(" (")[0]
        assert value.replace(" ", "\N{NO-BREAK SPACE}") in shown, line
    assert [line.partition(":")[0] for line in lines[2:7]] == [
        *("Visits", "Availability", "Accuracy from labels", "Drift alarms", "Cost")
    ]
    assert lines[8].endswith("/lake?region=eu-west-1&prefix=reports%2Fstack%3Dprod%2Fmonthly%2F2026-11%2F1.html")
    assert lines[9].endswith(f"aws s3 cp {ADDRESS} .")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_mail_of_an_empty_month_says_unknown_and_why(language):
    texts = load(language)
    lines = month_mail(empty_month(), texts, address=ADDRESS, region="eu-west-1").splitlines()
    assert all(f": {texts('unknown')} (" in line for line in lines[2:7])


def test_without_labels_the_figure_is_the_estimate_and_says_so():
    figures = month_page(replace(busy_month(), labelled=Unknown(why=Why.NO_LABELS)), EN).partition("<section>")[0]
    assert "Estimated accuracy" in figures
    assert "no photos from this month were labelled" in figures


def test_a_missed_objective_is_called_missed():
    days = {day: Requests(total=100, bad=1) for day in NOVEMBER.days}
    page = month_page(replace(busy_month(), availability=Availability(objective="99.5", days=days)), EN)
    assert "The objective of 99.5 % was missed" in page
    assert page.count('class="missed"') == 30


def test_an_objective_that_is_reached_exactly_is_met():
    days = {day: Requests(total=1000, bad=1) for day in NOVEMBER.days}
    page = month_page(replace(busy_month(), availability=Availability(objective="99.9", days=days)), EN)
    assert "The objective of 99.9 % was met" in page
    assert 'class="missed"' not in page


def test_a_partial_month_says_until_when_and_leaves_later_days_free():
    now = datetime(2026, 11, 12, 9, tzinfo=UTC)
    page = month_page(replace(busy_month(), written_at=now), EN)
    assert "This month is not over yet. Data until 12\N{NO-BREAK SPACE}Nov\N{NO-BREAK SPACE}10:00." in page
    visits = page.partition("<svg")[2].partition("</svg>")[0]
    assert visits.count('class="later"') == 18
    assert "This month is not over yet" not in month_page(busy_month(), EN)


@pytest.mark.parametrize(("text", "days"), [("2026-03", 31), ("2026-10", 31), ("2028-02", 29), ("2026-02", 28)])
def test_every_day_has_a_bar_when_clocks_change_and_in_leap_years(text, days):
    month = Month.parse(text, MADRID)
    page = month_page(busy_month(month), EN)
    visits = page.partition("<svg")[2].partition("</svg>")[0]
    assert visits.count('class="part first"') == days


@given(text=st.text(min_size=1, max_size=40) | st.just(HOSTILE))
def test_user_text_is_escaped(text):
    def named(name: str) -> MonthFacts:
        day = NOVEMBER.days[3]
        return replace(
            busy_month(),
            stack=name,
            cameras=(CameraMonth(name=name, daily={(name, day): 3}),),
            drift=(DriftAlarm(camera=name, start=NOVEMBER.start, end=NOVEMBER.end, tests=("inputs",)),),
            changes=(Change(at=NOVEMBER.start, kind=ChangeKind.PROMOTED, channel=name, version=2, by=name, why=name),),
            costs=Costs(stacks={name: 1.0}, jobs=0.0, telemetry=0.0, prices_of=name),
        )

    found, plain = Parsed(month_page(named(text), EN)), Parsed(month_page(named("x"), EN))
    assert (found.tags, found.attributes) == (plain.tags, plain.attributes)


@given(text=st.text(min_size=1, max_size=40) | st.just(HOSTILE))
def test_user_text_is_escaped_on_the_monitoring_page(text):
    def named(name: str) -> MonitoringFacts:
        facts = MONITORED
        camera = replace(facts.cameras[1], traffic=())
        rejected = (Rejected(test="inputs", p_value=0.0, sentence=name),)
        windows = tuple(replace(each, rejected=rejected) for each in camera.windows[:3])
        strange = tuple(replace(each, id=name) for each in camera.strange)
        hostile = replace(camera, name=name, windows=windows, strange=strange, missing_traffic=name)
        serving = tuple(replace(each, by=name) for each in facts.serving)
        return replace(facts, stack=name, channel=name, cameras=(hostile,), serving=serving)

    found, plain = Parsed(monitoring_page(named(text), EN)), Parsed(monitoring_page(named("x"), EN))
    assert (found.tags, found.attributes) == (plain.tags, plain.attributes)


def test_a_hostile_name_is_shown_as_it_is():
    facts = replace(busy_month(), cameras=(CameraMonth(name=HOSTILE, daily={("cat", NOVEMBER.days[0]): 1}),))
    assert HOSTILE in words(facts)


def test_both_pages_run_no_script_and_load_nothing():
    for page in (month_page(busy_month(), EN), monitoring_page(monitored(), EN)):
        assert "<script" not in page
        assert "default-src 'none'" in page
        assert not re.search(r'(?:src|href)="(?!data:|#)', page)
        assert not re.search(r"@import|url\(", page)


def test_a_long_month_is_cut_and_says_so():
    said = words(busy_month(cameras=CAMERAS + 3, changes=CHANGES + 6, alarms=ALARMS + 4))
    assert "4 other cameras combined" in said
    assert f"The latest {CHANGES} of {CHANGES + 6}" in said
    assert "4 more on the monitoring page" in said
    assert f"In {ALARMS + 4} cases, a camera's photos differed" in said


@given(count=st.integers(1, 40))
def test_rows_of_cameras_add_up_to_all_visits(count):
    facts = busy_month(cameras=count)
    page = month_page(facts, EN)
    rows = re.findall(r'<th scope="row">[^<]*</th><td data-name="visits">([\d,]+)<', page)
    assert sum(int(each.replace(",", "")) for each in rows) == facts.visits
    assert len(rows) == min(count, CAMERAS)


def test_unreadable_events_are_reported():
    assert "2 events could not be read" in words(replace(busy_month(), unreadable_events=2))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_monitoring_page_is_written_in_every_language(language):
    page = monitoring_page(monitored(), load(language))
    t = load(language)
    assert f'<html lang="{language}">' in page
    for name in ("monitoring.versions", "monitoring.tests", "monitoring.strange", "monitoring.legend-estimate"):
        assert t(name) in page


def test_the_monitoring_page_shows_cameras_that_drifted_first():
    page = monitoring_page(monitored(), EN)
    assert re.findall(r"<h2>(\w+)</h2>", page) == ["meadow", "pond", "gate"]
    assert page.count("▲ drift") == 1
    assert page.count("▲ photos are missing") == 1
    assert page.count("✓ no drift") == 1


def test_a_thumbnail_is_in_the_page_where_there_is_one():
    page = monitoring_page(monitored(), EN)
    assert page.count('<img src="data:image/jpeg;base64,') == 3
    assert page.count("<code>") == 4


def test_a_camera_without_windows_is_not_reported_as_free_of_drift():
    facts = monitored()
    silent = replace(facts.cameras[2], missing_traffic="", alarms=())
    assert "too few photos to test" in monitoring_page(replace(facts, cameras=(silent,)), EN)


def test_the_page_says_that_the_drift_job_did_not_run():
    facts = replace(monitored(), cameras=(), last_run=None, serving=(), labelled=())
    page = monitoring_page(facts, EN)
    assert "the drift job did not run" in page
    assert "No photos were recorded in this period" in page


SHARES = (
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
    .map(sorted)
    .map(lambda three: Share(value=three[1], interval=(three[0], three[2]), photos=9))
)


@given(st.lists(SHARES, min_size=1, max_size=9))
def test_a_chart_of_shares_stays_within_its_frame(shares):
    chart = charts.intervals([(str(n), share) for n, share in enumerate(shares)], "x", lambda share: f"{share}")
    assert all(0 <= float(y) <= charts.HEIGHT for y in re.findall(r'y[12]="([-\d.]+)"', chart.svg))
    assert all(0 <= float(x) <= charts.WIDTH for x in re.findall(r'x[12]="([-\d.]+)"', chart.svg))


@given(st.integers(0, 10**7))
def test_an_axis_ends_at_or_above_the_highest_value(value):
    top = charts.round_up(value)
    assert top >= max(value, 2)
    assert top % 2 == 0
    assert top <= max(2, value * 1.3 + 2)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)), st.integers(1, 1000))
def test_an_axis_of_time_has_few_ticks_and_each_is_a_midnight_of_the_park(naive, hours):
    start = naive.replace(tzinfo=UTC)
    axis = charts.Axis(start=start, end=start + timedelta(hours=hours), zone=MADRID)
    write: Callable[..., str] = str
    ticks = axis.ticks(write)
    assert len(ticks) <= 8
    for tick in ticks:
        at = start + tick.place / 100 * timedelta(hours=hours)
        assert round(at.timestamp()) == round(datetime.fromisoformat(tick.words).replace(tzinfo=MADRID).timestamp())
