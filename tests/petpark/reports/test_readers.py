"""From records to facts: visits, availability, drift, changes and cost, each against what was really stored."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.drift_records import (
    AccuracyEstimate,
    CameraDrift,
    DriftRecord,
    DriftWindow,
    Rejection,
    TrafficFinding,
)
from petpark.reports.facts import Availability, ChangeKind, Requests, Share, Unknown, Why
from petpark.reports.month import Month
from petpark.reports.readers import drift_findings
from petpark.reports.readers.availability import read_availability
from petpark.reports.readers.changes import read_changes
from petpark.reports.readers.money import read_costs
from petpark.reports.readers.true_accuracy import week_of
from petpark.reports.readers.visits import read_visits
from petpark.targets.stacks import AvailabilityOutputs, MetricOutputs, parse
from registry.channels.channel import Channel
from registry.encoding import format_time
from registry.layout.data_lake import event_key
from registry.layout.workspace import spending_prefix
from registry.store.memory_store import MemoryStore
from registry.telemetry import HourPartition
from tests.petpark.conftest import outputs
from tests.petpark.jobs.states import PIPELINE

MADRID = ZoneInfo("Europe/Madrid")
NOVEMBER = Month(year=2026, number=11, zone=MADRID)
AFTER = NOVEMBER.end + timedelta(days=1)


def store_event(lake: MemoryStore, number: int, at: datetime, *, camera="gate", kind="began", label="cat") -> None:
    event = {"kind": kind, "label": label, "at": format_time(at), "camera": camera, "sequence": number, "more": {}}
    lake.create(event_key(camera, f"{at.astimezone(UTC):%Y-%m-%d}", f"{number:032x}"), json.dumps(event).encode())


EVENTS = st.lists(
    st.tuples(
        st.datetimes(datetime(2026, 10, 29), datetime(2026, 12, 3), timezones=st.just(UTC)),
        st.sampled_from(["gate", "pond"]),
        st.sampled_from(["began", "ended"]),
        st.sampled_from(["cat", "dog"]),
    ),
    max_size=30,
)


@given(EVENTS)
def test_each_visit_that_began_in_the_month_is_counted_once_on_the_parks_day(events):
    lake, expected = MemoryStore(), Counter[tuple[str, str, date]]()
    for number, (at, camera, kind, label) in enumerate(events):
        store_event(lake, number, at, camera=camera, kind=kind, label=label)
        if kind == "began" and NOVEMBER.start <= at < NOVEMBER.end:
            expected[camera, label, at.astimezone(MADRID).date()] += 1
    found = read_visits(lake, NOVEMBER, NOVEMBER.end)
    counted = Counter({(name, *key): count for name, days in found.cameras.items() for key, count in days.items()})
    assert counted == expected
    assert found.unreadable == 0


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"\xff", b'{"kind": "began", "label": 3, "at": "2026"}', b"[" * 9999]
)
def test_invalid_events_are_reported_and_not_counted(body):
    lake = MemoryStore()
    lake.create(event_key("gate", "2026-11-05", "a" * 32), body)
    store_event(lake, 1, datetime(2026, 11, 5, 12, tzinfo=UTC))
    found = read_visits(lake, NOVEMBER, NOVEMBER.end)
    assert (sum(found.cameras["gate"].values()), found.unreadable) == (1, 1)


def test_visits_after_the_report_was_written_are_not_counted():
    lake = MemoryStore()
    for day in (3, 9):
        store_event(lake, day, datetime(2026, 11, day, 12, tzinfo=UTC))
    found = read_visits(lake, NOVEMBER, datetime(2026, 11, 5, tzinfo=UTC))
    assert list(found.cameras["gate"].values()) == [1]


# --- availability ---


def metric(name: str) -> MetricOutputs:
    return MetricOutputs(namespace="petpark", metric=name, dimensions={"LoadBalancer": "app/lb/1"})


OBJECTIVE = AvailabilityOutputs(
    objective="99.9", bad=(metric("errors"), metric("refused")), uncounted=(metric("refused"),), total=metric("all")
)


class CloudWatch:
    """Hourly sums, in pages of one result each."""

    def __init__(self, **sums: dict[datetime, float]) -> None:
        self.sums = sums

    def get_metric_data(self, *, MetricDataQueries: Any, StartTime: datetime, EndTime: datetime, NextToken: str = "0"):
        place = int(NextToken)
        query = MetricDataQueries[place]
        assert query["MetricStat"]["Period"] == 3600
        found = self.sums.get(query["MetricStat"]["Metric"]["MetricName"], {})
        inside = {at: value for at, value in found.items() if StartTime <= at < EndTime}
        result = {"Id": query["Id"], "Timestamps": list(inside), "Values": list(inside.values())}
        more = {"NextToken": str(place + 1)} if place + 1 < len(MetricDataQueries) else {}
        return {"MetricDataResults": [result], **more}


def test_availability_adds_up_hours_to_days_of_the_park():
    """An hour before midnight in UTC is the next day in Madrid; refused requests are not in the total."""
    late, noon = datetime(2026, 11, 4, 23, tzinfo=UTC), datetime(2026, 11, 5, 12, tzinfo=UTC)
    client = CloudWatch(all={late: 100, noon: 300}, errors={noon: 2}, refused={late: 3})
    found = read_availability(client, OBJECTIVE, NOVEMBER, AFTER)
    assert isinstance(found, Availability)
    assert found.days == {date(2026, 11, 5): Requests(total=403, bad=5)}
    assert (found.objective, found.kept(found.all)) == ("99.9", False)


def test_moto_takes_the_query_as_aws_describes_it(cloud):
    client = boto3.client("cloudwatch", region_name="eu-west-1")
    noon = datetime(2026, 11, 5, 12, tzinfo=UTC)
    for name, value in (("all", 1000), ("errors", 1)):
        datum: Any = {
            "MetricName": name,
            "Dimensions": [{"Name": "LoadBalancer", "Value": "app/lb/1"}],
            "Timestamp": noon,
            "Value": value,
        }
        client.put_metric_data(Namespace="petpark", MetricData=[datum])
    found = read_availability(client, OBJECTIVE, NOVEMBER, AFTER)
    assert isinstance(found, Availability)
    assert found.all == Requests(total=1000, bad=1)


class Refusing:
    def get_metric_data(self, **_: Any):
        from botocore.exceptions import ClientError

        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetMetricData")


@pytest.mark.parametrize(
    ("client", "objective", "why"),
    [
        (Refusing(), OBJECTIVE, Why.NO_ACCESS),
        (CloudWatch(), OBJECTIVE, Why.NO_METRICS),
        (CloudWatch(), None, Why.NO_METRICS),
        (CloudWatch(errors={datetime(2026, 11, 5, 12, tzinfo=UTC): 0.0}), OBJECTIVE, Why.NO_REQUESTS),
    ],
)
def test_availability_without_measurements_is_unknown(client, objective, why):
    assert read_availability(client, objective, NOVEMBER, AFTER) == Unknown(why=why)


# --- drift ---


def window(hour: int, *, photos=60, rejected: tuple[str, ...] = (), accuracy: float | None = 0.9) -> DriftWindow:
    return DriftWindow(
        version=3,
        digest="sha256:" + "a" * 64,
        begin=format_time(datetime(2026, 11, 5, hour, tzinfo=UTC)),
        hours=1,
        photos=photos,
        rejected=tuple(Rejection(test=name, p_value=1e-6, level=1e-4, sentence=f"{name} differ") for name in rejected),
        accuracy=AccuracyEstimate(
            value=accuracy,
            low=0.0 if accuracy is None else accuracy - 0.1,
            high=1.0 if accuracy is None else accuracy + 0.05,
            because="" if accuracy is not None else "60 photos are unlike any",
        ),
        strange=tuple(f"{hour}-{n}" for n in range(4)) if rejected else (),
    )


def record(*windows: DriftWindow, silent: bool = False) -> DriftRecord:
    traffic = TrafficFinding(p_value=1e-9, hours=6, photos=2, expected=40.0, silent=silent)
    camera = CameraDrift(
        camera="gate",
        hourly=tuple(range(24)),
        windows=windows,
        drifting=False,
        traffic=traffic,
        without_reference=(2,),
    )
    return DriftRecord(stack="prod", day="2026-11-05", hours=24, written_at=format_time(AFTER), cameras=(camera,))


def found_of(*windows: DriftWindow) -> drift_findings.CameraFindings:
    records = [DriftRecord.from_bytes(record(*windows).to_bytes())]
    return drift_findings.findings(records, start=NOVEMBER.start, end=NOVEMBER.end)["gate"]


def test_windows_that_drift_close_to_each_other_are_one_alarm():
    found = found_of(window(1, rejected=("inputs",)), window(2), window(3, rejected=("embeddings",)), window(4))
    (alarm,) = found.alarms
    assert (alarm.start.hour, alarm.end.hour, alarm.tests) == (1, 4, ("inputs", "embeddings"))
    assert found.photos == sum(range(24))


def test_two_windows_without_drift_clear_an_alarm():
    found = found_of(window(1, rejected=("inputs",)), window(2), window(3), window(4, rejected=("inputs",)))
    assert [(alarm.start.hour, alarm.end.hour) for alarm in found.alarms] == [(1, 2), (4, 5)]


@given(st.lists(st.tuples(st.integers(50, 500), st.none() | st.floats(0.2, 0.9)), min_size=1, max_size=20))
def test_the_months_estimate_is_the_mean_by_photos_and_its_bounds_are_no_narrower_than_the_windows(rows):
    windows = found_of(*(window(n, photos=photos, accuracy=value) for n, (photos, value) in enumerate(rows))).windows
    found = drift_findings.mean_estimate(windows)
    known = [(photos, value) for photos, value in rows if value is not None]
    if not known:
        assert found == Unknown(why=Why.NO_ESTIMATE)
        return
    assert isinstance(found, Share)
    photos = sum(count for count, _ in known)
    assert found.photos == photos
    assert found.value == pytest.approx(sum(count * value for count, value in known) / photos)
    assert found.interval[1] - found.interval[0] == pytest.approx(0.15)


def test_windows_of_another_month_are_left_out():
    october = Month(year=2026, number=10, zone=MADRID)
    assert drift_findings.findings([record(window(1))], start=october.start, end=october.end) == {}


def test_the_monitoring_page_gets_the_strangest_photos_of_the_newest_windows_that_drifted():
    records = [record(window(1, rejected=("inputs",)), window(2, rejected=("inputs",)), silent=True)]
    (camera,) = drift_findings.monitored(records, start=NOVEMBER.start, end=NOVEMBER.end)
    assert [photo.id for photo in camera.strange] == ["2-0", "2-1", "2-2", "2-3", "1-0", "1-1"]
    assert camera.without_reference == (2,)
    assert camera.missing_traffic.startswith("2 photos in the last 6 hours")
    assert sum(each.photos for each in camera.traffic) == sum(range(24))


@pytest.mark.parametrize(
    ("week", "monday"),
    [("2026-W01", date(2025, 12, 29)), ("2026-W48", date(2026, 11, 23)), ("2026-W53", date(2026, 12, 28))],
)
def test_weeks_begin_on_their_monday(week, monday):
    start, end = week_of(week)
    assert (start.date(), end - start) == (monday, timedelta(days=7))


# --- cost ---


def test_costs_are_what_jobs_paid_and_the_stacks_list_prices_for_the_hours_of_the_month():
    workspace = MemoryStore()
    for key in ("job-1.1/paid/1500000", "job-1.1/reserved/9000000", "job-2.1/paid/250000", "job-3.1/reserved/1000000"):
        workspace.create(f"{spending_prefix('2026-11')}{key}", b"")
    workspace.create(f"{spending_prefix('2026-10')}job-0.1/paid/7000000", b"")
    stacks = [
        parse(
            name,
            {
                **outputs(name),
                "list_prices": {"month": 73.0, "gb_month": 0.5, "prices_of": day},
                "pipeline": PIPELINE,
            },
        )
        for name, day in (("prod", "2026-11-02"), ("test", "2026-10-30"))
    ]
    lake = MemoryStore()
    for stack in ("prod", "test"):
        lake.create(HourPartition.of(stack, "gate", AFTER).key("i-1", 1), bytes(2**20))
    found = read_costs(workspace, lake, stacks[0], stacks, NOVEMBER, 365)
    assert found.stacks == {"prod": 36.5, "test": 36.5}
    assert found.telemetry == 0.5 / 1024 / 2
    assert (found.jobs, found.prices_of, found.total) == (1.75, "2026-10-30", 74.75 + 0.5 / 2048)


def test_a_stack_without_prices_or_pipeline_has_an_unknown_cost():
    stack = parse("test", outputs() | {"pipeline": None})
    found = read_costs(MemoryStore(), MemoryStore(), stack, [stack], NOVEMBER, 720)
    assert found.telemetry == Unknown(why=Why.NO_PRICES)
    assert (found.stacks, found.jobs) == (Unknown(why=Why.NO_PRICES), Unknown(why=Why.NO_PIPELINE))


# --- changes ---


class Executions:
    """Step Functions with ended executions, and one that runs."""

    def __init__(self, *ended: tuple[str, datetime | None, dict[str, Any]]) -> None:
        self.ended = {f"arn:{n}": each for n, each in enumerate(ended)}

    def get_paginator(self, name: str) -> "Executions":
        assert name == "list_executions"
        return self

    def paginate(self, *, stateMachineArn: str):
        assert stateMachineArn.endswith("-pipeline")
        for arn, (status, stop, _) in self.ended.items():
            yield {"executions": [{"executionArn": arn, "status": status, **({"stopDate": stop} if stop else {})}]}

    def describe_execution(self, *, executionArn: str):
        status, _, more = self.ended[executionArn]
        return {"status": status, **more}


def test_changes_are_those_of_the_month_from_every_log_oldest_first(place, publish):
    target = place.target()
    model_store = target.store("models")
    clock = iter(NOVEMBER.start + timedelta(days=day) for day in (-3, 2, 9, 40))
    version, other = publish(), publish()
    channel = Channel(model_store, "pets", "prod", clock=lambda: next(clock))
    for each, why in ((version, "too early"), (other, "release")):
        channel.move(each, by="arn:aws:sts::1:assumed-role/promoter/mia", why=why)
    channel.roll_back(by="arn:aws:sts::1:assumed-role/promoter/mia", why="fewer dogs")
    channel.move(other, by="arn:aws:sts::1:assumed-role/promoter/mia", why="too late")
    executions = Executions(
        ("RUNNING", None, {}),
        ("SUCCEEDED", NOVEMBER.start + timedelta(days=1), {"output": '{"version": 2}'}),
        ("FAILED", NOVEMBER.start + timedelta(days=5), {"error": "GateRefused", "cause": "accuracy"}),
        ("TIMED_OUT", NOVEMBER.start - timedelta(days=5), {}),
    )
    target._clients["stepfunctions", "publisher"] = executions
    stack = parse("test", {**outputs(), "pipeline": PIPELINE})
    found = read_changes(target, stack.pipeline, start=NOVEMBER.start, end=NOVEMBER.end, now=datetime.now(UTC))
    assert [(each.kind, each.version, each.why) for each in found] == [
        (ChangeKind.PIPELINE_SUCCEEDED, 2, ""),
        (ChangeKind.PROMOTED, 2, "release"),
        (ChangeKind.PIPELINE_ENDED, None, "accuracy"),
        (ChangeKind.ROLLED_BACK, 1, "fewer dogs"),
    ]
    assert found[2].outcome == "GateRefused"
