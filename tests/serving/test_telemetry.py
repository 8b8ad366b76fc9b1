"""What an endpoint says about its own answers."""

import asyncio
import logging
import subprocess
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from serving.release.live import Live
from serving.server import log_summaries
from serving.state_report import disk_percent, report_state, state_of
from serving.telemetry import Metrics, RecentAnswers

SECONDS = st.lists(st.floats(min_value=0, max_value=60), min_size=1, max_size=300)


@given(SECONDS)
def test_the_99th_percentile_is_a_time_that_occurred_with_at_most_one_in_a_hundred_above(seconds):
    recent = RecentAnswers()
    for one in seconds:
        recent.add("/v1/classify", 200, one)
    answered = recent.take()
    assert answered["requests"] == len(seconds)
    times = [round(1000 * one, 3) for one in seconds]
    assert answered["p99_milliseconds"] in times
    assert sum(time > answered["p99_milliseconds"] for time in times) <= len(times) / 100


def test_only_our_own_errors_count_and_only_on_the_models_routes():
    recent = RecentAnswers()
    for route, status in [("/v1/classify", 200), ("/v1/classify", 422), ("/v1/classify", 503), ("/healthz/ready", 503)]:
        recent.add(route, status, 0.01)
    assert recent.take() == {"requests": 3, "errors": 1, "slow": 0, "p99_milliseconds": 10.0}


@given(SECONDS, st.floats(min_value=0.001, max_value=60))
def test_slow_answers_are_those_that_took_longer_than_the_limit(seconds, limit):
    recent = RecentAnswers(slow_seconds=limit)
    for one in seconds:
        recent.add("/v1/classify", 200, one)
    assert recent.take()["slow"] == sum(one > limit for one in seconds)


def test_a_look_starts_the_count_anew_and_silence_says_nothing():
    recent = RecentAnswers()
    recent.add("/v2/models/pets/infer", 200, 0.5)
    assert recent.take()
    assert recent.take() == {}


def test_the_log_line_carries_what_the_alarms_read(caplog):
    metrics = Metrics()
    metrics.recent.add("/v1/classify", 500, 0.25)

    async def run() -> None:
        task = asyncio.create_task(log_summaries(metrics, every_seconds=0.001))
        while not caplog.records:
            await asyncio.sleep(0.001)
        task.cancel()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    (record,) = caplog.records
    assert record.getMessage() == "answered"
    assert (record.requests, record.errors, record.p99_milliseconds) == (1, 1, 250.0)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_state_line_says_how_the_endpoint_is(caplog):
    async def run() -> None:
        task = asyncio.create_task(report_state(Live(), every_seconds=0.001, monotonic=lambda: 0.0))
        while not caplog.records:
            await asyncio.sleep(0.001)
        task.cancel()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    record = caplog.records[0]
    assert record.getMessage() == "state"
    assert (record.in_service, record.refusing) == (0, 0)
    assert not hasattr(record, "certificate_days")


def test_the_state_of_a_served_version_has_the_days_that_its_certificate_lasts(endpoint):
    at = datetime.fromisoformat(endpoint.model()["certificate"]["expires_at"]).astimezone(UTC) - timedelta(days=3.5)
    state = state_of(endpoint.live, now=at, monotonic=endpoint.live.store_answered_at + 7, disk=lambda: 61.5, lost=3)
    assert state == {
        "in_service": 1,
        "refusing": 0,
        "store_silent_seconds": 7.0,
        "other_version_seconds": 0,
        "disk_percent": 61.5,
        "telemetry_lost": 3,
        "certificate_days": 3.5,
    }


def test_the_state_says_that_the_channels_version_is_refused_and_since_when_the_store_is_silent(endpoint, park):
    park.release(park.publish(sharpness=2.0))
    endpoint.follow()
    state = state_of(endpoint.live, now=datetime.now(UTC), monotonic=endpoint.live.store_answered_at)
    assert (state["in_service"], state["refusing"]) == (1, 1)
    assert endpoint.live.differs_since is not None
    later = state_of(endpoint.live, now=datetime.now(UTC), monotonic=endpoint.live.differs_since + 400)
    assert later["other_version_seconds"] == 400
    park.release(endpoint.live.deployed.model.version)
    endpoint.follow()
    assert endpoint.live.differs_since is None


def test_the_state_counts_what_was_lost_since_the_last_line(caplog):
    totals = iter([2, 2, 5])

    async def run() -> None:
        task = asyncio.create_task(report_state(Live(), every_seconds=0.001, lost=lambda: next(totals)))
        while len(caplog.records) < 3:
            await asyncio.sleep(0.001)
        task.cancel()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert [record.telemetry_lost for record in caplog.records[:3]] == [2, 0, 3]


def test_a_disk_is_as_full_as_df_says():
    shown = subprocess.run(["df", "--output=pcent", "/"], capture_output=True, text=True, check=True)
    assert abs(disk_percent() - int(shown.stdout.split()[1].rstrip("%"))) <= 2
