"""The purpose `rollback`: an alarm moves a channel back once, and only where the version may be the cause."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from petpark.models import decisions
from petpark.worker.order import Order, OrderMalformed
from petpark.worker.purposes import dispatch
from petpark.worker.purposes.rollbacks import RollbackInputs, why_not
from registry.channels.channel import Channel, ChannelEntry
from registry.encoding import parse_time
from registry.store.memory_store import MemoryStore
from registry.version import Version
from tests.petpark.conftest import Place
from tests.petpark.worker.machine import JOB, order
from training.job import JobResult, find_result

type Publish = Callable[..., Version]


def channel(place: Place, name: str = "test") -> Channel:
    return Channel(place.buckets["models"], "pets", name)


def head(place: Place) -> ChannelEntry:
    found = channel(place).head()
    assert found is not None
    return found


def inputs(place: Place, *, minutes: float = 10, **changed: Any) -> dict[str, Any]:
    """Of an alarm that began some minutes after the channel's last entry."""
    began = parse_time(head(place).at) + timedelta(minutes=minutes)
    alarm = {"stack": "prod", "channel": "test", "alarm": "monitoring-errors-1", "began": began.isoformat()}
    return {**alarm, "hours": 2, **changed}


def perform(place: Place, given: dict[str, Any], job: str = JOB) -> JobResult:
    store = MemoryStore()
    dispatch.perform(
        Order.from_json(json.dumps(order("rollback", job=job, **given)).encode()),
        store,
        stop=lambda: None,
        stack="test",
        targets=lambda stack: place.target(stack=stack),
    )
    result = find_result(store, job)
    assert result is not None
    return result


@pytest.fixture
def promoted(place: Place, publish: Publish) -> list[Version]:
    """Two versions, one after the other in force."""
    versions = [publish(), publish()]
    for version in versions:
        decisions.promote(place.target(), version.number, channel="test", why="because")
    return versions


def test_a_version_that_raised_an_alarm_is_rolled_back(place: Place, promoted: list[Version]) -> None:
    result = perform(place, inputs(place))
    assert (result.outcome, result.version, result.digest) == ("rolled-back", 1, promoted[0].digest)
    entry = head(place)
    assert (entry.version, entry.is_rollback) == (1, True)
    assert entry.why.startswith("alarm monitoring-errors-1 of stack prod since 20")


def test_a_repeated_alarm_rolls_back_once(place: Place, promoted: list[Version]) -> None:
    given = inputs(place)
    assert perform(place, given).outcome == perform(place, given, job="rollback-again").outcome == "rolled-back"
    assert len(channel(place).history()) == len(promoted) + 1


def test_a_second_alarm_does_not_roll_back_further(place: Place, promoted: list[Version]) -> None:
    perform(place, inputs(place))
    result = perform(place, inputs(place, alarm="monitoring-latency-1"))
    assert (result.outcome, len(channel(place).history())) == ("kept", len(promoted) + 1)
    assert "requires a person" in (result.message or "")


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(-1, "the alarm started before"), (0, "the alarm started before"), (121, "more than 2 hours")],
)
def test_a_version_that_cannot_be_the_cause_is_kept(
    place: Place, promoted: list[Version], minutes: float, expected: str
) -> None:
    result = perform(place, inputs(place, minutes=minutes))
    assert (result.outcome, head(place).version) == ("kept", len(promoted))
    assert expected in (result.message or "")


def test_a_first_version_is_kept(place: Place, publish: Publish) -> None:
    decisions.promote(place.target(), publish().number, channel="test", why="first")
    result = perform(place, inputs(place))
    assert (result.outcome, head(place).version) == ("refused", 1)


def test_a_previous_version_without_a_certificate_is_not_restored(place: Place, promoted: list[Version]) -> None:
    decisions.certify(place.target(), promoted[0].number, decision="revoked", note="wrong labels")
    result = perform(place, inputs(place))
    assert (result.outcome, head(place).version) == ("refused", len(promoted))
    assert "revoked" in (result.message or "")


def test_a_channel_of_named_movers_takes_no_entry_of_an_instance(place: Place, promoted: list[Version]) -> None:
    place.exported["test"]["channels"]["test"]["movers"] = ["vera"]
    assert perform(place, inputs(place)).outcome == "refused"
    assert head(place).version == len(promoted)


def test_a_channel_that_changed_in_the_meantime_is_kept(
    place: Place, promoted: list[Version], publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = publish()

    def too_late(_head: ChannelEntry | None, _inputs: RollbackInputs) -> str:
        decisions.promote(place.target(), third.number, channel="test", why="fixed")
        return ""

    given = inputs(place)
    monkeypatch.setattr("petpark.worker.purposes.rollbacks.why_not", too_late)
    result = perform(place, given)
    assert (result.outcome, head(place).version) == ("kept", third.number)
    assert f"after {len(promoted)} promotions, {result.message}".endswith("(fixed)")


def test_a_channel_without_a_version_is_kept() -> None:
    given = RollbackInputs(stack="prod", channel="prod", alarm="a", began=datetime(2026, 8, 1, tzinfo=UTC), hours=2)
    assert why_not(None, given) == "prod has no version"


@pytest.mark.parametrize("changed", [{"began": "2026-08-01T12:00:00"}, {"hours": 0}, {"hours": "2"}, {"channel": "P"}])
def test_inputs_are_read_strictly(place: Place, promoted: list[Version], changed: dict[str, Any]) -> None:
    assert promoted
    with pytest.raises(OrderMalformed):
        perform(place, inputs(place, **changed))
