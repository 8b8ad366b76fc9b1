"""From a recorded prediction to the people behind it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from registry.certificates.certificate import Certificates
from registry.channels.channel import Channel, ChannelEntry
from registry.channels.experiment import Experiments
from registry.channels.experiment_rule import Rule
from registry.clock import utc_now
from registry.layout.model_store import channel_entry_key
from registry.store.memory_store import MemoryStore
from tests.petpark.conftest import Place, Run
from tests.serving.recording.recorded import Recording, loaded

ID = f"{5:032x}"


@pytest.fixture
def released(run: Run, publish: Any) -> Any:
    """Version 1, certified by vera and promoted by mia."""
    version = publish(requested_by="arn:aws:iam::1:user/alice", code="c" * 64)
    assert run("certify", "1", "--decision", "certified", "--note", "QA, 40 photos").exit_code == 0
    assert run("promote", "1", "--channel", "test", "--why", "first release").exit_code == 0
    return version


def record(place: Place, version: Any, *, entry: int = 1, arm: str | None = None) -> None:
    recording = Recording(
        now=utc_now().timestamp() + 1, store=place.buckets.setdefault("lake", MemoryStore()), stack="test"
    )
    recording.see(5, model=loaded(version.number, version.digest), entry=entry, arm=arm)
    recording.flush()


def who(run: Run) -> tuple[int, dict[str, Any]]:
    said = run("who", ID, "--json")
    (found,) = json.loads(said.stdout)["predictions"]
    return said.exit_code, found


@pytest.fixture(autouse=True)
def a_moment_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches begin after what was recorded."""
    monkeypatch.setattr("petpark.commands.registry.who.utc_now", lambda: utc_now() + timedelta(seconds=5))


def test_the_version_its_certificate_its_origin_and_the_people_who_decided_are_shown(
    run: Run, place: Place, released: Any
):
    record(place, released)
    status, found = who(run)
    assert status == 0
    assert found["sound"]
    assert found["version"]["number"] == 1
    assert found["version"]["digest"] == released.digest
    assert found["version"]["lineage"]["dataset"] == "d" * 64
    assert found["version"]["lineage"]["code"] == "c" * 64
    assert found["certificate"]["by"].endswith("/vera")
    assert (found["entry"]["by"].rpartition("/")[2], found["entry"]["why"]) == ("mia", "first release")
    told = run("who", ID).stdout
    assert all(name in told for name in ("vera", "mia", "alice", "first release", "gate", "cat"))


def test_the_certificate_is_the_one_that_counted_then(run: Run, place: Place, released: Any):
    record(place, released)
    Certificates(place.buckets["models"], "pets", clock=lambda: utc_now() + timedelta(hours=1)).sign(
        released, decision="revoked", signer=place.key, by="vera", report_sha256=None, expires_at=None, note="wrong"
    )
    _, found = who(run)
    assert found["certificate"]["decision"] == "certified"


def test_a_challenger_is_found_by_the_experiment_that_ran_then(run: Run, place: Place, publish: Any, released: Any):
    challenger = publish()
    store = place.buckets["models"]
    champion = Channel(store, "pets", "test").head()
    assert champion is not None
    Experiments(store, "pets", "test").start(
        challenger,
        champion,
        mode="canary",
        share=0.5,
        rule=Rule(),
        until=utc_now() + timedelta(hours=1),
        by="otto",
        why="night",
    )
    record(place, challenger, arm="challenger")
    status, found = who(run)
    assert (status, found["version"]["number"]) == (0, 2)
    assert (found["experiment"]["by"], found["experiment"]["why"]) == ("otto", "night")


def test_a_record_that_the_registry_contradicts_is_shown_and_exits_with_1(run: Run, place: Place, released: Any):
    record(place, released, entry=2)
    status, found = who(run)
    assert (status, found["sound"]) == (1, False)
    assert [proof["what"] for proof in found["proofs"] if not proof["ok"]] == ["entry"]


def test_a_digest_that_the_registry_does_not_have_is_a_contradiction(run: Run, place: Place, released: Any):
    recording = Recording(
        now=utc_now().timestamp() + 1, store=place.buckets.setdefault("lake", MemoryStore()), stack="test"
    )
    recording.see(5, model=loaded(1, f"sha256:{'e' * 64}"), entry=1)
    recording.flush()
    status, found = who(run)
    assert (status, found["version"], found["certificate"]) == (1, None, None)
    assert [proof["what"] for proof in found["proofs"] if not proof["ok"]] == ["version", "entry"]


def test_a_history_that_was_rewritten_is_no_proof(run: Run, place: Place, publish: Any, released: Any):
    publish()
    assert run("promote", "2", "--channel", "test", "--why", "second").exit_code == 0
    record(place, released)
    store, key = place.buckets["models"], channel_entry_key("pets", "test", 1)
    place.replace(key, replace(ChannelEntry.from_bytes(store.get(key)), by="mallory").to_bytes())
    said = run("who", ID, "--json")
    assert said.exit_code == 1
    assert "HistoryBroken" in said.stdout


def test_an_id_that_is_not_recorded_says_where_it_was_searched_and_what_to_do(run: Run, place: Place, released: Any):
    record(place, released)
    said = run("who", "f" * 32, "--days", "2")
    assert said.exit_code == 1
    assert "2 days" in said.stderr
    assert "petpark models at" in said.stderr
    assert run("who", ID, "--camera", "pond").exit_code == 1
    assert run("who", ID, "--camera", "Pond!").exit_code == 2
