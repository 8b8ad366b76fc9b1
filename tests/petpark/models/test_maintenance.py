"""`petpark models fsck` and `petpark models gc`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, override

import pytest
from typer.testing import CliRunner

from petpark.__main__ import app
from petpark.models import maintenance
from petpark.output.console import Output
from registry.channels.channel import Channel
from registry.encoding import sha256_hex
from registry.errors import KeyUnavailable, StoreUnavailable
from registry.layout.model_store import blob_key, channel_entry_key
from registry.layout.roles import Role
from registry.store.memory_store import MemoryStore
from registry.version import Version
from tests.petpark.conftest import FakeTarget, Place, Run

type Publish = Callable[..., Version]


class Clock:
    """The store's clock: what is stored while it is `turned_back` is that much older."""

    def __init__(self) -> None:
        self.turned_back = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) - self.turned_back


@pytest.fixture
def clock(place: Place) -> Clock:
    clock = Clock()
    place.buckets["models"] = MemoryStore(clock=clock)
    return clock


def drop(place: Place, *bodies: bytes) -> None:
    """Leave files behind that no version uses."""
    for body in bodies:
        place.buckets["models"].create(blob_key("pets", sha256_hex(body)), body)


@pytest.fixture
def litter(place: Place, publish: Publish, clock: Clock) -> None:
    """A version; two files that nobody uses, eight days old; one of today."""
    publish()
    clock.turned_back = timedelta(days=8)
    drop(place, b"old" * 100, b"older" * 100)
    clock.turned_back = timedelta()
    drop(place, b"young")


def output_of(run: Run, *words: str) -> tuple[int, dict[str, Any]]:
    said = run("models", *words, "--json")
    return said.exit_code, json.loads(said.stdout)


# --- fsck ----------------------------------------------------------------------------------------------------------


def test_a_sound_registry_is_counted(run: Run, publish: Publish) -> None:
    publish()
    run("certify", "1", "--decision", "certified", "--note", "x")
    run("promote", "1", "--channel", "prod", "--why", "x")
    code, found = output_of(run, "fsck", "--deep")
    assert (code, found["sound"], found["deep"], found["findings"]) == (0, True, True, [])
    assert {name: found[name] for name in ("versions", "moves", "certificates", "blobs", "unused")} == {
        "versions": 1,
        "moves": 1,
        "certificates": 1,
        "blobs": 2,
        "unused": 0,
    }
    shown = run("models", "fsck").stdout
    assert shown.startswith("✓ pets  sound: 1 version, 1 move, 1 certificate, 2 files, ")


def test_every_finding_says_how_bad_where_what_and_what_to_do(run: Run, publish: Publish, place: Place) -> None:
    version = publish()
    for _ in range(2):
        run("promote", "1", "--channel", "test", "--why", "x")
    store = place.buckets["models"]
    store.create("pets/notes.txt", b"somebody was here")
    store.delete(channel_entry_key("pets", "test", 1))
    spoiled = blob_key("pets", version.files[0].sha256)
    store.delete(spoiled)
    store.create(spoiled, b"model.onnx X")
    code, found = output_of(run, "fsck")
    assert code == 1
    named = {(each["severity"], each["outcome"]) for each in found["findings"]}
    assert named == {("damage", "HistoryBroken"), ("trace", "ForeignObject"), ("trace", "ObjectRewritten")}
    assert all(each["where"] and each["expected"] and each["actual"] and each["next"] for each in found["findings"])
    _, deep = output_of(run, "fsck", "--deep")
    assert ("damage", "FileCorrupted") in {(each["severity"], each["outcome"]) for each in deep["findings"]}
    said = run("models", "fsck")
    assert said.exit_code == 1
    lines = said.stdout.splitlines()
    assert len(lines) == len(found["findings"]) + 1, "a line each where nobody watches"
    assert [line.split()[1] for line in lines] == ["damage", "trace", "trace", "pets"], "the worst first"
    assert "where pets/notes.txt; expected" in said.stdout


def test_unused_files_are_no_finding(run: Run, litter: None) -> None:
    code, found = output_of(run, "fsck")
    assert (code, found["unused"], found["findings"]) == (0, 3, [])
    assert "3 files unused" in run("models", "fsck").stdout


class Silent(MemoryStore):
    """Answers listings, and then no more."""

    @override
    def get(self, key: str) -> bytes:
        raise StoreUnavailable("read", "no answer")


def test_a_store_that_does_not_answer_is_no_damage(run: Run, publish: Publish, place: Place) -> None:
    publish()
    silent = Silent()
    for key in place.buckets["models"].keys(""):
        silent.create(key, place.buckets["models"].get(key))
    place.buckets["models"] = silent
    said = run("models", "fsck")
    assert (said.exit_code, said.stdout, said.stderr.partition(":")[0]) == (2, "", "StoreUnavailable")


def test_a_key_that_cannot_be_had_is_no_damage(run: Run, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    publish()
    run("certify", "1", "--decision", "certified", "--note", "x")

    class Gone:
        @property
        def key(self) -> Any:
            raise KeyUnavailable("arn", "it is pending deletion")

    monkeypatch.setattr(FakeTarget, "verifier", lambda *_, **__: Gone())
    said = run("models", "fsck")
    assert (said.exit_code, said.stderr.partition(":")[0]) == (2, "KeyUnavailable")


def test_looking_is_done_as_the_role_that_only_reads(publish: Publish, place: Place) -> None:
    publish()
    target = place.target()
    maintenance.inspect(target, deep=True, progress=lambda *_: None)
    assert set(target.acted) == {"reader"}


# --- gc ------------------------------------------------------------------------------------------------------------


def keys(place: Place) -> set[str]:
    return set(place.buckets["models"].keys(""))


def test_a_dry_run_says_what_would_go_and_why_the_rest_stays(run: Run, litter: None, place: Place) -> None:
    before = keys(place)
    code, found = output_of(run, "gc", "--dry-run")
    assert (code, found["dry_run"]) == (0, True)
    assert (found["collectable"]["files"], found["collectable"]["bytes"]) == (2, 800)
    assert found["young"] == {"files": 1, "bytes": 5, "stay_until_older_than_days": 7}
    assert found["removed"] == {"files": 0, "bytes": 0}
    assert keys(place) == before
    shown = run("models", "gc", "--dry-run").stdout
    assert "Removable: 2 files (800 bytes) used by no version." in shown
    assert "Stays:  1 file (5 bytes) used by no version, but younger than 7 days; a publish in progress may" in shown


def test_what_nobody_uses_goes_and_nothing_else(run: Run, litter: None, place: Place) -> None:
    before = keys(place)
    code, found = output_of(run, "gc", "--yes")
    assert (code, found["removed"]) == (0, {"files": 2, "bytes": 800})
    assert before - keys(place) == set(found["collectable"]["keys"])
    assert "Nothing to remove." in run("models", "gc").stdout
    assert output_of(run, "fsck")[0] == 0


def test_nothing_goes_without_a_yes_where_nobody_can_be_asked(run: Run, litter: None, place: Place) -> None:
    before = keys(place)
    for options in ([], ["--json"]):
        said = run("models", "gc", *options)
        assert said.exit_code == 2
        assert "ConfirmationNeeded" in said.output
        assert "--yes" in said.output
    assert keys(place) == before


@pytest.mark.parametrize(("answer", "code", "left"), [(True, 0, 1), (False, 1, 3)])
def test_a_person_is_asked_first(
    litter: None, place: Place, monkeypatch: pytest.MonkeyPatch, answer: bool, code: int, left: int
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Output, "confirm", lambda _, question: asked.append(question) or answer)
    said = CliRunner().invoke(app, ["models", "gc"], obj=place.target)
    assert (said.exit_code, asked) == (code, ["Remove 2 files?"])
    assert ("Nothing was removed." in said.output) is not answer
    assert maintenance.inspect(place.target(), deep=False, progress=lambda *_: None).unused == left


def test_nothing_is_garbage_in_a_damaged_registry(run: Run, litter: None, publish: Publish, place: Place) -> None:
    publish()
    publish()
    place.buckets["models"].delete("pets/versions/00000002.json")
    before = keys(place)
    said = run("models", "gc", "--yes")
    assert (said.exit_code, said.stderr.partition(":")[0]) == (1, "HistoryBroken")
    assert keys(place) == before


def test_removing_is_done_as_the_collector_alone(litter: None, place: Place) -> None:
    target = place.target()
    assert len(list(maintenance.collect(target, maintenance.find_garbage(target)))) == 2
    assert set(target.acted) == {"collector"}


def test_what_nobody_should_have_written_is_declared_void_and_the_channel_moves_again(
    run: Run, place: Place, publish: Publish
) -> None:
    publish()
    assert run("promote", "1", "--channel", "test", "--why", "x").exit_code == 0
    store = place.buckets["models"]
    head = Channel(store, "pets", "test").head()
    assert head is not None
    for number in (2, 4):
        foreign = replace(head, number=number, previous=1, previous_sha256="0" * 64)
        store.create(channel_entry_key("pets", "test", number), foreign.to_bytes())
    store.create("pets/versions/00000007.json", b"{}")
    stopped = run("promote", "1", "--channel", "test", "--why", "x")
    assert (stopped.exit_code, stopped.stderr.partition(":")[0]) == (1, "HistoryBroken")
    assert "petpark models repair" in stopped.stderr
    assert run("models", "gc", "--dry-run").exit_code == 1
    asked = run("models", "repair", "--why", "by mistake")
    assert "ConfirmationNeeded" in asked.stderr
    assert run("models", "repair", "--why", " ", "--yes").exit_code == 1
    done = run("models", "repair", "--why", "by mistake", "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert [repair["key"].removeprefix("pets/") for repair in told] == [
        "versions/00000007.json",
        "channels/test/00000002.json",
        "channels/test/00000004.json",
    ]
    assert {(repair["by"], repair["why"]) for repair in told} == {
        (place.target().identity(role=Role.REPAIRER), "by mistake")
    }
    moved = json.loads(run("promote", "1", "--channel", "test", "--why", "x", "--json").stdout)
    assert moved["number"] == 3
    assert run("models", "gc", "--dry-run").exit_code == 0
    assert run("models", "fsck").exit_code == 0
    assert json.loads(run("models", "repair", "--why", "x", "--yes", "--json").stdout) == []


def test_what_was_deleted_is_restored_and_not_declared_void(run: Run, place: Place, publish: Publish) -> None:
    publish()
    for _ in range(3):
        run("promote", "1", "--channel", "test", "--why", "x")
    place.buckets["models"].delete(channel_entry_key("pets", "test", 2))
    said = run("models", "repair", "--why", "x", "--yes")
    assert (said.exit_code, said.stderr.partition(":")[0]) == (1, "ObjectRewritten")
    assert list(place.buckets["models"].keys("pets/repairs/")) == []


def test_a_training_instance_that_writes_what_is_no_version_stops_no_publish(place: Place, publish: Publish) -> None:
    publish()
    store = place.buckets["models"]
    for number in (2, 3, 9_999_999):
        store.create(f"pets/versions/{number:08d}.json", b"{}")
    assert publish().number == 4
    assert [version.number for version in place.catalog.recent(10)] == [1, 4]
