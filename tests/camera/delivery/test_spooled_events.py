"""Events as they stand in the spool: as JSON, what is no event, and those of an earlier petpark."""

import contextlib
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camera.delivery.spool import (
    FILE,
    Spool,
    read_counts,
    read_events,
)
from camera.event import Event
from tests.camera.delivery.spooling import MANY, event
from tests.examples import examples

NOW = 1_900_000_000.0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(30))
@given(st.text(max_size=40), st.floats(0, 1))
def test_an_event_survives_json(label, score):
    from dataclasses import replace

    odd = replace(event(1), label=label.encode("utf-8", "replace").decode(), score=score)
    assert Event.from_json(odd.to_json()) == odd


DAMAGED = {
    "a newer agent's": {**event(1).to_dict(), "weather": "rain"},
    "without a score": {name: value for name, value in event(1).to_dict().items() if name != "score"},
    "a score in words": {**event(1).to_dict(), "score": "high"},
    "another kind": {**event(1).to_dict(), "kind": "paused"},
    "no time": {**event(1).to_dict(), "at": "yesterday"},
    "a list": [],
}


@pytest.mark.parametrize("facts", DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_event_holds_back_none_and_is_named(tmp_path, facts):
    spool = Spool(tmp_path, max_bytes=MANY)
    for number in range(1, 4):
        spool.add(event(number), None, now=NOW)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute("UPDATE events SET facts = ? WHERE sequence = 1", (json.dumps(facts),))
    assert [spooled.sequence for spooled in spool.waiting(1)] == [2]
    assert spool.counts().waiting == 2
    events, others = read_events(tmp_path, count=9)
    assert ([one.sequence for one in events], [one.sequence for one in others]) == ([3, 2], [1])
    assert others[0].problem
    spool.forget(before=NOW + 1, now=NOW + 2)
    assert read_events(tmp_path, count=9)[1] == []
    assert [spooled.sequence for spooled in spool.waiting(9)] == [2, 3]
    spool.close()


def test_what_is_no_event_goes_before_any_that_waits(tmp_path):
    spool = Spool(tmp_path, max_bytes=2800)
    spool.add(event(1), b"x" * 800, now=NOW)
    spool.add(event(2), None, now=NOW)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute("UPDATE events SET facts = '{}' WHERE sequence = 2")
    assert [spooled.sequence for spooled in spool.waiting(9)] == [1]
    for number in range(3, 5):
        spool.add(event(number), b"x" * 300, now=NOW)
    assert [spooled.sequence for spooled in spool.waiting(9)] == [1, 3, 4]
    assert spool.counts().evicted == 0
    spool.close()


def test_visits_that_began_are_counted_a_camera_and_from_a_time_on(tmp_path):
    spool = Spool(tmp_path, max_bytes=MANY)
    for number, (camera, now) in enumerate([("gate", 10.0), ("gate", 20.0), ("gate", 30.0), ("pond", 20.0)]):
        spool.add(event(number, camera), None, now=now)
    spool.add(replace(event(9), kind="ended"), None, now=30.0)
    assert spool.begun(since=20.0) == {"gate": 2, "pond": 1}
    spool.close()


def as_an_earlier_petpark_left_it(folder: Path) -> None:
    """Tables as they were before totals were kept."""
    with contextlib.closing(sqlite3.connect(folder / FILE)) as database:
        for kind, name in database.execute(
            "SELECT type, name FROM sqlite_schema WHERE sql IS NOT NULL AND (type = 'trigger' OR name = 'totals' OR "
            "(type = 'index' AND name != 'by_state'))"
        ).fetchall():
            database.execute(f"DROP {kind} {name}")
        database.commit()


def test_a_spool_of_an_earlier_petpark_is_read_and_taken_over_with_its_totals(tmp_path):
    spool = Spool(tmp_path, max_bytes=MANY)
    for number in (1, 2, 3):
        spool.add(event(number), bytes(100), now=0)
    spool.confirm(1)
    counts = spool.counts()
    spool.close()
    as_an_earlier_petpark_left_it(tmp_path)
    assert read_counts(tmp_path) == counts
    for _ in range(2):
        spool = Spool(tmp_path, max_bytes=MANY)
        assert spool.counts() == counts
        assert [spooled.sequence for spooled in spool.waiting(9)] == [2, 3]
        spool.close()
