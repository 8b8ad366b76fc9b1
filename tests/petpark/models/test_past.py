"""What was in force at a moment, over any history."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petpark.models.past import after, last_by
from registry.channels.channel import Channel
from registry.channels.experiment import Experiments
from registry.channels.experiment_rule import Rule
from registry.clock import utc_now
from registry.encoding import format_time
from tests.petpark.conftest import Place, Run

START = datetime(2026, 8, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Numbered:
    number: int
    at: str


MINUTES = st.integers(0, 10_000)
HISTORIES = st.lists(MINUTES, max_size=30).map(
    lambda minutes: [
        Numbered(number, format_time(START + timedelta(minutes=each))) for number, each in enumerate(minutes, start=1)
    ]
)
"""Entries whose writers' clocks may differ."""
ORDERED = st.lists(MINUTES, max_size=30).map(
    lambda minutes: [
        Numbered(number, format_time(START + timedelta(minutes=each)))
        for number, each in enumerate(sorted(minutes), start=1)
    ]
)


def moment(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


@given(HISTORIES, MINUTES)
def test_what_was_in_force_is_what_a_follower_had_who_read_the_entries_one_by_one_until_then(history, minutes):
    held = None
    for entry in history:
        if datetime.fromisoformat(entry.at) <= moment(minutes):
            held = entry
    assert last_by(history, moment(minutes)) == held


@given(HISTORIES, HISTORIES, MINUTES)
def test_what_comes_later_never_changes_what_was_in_force(history, more, minutes):
    later = [
        Numbered(len(history) + each.number, format_time(datetime.fromisoformat(each.at) + timedelta(days=30)))
        for each in more
    ]
    assert last_by([*history, *later], moment(minutes)) == last_by(history, moment(minutes))


@given(ORDERED, MINUTES, st.randoms())
def test_an_entry_is_in_force_from_its_own_time_until_that_of_the_next_whatever_order_they_are_read_in(
    history, minutes, random
):
    shuffled = random.sample(history, len(history))
    found = last_by(shuffled, moment(minutes))
    following = after(shuffled, found)
    if found is not None:
        assert datetime.fromisoformat(found.at) <= moment(minutes)
    if following is not None:
        assert moment(minutes) < datetime.fromisoformat(following.at)
        assert following.number == (found.number if found else 0) + 1


@given(ORDERED, MINUTES, MINUTES)
def test_time_only_moves_a_channel_forward(history, one, other):
    earlier, later = sorted((one, other))
    before, behind = last_by(history, moment(earlier)), last_by(history, moment(later))
    assert (before.number if before else 0) <= (behind.number if behind else 0)


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def moved(run: Run, publish: Any, place: Place) -> list[str]:
    """Channel test at version 1, then at 2; when that was."""
    for number in (1, 2):
        publish()
        assert run("promote", str(number), "--channel", "test", "--why", f"release {number}").exit_code == 0
    assert run("certify", "2", "--decision", "certified", "--note", "QA").exit_code == 0
    return [entry.at for entry in Channel(place.buckets["models"], "pets", "test").history()]


def at(run: Run, when: str, *more: str) -> dict[str, Any]:
    said = run("models", "at", when, *more, "--json")
    assert said.exit_code == 0, said.output
    (found,) = json.loads(said.stdout)["channels"]
    return found


def test_the_entry_that_was_in_force_comes_with_its_hash_and_with_the_next_that_carries_it(run: Run, moved: list[str]):
    now = utc_now().isoformat()
    found = at(run, now)
    assert (found["entry"]["version"], found["following"]) == (2, None)
    assert found["certificate"]["by"].endswith("/vera")
    before = at(run, (datetime.fromisoformat(moved[0]) - timedelta(seconds=1)).isoformat())
    assert before["entry"] is None
    assert before["following"]["number"] == 1


def test_a_time_between_two_entries_finds_the_first(run: Run, place: Place, publish: Any):
    version = publish()
    channel = Channel(place.buckets["models"], "pets", "test", clock=lambda: START)
    channel.move(version, by="mia", why="first")
    later = Channel(place.buckets["models"], "pets", "test", clock=lambda: START + timedelta(days=1))
    entry = later.move(publish(), by="mia", why="second")
    found = at(run, "2026-08-01T12:00", "--channel", "test")
    assert found["entry"]["why"] == "first"
    assert found["following"]["previous_sha256"] == found["entry"]["sha256"]
    assert at(run, "2026-08-02")["entry"]["sha256"] == entry.sha256
    assert "entry 1" in run("models", "at", "2026-08-01T12:00").stdout


def test_an_experiment_that_ran_then_is_named(run: Run, place: Place, publish: Any):
    version = publish()
    champion = Channel(place.buckets["models"], "pets", "test", clock=lambda: START).move(
        version, by="mia", why="first"
    )
    Experiments(place.buckets["models"], "pets", "test", clock=lambda: START + timedelta(hours=1)).start(
        publish(),
        champion,
        mode="canary",
        share=0.1,
        rule=Rule(),
        until=START + timedelta(hours=5),
        by="mia",
        why="night photos",
    )
    versions = {
        hour: (at(run, (START + timedelta(hours=hour)).isoformat())["experiment"] or {}).get("version")
        for hour in (0, 1, 4, 5)
    }
    assert versions == {0: None, 1: 2, 4: 2, 5: None}
    moved = Channel(place.buckets["models"], "pets", "test", clock=lambda: START + timedelta(hours=3))
    moved.move(publish(), by="mia", why="another champion")
    assert at(run, (START + timedelta(hours=4)).isoformat())["experiment"] is None


@pytest.mark.parametrize(
    ("when", "why"),
    [
        ("yesterday", "is not a time"),
        ("0001-01-01T00:00+14:00", "is not a time"),
        ("0001-01-01", "before everything"),
        ("2999-01-01", "in the future"),
    ],
)
def test_a_time_that_is_none_or_has_not_come_is_refused(run: Run, when: str, why: str):
    said = run("models", "at", when)
    assert said.exit_code == 2
    assert why in said.stderr
