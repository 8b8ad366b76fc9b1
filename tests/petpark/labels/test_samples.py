"""A sample is drawn by its seed from what has a thumbnail, once for each time."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitoring.late_labels.records import (
    LabelRecordMalformed,
    Sample,
    hours_of,
    read_sample,
    sample_id,
    sample_ids,
)
from petpark.data.foreign_objects import foreign
from petpark.errors import LabelsRefused
from petpark.labels import samples
from registry.layout.roles import Role
from registry.store.memory_store import MemoryStore
from registry.telemetry import TelemetryPolicy
from tests.petpark.conftest import Place
from tests.petpark.labels.recorded_photos import MONDAY, NEXT_MONDAY, NOW, copied, draw, labelling, lake_of, record


@pytest.fixture(scope="module")
def recorded() -> MemoryStore:
    store = MemoryStore()
    record(store, photos=60)
    return store


def test_a_sample_stands_for_every_recorded_prediction_with_a_thumbnail(place):
    found = draw(place, count=25)
    assert (found.recorded, found.without_thumbnail) == (40, 20)
    assert sum(each.recorded for each in found.strata) == 40
    drawn = Counter(photo.stratum for photo in found.photos)
    assert all(1 <= drawn[place] <= each.recorded for place, each in enumerate(found.strata))
    assert {each.camera for each in found.strata} == {"gate", "pond"}
    assert {each.week for each in found.strata} == {"2026-W48"}
    assert len(found.photos) == 25
    assert sum(photo.twice for photo in found.photos) == 3
    assert read_sample(lake_of(place), "test", found.id) == found
    assert foreign(lake_of(place)) == []


def test_the_same_seed_draws_the_same_photos_and_another_draws_others(recorded):
    drawn = [draw(Place(buckets={"lake": copied(recorded)}), seed=seed).photos for seed in (4, 4, 5)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_hour_is_in_one_sample_only(place):
    first = draw(place)
    for start, end in ((MONDAY, NEXT_MONDAY), (MONDAY + timedelta(hours=5), NEXT_MONDAY + timedelta(days=1))):
        with pytest.raises(LabelsRefused, match=f"{first.id} already covers"):
            samples.draw(place.target(), "test", start=start, end=end, count=5, seed=1)
    start, end = NEXT_MONDAY, NEXT_MONDAY + timedelta(days=1)
    with pytest.raises(LabelsRefused, match="No recorded prediction"):
        samples.draw(place.target(), "test", start=start, end=end, count=5, seed=1)


def test_of_two_who_draw_at_the_same_time_one_wins(place, monkeypatch):
    first = draw(place)
    monkeypatch.setattr(samples, "_refuse_overlap", lambda *_: None)
    with pytest.raises(LabelsRefused, match="covers"):
        draw(place, seed=9)
    assert read_sample(lake_of(place), "test", first.id).seed == 0


def test_without_thumbnails_it_is_said_which_setting_is_missing():
    place = Place()
    record(lake_of(place), photos=6, policy=TelemetryPolicy(sample_percent=100, buffer_mb=16))
    with pytest.raises(LabelsRefused, match=r"\(6 have none\)") as refused:
        draw(place)
    assert "petpark:telemetry_thumbnails" in refused.value.next_step


def test_where_ids_are_not_recorded_a_photo_is_known_by_its_file_and_row():
    place = Place()
    record(
        lake_of(place),
        photos=9,
        policy=TelemetryPolicy(sample_percent=100, buffer_mb=16, thumbnails=("*",), redact=("id",)),
    )
    found = draw(place)
    assert {photo.id for photo in found.photos} == {None}
    assert labelling(place, found, "ana").picture(1).startswith(b"\xff\xd8")


def test_the_last_week_is_from_monday_to_monday_in_utc():
    assert samples.last_week(NOW) == (MONDAY, NEXT_MONDAY)
    assert samples.last_week(NEXT_MONDAY) == (MONDAY, NEXT_MONDAY)
    assert samples.last_week(NEXT_MONDAY - timedelta(seconds=1)) == (MONDAY - timedelta(days=7), MONDAY)


def test_a_time_has_a_whole_hour(place):
    with pytest.raises(LabelsRefused, match="whole hour"):
        samples.draw(place.target(), "test", start=MONDAY, end=MONDAY + timedelta(minutes=59), count=5, seed=1)


def test_names_of_samples_are_hours():
    assert hours_of(sample_id(MONDAY, NEXT_MONDAY)) == (MONDAY, NEXT_MONDAY)
    for name in ("", "20261123T00", "20261323T00-20261130T00", "20261123T24-20261130T00", "../x"):
        with pytest.raises(LabelRecordMalformed):
            hours_of(name)


def test_a_stored_sample_is_read_strictly(place):
    found = draw(place)
    assert Sample.from_bytes(found.to_bytes()) == found
    for change in (
        {"photos": (replace(found.photos[0], stratum=99),)},
        {"id": "week 48"},
        {"at": "yesterday"},
    ):
        with pytest.raises(LabelRecordMalformed):
            Sample.from_bytes(replace(found, **change).to_bytes())
    with pytest.raises(LabelRecordMalformed):
        Sample.from_bytes(found.to_bytes()[:-1])
    lake_of(place).create("labels/v1/prod/20261123T00-20261130T00/sample.json", found.to_bytes())
    with pytest.raises(LabelRecordMalformed, match="of stack test"):
        read_sample(lake_of(place), "prod", found.id)


def test_what_else_is_below_the_prefix_is_not_a_sample(place):
    found = draw(place)
    lake_of(place).create("labels/v1/test/notes.txt", b"")
    lake_of(place).create("labels/v1/test/zzz/sample.txt", b"")
    assert sample_ids(lake_of(place), "test") == [found.id]


def test_the_command_draws_as_certifier_and_prints_what_cannot_be_labelled(place, run, monkeypatch):
    monkeypatch.setattr("petpark.commands.serving.labels.utc_now", lambda: NOW)
    monkeypatch.setattr("petpark.commands.registry.past.utc_now", lambda: NOW)
    said = run("labels", "sample", "--count", "12", "--json")
    facts = json.loads(said.stdout)
    assert said.exit_code == 0
    assert (facts["sample"], facts["without_thumbnail"]) == ("20261123T00-20261130T00", 20)
    assert facts["photos"] >= 12
    assert (
        f"role/{Role.CERTIFIER}/"
        in json.loads(lake_of(place).get(f"labels/v1/test/{facts['sample']}/sample.json"))["by"]
    )
    again = run("labels", "sample", "--from", datetime(2026, 11, 24, tzinfo=UTC).isoformat(), "--json")
    assert (again.exit_code, json.loads(again.stdout)["error"]["outcome"]) == (1, "LabelsRefused")
