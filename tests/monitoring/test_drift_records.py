"""Drift records: what is stored is what is read, and nothing else is."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.drift_records import (
    AccuracyEstimate,
    CameraDrift,
    DriftRecord,
    DriftRecordMalformed,
    DriftWindow,
    Rejection,
    TrafficFinding,
    record_of,
    records,
)
from registry.encoding import canonical, format_time, parse_canonical
from registry.store.memory_store import MemoryStore

DIGEST = f"sha256:{'a' * 64}"
KNOWN = AccuracyEstimate(value=0.9, low=0.85, high=0.95, because="")
UNKNOWN = AccuracyEstimate(value=None, low=0.0, high=1.0, because="12 photos are too few")
NIGHT = Rejection(test="inputs", p_value=0.0, level=0.00025, sentence="brightness is 0.1, not 0.5")


def window(hour: int, *rejected: Rejection, accuracy: AccuracyEstimate = KNOWN) -> DriftWindow:
    return DriftWindow(
        version=3,
        digest=DIGEST,
        begin=format_time(datetime(2026, 8, 1, hour, tzinfo=UTC)),
        hours=1,
        photos=60,
        rejected=rejected,
        accuracy=accuracy,
        strange=("f" * 32,) if rejected else (),
    )


def camera(name: str, *windows: DriftWindow, hours: int = 3, silent: bool = False) -> CameraDrift:
    return CameraDrift(
        camera=name,
        hourly=(60,) * hours,
        windows=windows,
        drifting=any(each.drifted for each in windows),
        traffic=TrafficFinding(p_value=0.00001, hours=6, photos=0, expected=360.5, silent=silent),
        without_reference=(2,),
    )


RECORD = DriftRecord(
    stack="prod",
    day="2026-08-01",
    hours=3,
    written_at=format_time(datetime(2026, 8, 1, 3, 15, tzinfo=UTC)),
    cameras=(
        camera("caller.key", window(0, accuracy=UNKNOWN)),
        camera("gate", window(0), window(2, NIGHT), silent=True),
    ),
)


def test_a_record_is_read_as_it_was_written() -> None:
    assert DriftRecord.from_bytes(RECORD.to_bytes()) == RECORD
    assert RECORD.key == "monitoring/drift/v1/stack=prod/date=2026-08-01/03.json"


def test_a_record_says_what_the_alarms_need() -> None:
    assert (RECORD.drifting, RECORD.silent) == (("gate",), ("gate",))
    assert (RECORD.drifted_windows, RECORD.lowest_accuracy) == (1, 0.9)
    assert RECORD.end == datetime(2026, 8, 1, 3, tzinfo=UTC)


@given(st.integers(min_value=0), st.binary(min_size=1, max_size=3))
def test_other_bytes_are_refused(place: int, other: bytes) -> None:
    data = RECORD.to_bytes()
    place %= len(data)
    changed = data[:place] + other + data[place + len(other) :]
    try:
        found = DriftRecord.from_bytes(changed)
    except DriftRecordMalformed:
        return
    assert found.to_bytes() == changed, "what is read is what is there"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (replace(RECORD, hours=25), "25 is more than 24"),
        (replace(RECORD, hours=2), "3 hours of 2"),
        (replace(RECORD, cameras=RECORD.cameras[::-1]), "not sorted"),
        (replace(RECORD, cameras=(camera("gate", window(2), window(0)),)), "not in order"),
        (replace(RECORD, cameras=(camera("gate", window(3)),)), "outside of the record"),
        (replace(RECORD, cameras=(camera("gate", window(0, replace(NIGHT, test="luck"))),)), "test"),
        (replace(RECORD, cameras=(camera("gate", window(0, replace(NIGHT, p_value=1.5))),)), "between 0 and 1"),
    ],
)
def test_an_inconsistent_record_is_refused_with_the_reason(changed: DriftRecord, said: str) -> None:
    with pytest.raises(DriftRecordMalformed, match=said):
        DriftRecord.from_bytes(changed.to_bytes())


def test_the_last_record_of_each_day_counts() -> None:
    store = MemoryStore()
    earlier = replace(RECORD, hours=1, cameras=())
    next_day = replace(RECORD, day="2026-08-02", hours=1, cameras=())
    for each in (
        earlier,
        RECORD,
        next_day,
        replace(RECORD, day="2026-07-31", cameras=()),
        replace(next_day, stack="test"),
    ):
        store.create(each.key, each.to_bytes())
    assert record_of(store, "prod", date(2026, 8, 1)) == RECORD
    assert record_of(store, "prod", date(2026, 8, 3)) is None
    assert records(store, "prod", first=date(2026, 8, 1), last=date(2026, 8, 2)) == [RECORD, next_day]
    assert records(store, "prod", first=date(2026, 8, 1), last=date(2026, 8, 1)) == [RECORD]


def test_an_invalid_object_is_reported_by_its_key() -> None:
    store = MemoryStore()
    store.create(RECORD.key, b"{}")
    with pytest.raises(DriftRecordMalformed, match=f"{RECORD.key}.*schema"):
        record_of(store, "prod", date(2026, 8, 1))


def test_a_record_of_a_stack_whose_name_cannot_be_is_malformed() -> None:
    stored = parse_canonical(RECORD.to_bytes()).rest()
    for wrong in ({"stack": "Prod stack"}, {"stack": ""}):
        with pytest.raises(DriftRecordMalformed):
            DriftRecord.from_bytes(canonical(stored | wrong))
