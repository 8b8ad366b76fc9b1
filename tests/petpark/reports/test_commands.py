"""`petpark report` and the jobs of purpose `report`, over stores in memory with real records."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from monitoring.drift_records import DriftRecord
from monitoring.late_labels.records import Answer, PersonLog
from petpark.reports.facts import Labelled
from petpark.reports.month import Month, parse_zone
from petpark.reports.readers.collect import monitoring_facts, month_facts
from petpark.worker.order import Order, OrderMalformed
from petpark.worker.purposes import dispatch
from registry.channels.channel import Channel
from registry.layout.data_lake import sample_key
from registry.layout.jobs import job_result_key
from registry.layout.workspace import stack_outputs_key
from registry.store.memory_store import MemoryStore
from registry.telemetry import HourPartition
from tests.monitoring.test_true_accuracy import photo, sample, stratum
from tests.petpark.conftest import Place, outputs
from tests.petpark.reports.test_readers import record, store_event, window
from tests.petpark.worker.machine import order

UTC_ZONE = parse_zone("UTC")
NOVEMBER = Month(year=2026, number=11, zone=UTC_ZONE)
NOW = datetime(2026, 12, 1, 6, tzinfo=UTC)


class NoMetrics:
    def get_metric_data(self, **_: Any) -> dict[str, Any]:
        return {"MetricDataResults": []}


class NoPipelines:
    def get_paginator(self, _name: str) -> "NoPipelines":
        return self

    def paginate(self, **_: Any):
        return iter([{"executions": []}])


@pytest.fixture
def park(place: Place, publish: Any, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A stack whose endpoint served in November 2026: visits, a day that drifted, a version in force, costs."""
    metrics = {"namespace": "petpark", "metric": "m", "dimensions": {}}
    said = {
        "list_prices": {"month": 146.0, "gb_month": 0.023, "prices_of": "2026-11-02"},
        "availability": {"objective": "99.9", "bad": [metrics], "uncounted": [], "total": metrics},
    }
    place.exported.update({name: {**outputs(name), **said} for name in ("test", "prod")})
    lake, workspace = (place.buckets.setdefault(name, MemoryStore()) for name in ("lake", "workspace"))
    assert isinstance(lake, MemoryStore)
    for name, values in place.exported.items():
        workspace.create(stack_outputs_key(name), json.dumps(values).encode())
    for hour in (8, 9, 20):
        store_event(lake, hour, datetime(2026, 11, 5, hour, tzinfo=UTC))
    found = record(window(1, rejected=("inputs",)), window(2))
    workspace.create(found.key, DriftRecord.to_bytes(found))
    models = place.buckets.setdefault("models", MemoryStore())
    channel = Channel(models, "pets", "prod", clock=lambda: datetime(2026, 11, 3, tzinfo=UTC))
    channel.move(publish(), by="arn:aws:sts::1:assumed-role/promoter/mia", why="first <release>")
    clients = {"cloudwatch": NoMetrics(), "stepfunctions": NoPipelines()}
    monkeypatch.setattr("petpark.targets.target.Target.client", lambda _self, service, role=None: clients[service])
    return place


def test_the_months_facts_come_from_the_records(park):
    facts = month_facts(park.target(stack="prod"), NOVEMBER, NOW)
    (gate,) = facts.cameras
    assert (facts.visits, gate.name, gate.photos, gate.alarms) == (3, "gate", sum(range(24)), 1)
    assert [(each.version, each.why) for each in facts.changes] == [(1, "first <release>")]
    assert facts.costs.stacks == {"prod": pytest.approx(144), "test": pytest.approx(144)}
    assert (facts.costs.jobs, facts.costs.telemetry) == (0, 0)
    assert not facts.partial


def label(lake: Any, name: str, week: str, answers: list[str]) -> None:
    """Store a sample of photos that were answered as cats, and what a person says of each."""
    photos = [photo() for _ in answers]
    drawn = sample([stratum(week=week, recorded=100)], photos, name)
    lake.create(sample_key("prod", name), drawn.to_bytes())
    log = PersonLog(lake, "prod", name, "vera")
    for number, answer in enumerate(answers, start=1):
        log.refresh()
        log.add(number, Answer.CLASS, answer, by="x", at="2026-11-24T10:00:00.000000Z", seen=None)


def test_labels_make_the_true_accuracy_of_the_month_in_which_their_sample_begins(park):
    lake = park.buckets["lake"]
    label(lake, "20261026T00-20261102T00", "2026-W44", ["dog", "dog"])
    label(lake, "20261109T00-20261116T00", "2026-W46", ["cat", "cat", "cat", "dog"])
    label(lake, "20261130T00-20261207T00", "2026-W49", ["cat"] * 4)
    found = month_facts(park.target(stack="prod"), NOVEMBER, NOW).labelled
    assert isinstance(found, Labelled)
    assert (found.month.value, found.month.photos) == (pytest.approx(7 / 8), 8)
    assert [(each.period, each.accuracy.photos) for each in found.periods] == [("2026-W46", 4), ("2026-W49", 4)]
    low, high = found.month.interval
    assert low < 7 / 8 < high


def test_the_monitoring_page_shows_labels_by_camera_and_week(park):
    label(park.buckets["lake"], "20261109T00-20261116T00", "2026-W46", ["cat", "cat", "cat", "dog"])
    start = datetime(2026, 11, 1, tzinfo=UTC)
    facts = monitoring_facts(park.target(stack="prod"), start=start, end=NOW, now=NOW, zone=UTC_ZONE)
    (week,) = facts.cameras[0].labelled
    assert (week.start, week.accuracy.photos) == (datetime(2026, 11, 9, tzinfo=UTC), 4)
    assert facts.labelled == (week,)


def test_a_stack_without_recorded_data_has_a_report(place, monkeypatch):
    clients = {"cloudwatch": NoMetrics(), "stepfunctions": NoPipelines()}
    monkeypatch.setattr("petpark.targets.target.Target.client", lambda _self, service, role=None: clients[service])
    facts = month_facts(place.target(stack="prod"), NOVEMBER, NOW)
    assert facts.cameras == ()
    assert facts.changes == ()


def test_the_monitoring_page_shows_the_active_versions(park):
    start = datetime(2026, 11, 1, tzinfo=UTC)
    facts = monitoring_facts(park.target(stack="prod"), start=start, end=NOW, now=NOW, zone=UTC_ZONE)
    (band,) = facts.serving
    assert (band.version, band.start, band.end) == (1, datetime(2026, 11, 3, tzinfo=UTC), NOW)
    assert [camera.name for camera in facts.cameras] == ["gate"]
    assert facts.last_run == datetime(2026, 11, 6, tzinfo=UTC)


def test_an_unusual_photo_has_its_recorded_thumbnail(park, monkeypatch):
    """The window from 1:00 drifted; its strange photos are looked for in its hour alone."""
    from monitoring import predictions

    asked: list[Any] = []

    class Found:
        id, has_thumbnail, key, row = "1-0", True, "a.parquet", 1

    def each_recorded(_store: Any, stack: str, camera: str, *, start: datetime, end: datetime):
        asked.append(HourPartition.of(stack, camera, start).prefix)
        assert end - start == timedelta(hours=1)
        return [Found()]

    monkeypatch.setattr(predictions, "each_recorded", each_recorded)
    monkeypatch.setattr(predictions, "thumbnails", lambda _store, key: [None, b"jpeg of " + key.encode()])
    start = datetime(2026, 11, 1, tzinfo=UTC)
    facts = monitoring_facts(park.target(stack="prod"), start=start, end=NOW, now=NOW, zone=UTC_ZONE)
    shown = {photo.id: photo.thumbnail for photo in facts.cameras[0].strange}
    assert shown == {"1-0": b"jpeg of a.parquet", "1-1": None, "1-2": None, "1-3": None}
    assert asked == ["telemetry/v1/stack=prod/camera=gate/date=2026-11-05/hour=01/"]


def test_the_command_writes_the_report_in_the_language_that_is_named(park, run, tmp_path):
    out = tmp_path / "report.html"
    result = run("report", "month", "2026-11", "--stack", "prod", "--out", str(out), "--language", "ca", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.output)
    assert (said["month"], said["visits"], said["drift_alarms"], said["page"]) == ("2026-11", 3, 1, str(out))
    page = out.read_text()
    assert "Informe mensual: novembre 2026" in page
    assert "first &lt;release&gt;" in page


def test_the_command_writes_the_monitoring_page(park, run, tmp_path):
    out = tmp_path / "monitoring.html"
    times = ("--from", "2026-11-01T00:00", "--to", "2026-11-20T00:00")
    result = run("report", "monitoring", "--stack", "prod", *times, "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["drifted"] == ["gate"]
    assert "inputs differ" in out.read_text()


@pytest.mark.parametrize(
    "words",
    [
        ("month", "2026-13"),
        ("month", "2031-01"),
        ("month", "--language", "de"),
        ("month", "--zone", "Mars/Olympus"),
        ("monitoring", "--from", "2026-11-05T00:00", "--to", "2026-11-01T00:00"),
    ],
)
def test_invalid_options_are_refused(park, run, words, tmp_path):
    result = run("report", *words, "--out", str(tmp_path / "page.html"))
    assert result.exit_code == 2, result.output
    assert not (tmp_path / "page.html").exists()


def test_a_file_that_cannot_be_written_is_an_error_with_a_next_step(park, run):
    result = run("report", "month", "2026-11", "--out", "/proc/none/page.html")
    assert result.exit_code != 0
    assert "--out" in result.output


def perform(place: Place, store: MemoryStore | None = None, **inputs: Any) -> Any:
    store = store or MemoryStore()
    return dispatch.perform(
        Order.from_json(json.dumps(order("report", **inputs)).encode()),
        store,
        stop=lambda: None,
        stack="test",
        targets=lambda stack: place.target(stack=stack),
    )


@pytest.mark.parametrize("kind", ["monthly", "monitoring"])
def test_a_job_stores_the_page_and_its_address_is_the_jobs_report(park, kind, monkeypatch):
    monkeypatch.setattr("petpark.worker.purposes.reports.utc_now", lambda: NOW)
    inputs = {"kind": kind, "stack": "prod", "language": "es", "zone": "Europe/Madrid"}
    store = MemoryStore()
    ending = perform(park, store, **inputs, **({"month": ""} if kind == "monthly" else {}))
    assert ending.error is None, ending
    (key,) = park.buckets["lake"].keys("reports/")
    period = "2026-11" if kind == "monthly" else "2026-12-01"
    assert key == f"reports/stack=prod/{kind}/{period}/20261201T060000000000Z.html"
    page = park.buckets["lake"].get(key).decode()
    assert '<html lang="es">' in page
    result = json.loads(store.get(job_result_key(ending.job)))
    assert result["report"] == f"s3://lake/{key}"
    if kind == "monthly":
        assert result["message"].startswith("Informe mensual: noviembre 2026")
        assert f"prefix={quote(key, safe='')}" in result["message"]


@pytest.mark.parametrize(
    "inputs",
    [
        {"kind": "yearly"},
        {"kind": "monthly", "stack": "prod", "month": "2026-13", "language": "en", "zone": "UTC"},
        {"kind": "monthly", "stack": "prod", "month": "", "language": "de", "zone": "UTC"},
        {"kind": "monitoring", "stack": "prod", "language": "en", "zone": "Mars"},
        {"kind": "monitoring", "stack": "prod", "language": "en", "zone": "UTC", "more": ""},
    ],
)
def test_an_order_for_another_report_is_refused(park, inputs):
    with pytest.raises(OrderMalformed):
        perform(park, **inputs)
