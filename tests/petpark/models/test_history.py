"""A channel's history, and the proof that it only ever grew."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from registry.channels.channel import Channel, ChannelEntry
from registry.layout.model_store import channel_entry_key, version_key
from registry.store.memory_store import MemoryStore
from registry.version import Version
from tests.petpark.conftest import Place, Run

type Publish = Callable[..., Version]
type Rewrite = Callable[[Place], None]


@pytest.fixture
def moved(run: Run, publish: Publish, place: Place) -> list[ChannelEntry]:
    """Channel test at version 1, then 2, then 3, then back at 2."""
    for number in (1, 2, 3):
        publish()
        assert run("promote", str(number), "--channel", "test", "--why", f"release {number}").exit_code == 0
    assert run("rollback", "--channel", "test", "--why", "worse").exit_code == 0
    return Channel(place.buckets["models"], "pets", "test").history()


def proof(run: Run, *options: str) -> tuple[int, dict[str, Any]]:
    said = run("models", "history", "--channel", "test", "--verify", *options, "--json")
    return said.exit_code, json.loads(said.stdout)


def wrong(told: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding["what"], finding["outcome"]) for finding in told["findings"] if not finding["ok"]]


def rewrite(place: Place, number: int, **changes: Any) -> None:
    """Put another entry where one stands, as somebody could who got around the bucket's policy."""
    store, key = place.buckets["models"], channel_entry_key("pets", "test", number)
    move = replace(ChannelEntry.from_bytes(store.get(key)), **changes)
    store.delete(key)
    store.create(key, move.to_bytes())


def forgetful(place: Place) -> None:
    """A bucket without versions: it remembers nothing but what stands there now."""
    store, fresh = place.buckets["models"], MemoryStore()
    for key in store.keys(""):
        fresh.create(key, store.get(key))
    place.buckets["models"] = fresh


# --- the moves -----------------------------------------------------------------------------------------------------


def test_history_tells_who_moved_a_channel_and_why(run: Run, moved: list[ChannelEntry]) -> None:
    shown = run("models", "history", "--channel", "test").stdout
    assert "release 2" in shown
    assert "2 (back to move 2)" in shown
    assert shown.count(" mia ") == 4
    told = json.loads(run("models", "history", "--channel", "test", "--json").stdout)
    assert [(move["number"], move["version"], move["previous"]) for move in told["moves"]] == [
        (1, 1, None),
        (2, 2, 1),
        (3, 3, 2),
        (4, 2, 3),
    ]
    assert [move["sha256"] for move in told["moves"]] == [move.sha256 for move in moved]


def test_only_the_last_moves_are_shown_and_all_are_counted(run: Run, moved: list[ChannelEntry]) -> None:
    told = json.loads(run("models", "history", "--channel", "test", "--last", "2", "--json").stdout)
    assert ([move["number"] for move in told["moves"]], told["total"]) == ([3, 4], 4)


def test_a_channel_that_was_never_moved_says_so(run: Run) -> None:
    assert run("models", "history").stdout.strip() == "Channel prod has no entries."
    assert "it was never moved" in run("models", "history", "--verify").stdout


def test_what_cannot_be_a_channel_is_refused(run: Run) -> None:
    for options in ([], ["--verify"]):
        said = run("models", "history", "--channel", "No Channel", *options)
        assert (said.exit_code, said.stderr.partition(":")[0]) == (2, "NameRefused")


# --- the proof -----------------------------------------------------------------------------------------------------


def test_a_history_that_only_grew_is_proven_and_its_head_named(run: Run, moved: list[ChannelEntry]) -> None:
    code, told = proof(run)
    assert (code, told["sound"], told["moves"]) == (0, True, 4)
    assert told["head"] == {"move": 4, "version": 2, "sha256": moved[-1].sha256}
    shown = run("models", "history", "--channel", "test", "--verify").stdout
    assert shown.count("✓") == 3
    assert f"head  move 4, {moved[-1].sha256}\n" in shown


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("remembers", [True, False])
def test_an_entry_that_was_rewritten_breaks_the_chain(
    run: Run, moved: list[ChannelEntry], place: Place, number: int, remembers: bool
) -> None:
    rewrite(place, number, why="never happened")
    if not remembers:
        forgetful(place)
    code, told = proof(run)
    assert code == 1
    assert ("chain", "HistoryBroken") in wrong(told)
    assert (("first writes", "ObjectRewritten") in wrong(told)) == remembers
    (broken,) = [each for each in told["findings"] if each["what"] == "chain"]
    assert f"the hash of entry {number}" in broken["expected"]
    assert moved[number - 1].sha256 in broken["actual"]
    assert broken["next"]
    shown = run("models", "history", "--channel", "test", "--verify")
    assert shown.exit_code == 1
    assert moved[number - 1].sha256 in shown.stdout
    assert "head" not in shown.stdout


def test_the_newest_entry_rewritten_shows_in_the_buckets_memory(
    run: Run, moved: list[ChannelEntry], place: Place
) -> None:
    rewrite(place, 4, version=1, digest=moved[0].digest, restores=1)
    code, told = proof(run)
    assert (code, wrong(told)) == (1, [("first writes", "ObjectRewritten")])


def test_the_newest_entry_taken_back_shows_in_the_buckets_memory(
    run: Run, moved: list[ChannelEntry], place: Place
) -> None:
    place.buckets["models"].delete(channel_entry_key("pets", "test", 4))
    code, told = proof(run)
    assert (code, wrong(told)) == (1, [("first writes", "ObjectRewritten")])


def test_an_entry_noted_elsewhere_shows_that_the_newest_were_taken_back_where_the_bucket_forgot(
    run: Run, moved: list[ChannelEntry], place: Place
) -> None:
    noted = moved[-1].sha256
    assert proof(run, "--since", noted)[0] == 0
    place.buckets["models"].delete(channel_entry_key("pets", "test", 4))
    forgetful(place)
    assert proof(run)[0] == 0, "by itself a shorter history looks as if it had always been so"
    code, told = proof(run, "--since", noted)
    assert (code, wrong(told)) == (1, [("known entry", "HistoryBroken")])
    assert noted in told["findings"][-1]["expected"]


def test_a_noted_entry_may_have_others_behind_it(run: Run, moved: list[ChannelEntry]) -> None:
    said = run("models", "history", "--channel", "test", "--since", f"sha256:{moved[1].sha256}")
    assert said.exit_code == 0
    assert "it is move 2, followed by 2 more" in said.stdout


def test_a_channel_that_was_deleted_altogether_does_not_contain_what_was_noted(
    run: Run, moved: list[ChannelEntry], place: Place
) -> None:
    for move in moved:
        place.buckets["models"].delete(channel_entry_key("pets", "test", move.number))
    forgetful(place)
    assert proof(run, "--since", moved[0].sha256)[0] == 1


@pytest.mark.parametrize("text", ["abc", "0" * 63, "0" * 65, "sha1:" + "0" * 64])
def test_what_is_no_hash_is_bad_usage(run: Run, text: str) -> None:
    assert run("models", "history", "--verify", "--since", text).exit_code == 2


def gone(place: Place) -> None:
    place.buckets["models"].delete(version_key("pets", 1))


def other_bytes(place: Place) -> None:
    store, key = place.buckets["models"], version_key("pets", 1)
    version = Version.from_bytes(store.get(key))
    store.delete(key)
    store.create(key, replace(version, labels=("cat", "fox")).to_bytes())


@pytest.mark.parametrize(("change", "outcome"), [(gone, "VersionMissing"), (other_bytes, "DigestMismatch")])
def test_every_move_must_name_a_version_that_is_there_with_its_digest(
    run: Run, moved: list[ChannelEntry], place: Place, change: Rewrite, outcome: str
) -> None:
    change(place)
    code, told = proof(run)
    assert (code, wrong(told)) == (1, [("move 1", outcome)])


def test_the_proof_is_made_as_the_role_that_only_reads(moved: list[ChannelEntry], place: Place) -> None:
    from petpark.models.history import history, prove_history

    target = place.target()
    history(target, "test")
    assert prove_history(target, "test", since=moved[0].sha256).sound
    assert set(target.acted) == {"reader"}
