"""The purpose `drift`: from recorded predictions to records, metrics and alarms that begin and end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.drift_records import CameraDrift, DriftRecord, TrafficFinding, record_of
from petpark.worker.order import Order
from petpark.worker.purposes import dispatch
from petpark.worker.purposes.drift_checks import LATE, covered
from registry.log_lines import DRIFT
from registry.store.memory_store import MemoryStore
from registry.version import Version
from tests.petpark.conftest import Place
from tests.petpark.models.test_drift import START, lake_of, record, version
from tests.petpark.worker.machine import JOB, order
from training.job import JobResult, find_result

__all__ = ["version"]

DAY = date(2026, 8, 1)
FEW = 60


class Job:
    """Performs orders of purpose `drift`; `logged` is what CloudWatch sees."""

    def __init__(self, place: Place) -> None:
        self.place, self.workspace = place, MemoryStore()
        self.logged: list[dict[str, Any]] = []

    def run(self, hours_after_noon: float) -> JobResult:
        at = START + timedelta(hours=hours_after_noon) + LATE
        written = order("drift", job=f"{JOB}-{len(self.logged)}", stack="test", at=at.isoformat())
        dispatch.perform(
            Order.from_json(json.dumps(written).encode()),
            self.workspace,
            stop=lambda: None,
            stack="test",
            targets=lambda stack: self.place.target(stack=stack),
            report=self._report,
        )
        result = find_result(self.workspace, written["job"])
        assert result is not None
        return result

    def _report(self, event: str, facts: Mapping[str, object]) -> None:
        assert event == DRIFT
        self.logged.append(dict(facts))

    def record(self, day: date = DAY) -> DriftRecord:
        found = record_of(self.workspace, "test", day)
        assert found is not None
        return found


@pytest.fixture
def job(place: Place, tmp_path: Path) -> Job:
    lake_of(place)
    return Job(place)


def test_a_night_starts_an_alarm_within_two_windows_and_a_new_day_clears_it(
    job: Job, place: Place, version: Version
) -> None:
    record(lake_of(place), version, 3, night_from=2)
    assert job.run(2).metrics["drifting_cameras"] == 0
    result = job.run(3)
    assert (result.outcome, result.metrics["drifting_cameras"], result.metrics["drifted_windows"]) == ("written", 1, 1)
    assert "drifting: gate" in (result.message or "")
    assert result.report == "s3://workspace/monitoring/drift/v1/stack=test/date=2026-08-01/15.json"
    (gate,) = job.record().cameras
    assert [each.drifted for each in gate.windows] == [False, False, True]
    assert gate.windows[2].rejected
    assert gate.hourly[-3:] == (FEW, FEW, FEW)
    assert gate.windows[0].accuracy.value is not None
    assert 0 < job.logged[0]["accuracy_percent"] <= 100


def test_hours_that_may_not_be_stored_yet_are_not_tested(job: Job, place: Place, version: Version) -> None:
    record(lake_of(place), version, 2)
    job.run(1.9)
    assert job.record().hours == 13
    assert len(job.record().cameras[0].windows) == 1


def test_the_same_hours_are_tested_once(job: Job, place: Place, version: Version) -> None:
    record(lake_of(place), version, 1)
    first, again = job.run(1), job.run(1.5)
    assert again.report == first.report
    assert len(list(job.workspace.keys("monitoring/drift/v1/stack=test/date=2026-08-01/"))) == 1
    assert job.logged[0] == job.logged[1], "the metrics are logged each time: an attempt may have died before it"


def test_the_day_before_is_completed_first(job: Job, place: Place, version: Version) -> None:
    record(lake_of(place), version, 2)
    job.run(2)
    job.run(13)
    assert job.record().hours == 24
    assert job.record(DAY + timedelta(days=1)).hours == 1


def test_an_alarm_outlasts_midnight(job: Job, place: Place, version: Version) -> None:
    record(lake_of(place), version, 12, night_from=11)
    job.run(13)
    (gate,) = job.record(DAY + timedelta(days=1)).cameras
    assert (gate.windows, gate.drifting) == ((), True)


def quiet_days(job: Job, count: int) -> None:
    """Records of days on which the camera sent 60 photos an hour."""
    for back in range(1, count + 1):
        traffic: TrafficFinding | None = None
        gate = CameraDrift(
            camera="gate", hourly=(FEW,) * 24, windows=(), drifting=False, traffic=traffic, without_reference=()
        )
        made = DriftRecord(
            stack="test",
            day=(DAY - timedelta(days=back)).isoformat(),
            hours=24,
            written_at="2026-07-31T00:00:00.000000Z",
            cameras=(gate,),
        )
        job.workspace.create(made.key, made.to_bytes())


def test_a_camera_that_sends_nothing_any_more_is_silent(job: Job) -> None:
    quiet_days(job, 10)
    result = job.run(0)
    assert result.metrics["silent_cameras"] == 1
    (gate,) = job.record().cameras
    assert gate.traffic is not None
    assert (gate.traffic.photos, gate.traffic.silent) == (0, True)


def test_too_few_days_raise_no_silent_camera_alarm(job: Job) -> None:
    quiet_days(job, 5)
    assert job.run(0).metrics["silent_cameras"] == 0
    assert job.record().cameras[0].traffic is None


def test_a_stack_without_recorded_predictions_has_an_empty_record(job: Job) -> None:
    result = job.run(0)
    assert (result.outcome, job.record().cameras) == ("written", ())
    assert "accuracy_percent" not in job.logged[0]


@given(st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2026, 12, 31), timezones=st.just(UTC)))
def test_whole_hours_of_one_day_are_covered_up_to_those_that_are_stored(at: datetime) -> None:
    day, hours = covered(at)
    assert 1 <= hours <= 24
    end = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=hours)
    assert timedelta() <= at - LATE - end < timedelta(hours=1)
