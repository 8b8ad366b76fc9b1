"""The record of an API key: read from JSON, and what none can be."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from serving.auth.key_record import HIGHEST_RATE, ApiKey, KeyScope, Previous, RecordMalformed
from tests.serving.auth.records import RECORD


def test_a_record_is_read_from_json_with_its_times_in_utc():
    read = ApiKey.from_json("gate", json.dumps(RECORD))
    assert (read.name, read.hash, read.rate, read.burst) == ("gate", "0" * 64, 0.5, 3)
    assert (read.created, read.expires, read.previous) == (datetime(2026, 1, 1, tzinfo=UTC), None, None)
    assert read.scopes == {KeyScope.CLASSIFY}
    previous = {"hash": "1" * 64, "until": "2026-01-02T00:00:00+00:00"}
    again = ApiKey.from_dict("gate", RECORD | {"expires": "2026-02-01T00:00:00+00:00", "previous": previous})
    assert again.previous == Previous(hash="1" * 64, until=datetime(2026, 1, 2, tzinfo=UTC))
    assert again.expires == datetime(2026, 2, 1, tzinfo=UTC)
    end = datetime(2026, 2, 1, tzinfo=UTC)
    assert [again.expired(end + timedelta(seconds=late)) for late in (-1, 0)] == [False, True]
    assert again.to_dict() == RECORD | {
        "created": "2026-01-01T00:00:00+00:00", "expires": "2026-02-01T00:00:00+00:00", "previous": previous,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"rate": 0}, "`rate` has to be above 0 and at most"),
        ({"rate": HIGHEST_RATE + 1}, "`rate` has to be above 0 and at most"),
        ({"burst": 0}, "`burst` has to be from 1 to"),
        ({"burst": HIGHEST_RATE + 1}, "`burst` has to be from 1 to"),
        ({"scopes": []}, "`scopes` names none"),
        ({"scopes": ["own"]}, "it is not the record of an API key (ValueError)"),
        ({"hash": "0" * 63}, "`hash` has to be a SHA-256 in hexadecimal"),
        ({"created": "2026-01-01T00:00:00"}, "a time lacks its time zone"),
        ({"previous": {"hash": "0", "until": "2026-01-01T00:00:00+00:00"}}, "`previous.hash` has to be a SHA-256"),
        ({"previous": {"hash": "0" * 64}}, "it is not the record of an API key (KeyError)"),
        ({"more": 1}, "it has unknown members"),
    ],
)
def test_what_no_key_can_be_is_said(change, expected):
    with pytest.raises(RecordMalformed) as refused:
        ApiKey.from_dict("gate", RECORD | change)
    assert str(refused.value).startswith(expected)


def test_the_ends_of_what_a_key_may_be_are_taken_and_a_missing_member_or_no_json_is_said():
    for change in ({"rate": HIGHEST_RATE}, {"burst": 1}, {"burst": HIGHEST_RATE}):
        ApiKey.from_dict("gate", RECORD | change)
    for member in RECORD:
        with pytest.raises(RecordMalformed, match="members are missing"):
            ApiKey.from_dict("gate", {key: value for key, value in RECORD.items() if key != member})
    with pytest.raises(RecordMalformed, match=r"it is not JSON \(JSONDecodeError\)"):
        ApiKey.from_json("gate", "{")
    with pytest.raises(RecordMalformed, match="a name is lower-case letters"):
        ApiKey.from_dict("Gate", RECORD)
