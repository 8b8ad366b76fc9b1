"""The registry against a model of it that fits ten lines, under any sequence of steps.

Some steps are cut off, some are slow and others act meanwhile, time passes, and the collector collects.
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from registry.certificates.certificate import Certificates, Decision
from registry.channel_policy import ChannelPolicy
from registry.channels.channel import Channel
from registry.channels.promotion import PromotionService
from registry.errors import (
    ChannelMoved,
    FileForgotten,
    NotCertified,
    NothingToRollBackTo,
    ObjectExists,
    StoreUnavailable,
)
from registry.layout.model_store import certificate_key, channel_entry_key
from registry.maintenance.fsck import inspect
from registry.maintenance.garbage_collection import Collector
from registry.store.memory_store import MemoryStore
from registry.store.object_store import PrunableStore
from registry.versions.catalog import Catalog
from registry.versions.upload import GRACE, Sending
from tests.examples import examples
from tests.registry.aging_store import AgingStore
from tests.registry.faulty_store import Crashed, Fault, FaultyStore, only_at
from tests.registry.memory_keys import MemorySigner, MemoryVerifier

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIGNER = MemorySigner()
VERIFIER = MemoryVerifier(SIGNER)

RUNS = st.sampled_from("ab")
A_WHILE = st.sampled_from([timedelta(0), GRACE / 4 - timedelta(minutes=1)])
"""How long a slow call may take: registry.versions.upload counts on no single call taking longer."""


class Model:
    """What the registry is, when nothing ever fails."""

    def __init__(self) -> None:
        self.published: list[str] = []  # run of version 1, 2, 3 …
        self.undo: list[int] = []  # versions that roll back walks through; the last is in force
        self.moves: list[int] = []  # versions in the order they came into force
        self.decisions: dict[int, Decision] = {}  # the latest decision about a version

    def move(self, version: int) -> None:
        self.moves.append(version)
        if self.undo[-1:] != [version]:
            self.undo.append(version)

    def roll_back(self) -> None:
        self.undo.pop()
        self.moves.append(self.undo[-1])


class Publishing(RuleBasedStateMachine):
    """Publishers and collectors. Every rule does the same to the registry and to the model; invariants compare them."""

    rivals: tuple[str, ...] = ("collect", "publish")

    def __init__(self, new_store: Callable[[], PrunableStore]) -> None:
        super().__init__()
        self.store = AgingStore(new_store())
        self.model = Model()
        self.seconds = 0.0
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self) -> None:
        self.folder.cleanup()

    # --- what the rules are made of ---

    def catalog(self, store: PrunableStore | None = None) -> Catalog:
        return Catalog(store or self.store, "pets", monotonic=lambda: self.seconds)

    def prod(self, store: PrunableStore | None = None) -> Channel:
        return Channel(store or self.store, "pets", "prod")

    def files(self, run: str) -> dict[str, Path]:
        """One file that only this run has, and one that all runs share."""
        files = {name: Path(self.folder.name) / name for name in (f"{run}.onnx", "labels.json")}
        for name, path in files.items():
            path.write_text(name)
        return files

    def publish(self, run: str, store: PrunableStore) -> int:
        catalog = self.catalog(store)
        return catalog.publish(
            self.files(run), labels=["cat"], metrics={"gate_accuracy": 1.0}, lineage={"run": run}
        ).number

    def published(self, run: str, number: int | None = None) -> None:
        if run not in self.model.published:
            self.model.published.append(run)
        assert number is None or self.model.published[number - 1] == run

    def cut_off(self, data: st.DataObject, calls: int) -> FaultyStore:
        """A store that fails at one call."""
        fault = data.draw(st.sampled_from([fault for fault in Fault if fault is not Fault.SLOW]))
        return FaultyStore(self.store, only_at(data.draw(st.integers(0, calls)), fault))

    def slow(self, data: st.DataObject, calls: int) -> FaultyStore:
        """A store that is slow at one call: time passes there, and a rival does something."""
        time, rival = data.draw(A_WHILE), data.draw(st.sampled_from(self.rivals))
        run = data.draw(RUNS)

        def meanwhile() -> None:
            self.pass_time(time)
            if rival == "publish":
                with suppress(FileForgotten):
                    self.published(run, self.publish(run, self.store))
            elif rival == "move" and self.model.published:
                self.model.move(self.prod().move(self.catalog().version(1), by="rival", why="me first").version)
            elif rival == "collect":
                self.collect(self.store)

        return FaultyStore(self.store, only_at(data.draw(st.integers(0, calls)), Fault.SLOW), meanwhile=meanwhile)

    def pass_time(self, time: timedelta) -> None:
        self.store.elapse(time)
        self.seconds += time.total_seconds()

    def collect(self, store: PrunableStore) -> None:
        collector = Collector(store, "pets")
        list(collector.collect(collector.find()))

    # --- the rules ---

    @rule(time=st.sampled_from([GRACE / 3, GRACE / 2, GRACE]))
    def time_passes(self, time: timedelta) -> None:
        self.pass_time(time)

    @rule(run=RUNS)
    def publish_a_run(self, run: str) -> None:
        try:
            self.published(run, self.publish(run, self.store))
        except FileForgotten:
            assert any(blob.age > GRACE / 2 for blob in self.store.stats("pets/blobs/"))

    @rule(run=RUNS)
    def abandon_a_publish_for_long(self, run: str) -> None:
        """It dies between its blobs and its version, and nobody comes back soon."""
        Sending(self.store, "pets").send(self.files(run))
        self.pass_time(GRACE)

    @rule(run=RUNS, data=st.data())
    def publish_a_run_and_be_cut_off(self, run: str, data: st.DataObject) -> None:
        with suppress(Crashed, StoreUnavailable, FileForgotten):
            self.publish(run, self.cut_off(data, calls=8))
        for version in self.catalog().versions()[len(self.model.published) :]:
            assert version.lineage["run"] == run
            self.published(run)

    @rule(run=RUNS, data=st.data())
    def come_back_to_an_abandoned_publish_slowly(self, run: str, data: st.DataObject) -> None:
        self.abandon_a_publish_for_long(run)
        self.publish_a_run_slowly(run, data)

    @rule(run=RUNS, data=st.data())
    def publish_a_run_slowly(self, run: str, data: st.DataObject) -> None:
        with suppress(FileForgotten):
            self.published(run, self.publish(run, self.slow(data, calls=6)))

    @rule()
    def collect_garbage(self) -> None:
        self.collect(self.store)

    @rule(data=st.data(), slowly=st.booleans())
    def collect_garbage_with_trouble(self, data: st.DataObject, slowly: bool) -> None:
        with suppress(Crashed, StoreUnavailable):
            self.collect(self.slow(data, calls=8) if slowly else self.cut_off(data, calls=8))

    # --- what must always hold ---

    @invariant()
    def the_versions_are_those_published(self) -> None:
        assert [version.lineage["run"] for version in self.catalog().versions()] == self.model.published

    @invariant()
    def nothing_is_damaged_and_every_version_is_whole(self) -> None:
        assert inspect(self.store, "pets", verifier=MemoryVerifier(SIGNER)).findings == []


class Registry(Publishing):
    """The same, and channels and certificates besides."""

    rivals = ("collect", "publish", "move")

    @precondition(lambda self: self.model.published)
    @rule(data=st.data(), decision=st.sampled_from(["certified", "refused", "revoked"]))
    def decide(self, data: st.DataObject, decision: Decision) -> None:
        number = data.draw(st.integers(1, len(self.model.published)))
        Certificates(self.store, "pets").sign(
            self.catalog().version(number),
            decision=decision, signer=SIGNER, by="vera", report_sha256=None, expires_at=NOW + timedelta(1), note="",
        )  # fmt: skip
        self.model.decisions[number] = decision

    @precondition(lambda self: self.model.published)
    @rule(data=st.data(), certified=st.booleans())
    def promote(self, data: st.DataObject, certified: bool) -> None:
        number = data.draw(st.integers(1, len(self.model.published)))
        desk = PromotionService(
            catalog=self.catalog(), channel=self.prod(), certificates=Certificates(self.store, "pets"),
            policy=ChannelPolicy(certificate=certified, two_people=certified), verifier=MemoryVerifier(SIGNER),
        )  # fmt: skip
        try:
            desk.promote(number, by="mia", why="better", now=NOW)
        except NotCertified:
            assert self.model.decisions.get(number) != "certified"
            assert certified or self.model.decisions[number] == "revoked"
        else:
            assert self.model.decisions.get(number) != "revoked"
            assert not certified or self.model.decisions[number] == "certified"
            self.model.move(number)

    @precondition(lambda self: self.model.published)
    @rule(data=st.data())
    def move_and_be_cut_off(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, len(self.model.published)))
        version = self.catalog().version(number)
        with suppress(Crashed, StoreUnavailable):
            self.prod(self.cut_off(data, calls=3)).move(version, by="mia", why="better")
        if len(self.prod().history()) > len(self.model.moves):
            self.model.move(number)

    @precondition(lambda self: self.model.published)
    @rule(data=st.data())
    def move_slowly(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, len(self.model.published)))
        version = self.catalog().version(number)
        before = len(self.model.moves)
        with suppress(ChannelMoved):
            self.prod(self.slow(data, calls=3)).move(version, by="mia", why="better")
            self.model.move(number)
            return
        assert len(self.model.moves) > before, "only a rival can have been faster"

    @rule()
    def roll_back(self) -> None:
        try:
            self.prod().roll_back(by="mia", why="worse")
        except NothingToRollBackTo:
            assert len(self.model.undo) < 2
        else:
            self.model.roll_back()

    @invariant()
    def the_channel_is_where_it_was_moved(self) -> None:
        head = self.prod().head()
        assert [move.version for move in self.prod().history()] == self.model.moves
        assert (head and head.version) == (self.model.undo[-1] if self.model.undo else None)
        assert self.prod().after(len(self.model.moves)) is None


class Littered(Registry):
    """The same, while somebody writes into channels and decisions what is none: nobody is stopped, nothing is hidden.

    `follower` and `endpoint` looked long ago and only ever read on, as running endpoints do.
    """

    def __init__(self, new_store: Callable[[], PrunableStore]) -> None:
        super().__init__(new_store)
        self.follower = self.prod()
        self.endpoint = Certificates(self.store, "pets")
        self.standing: dict[int, int] = {}

    def litter(self, key: str) -> None:
        with suppress(ObjectExists):
            self.store.create(key, b"<html>please sign in</html>")

    @rule(ahead=st.sampled_from([0, 0, 1, 2]), far=st.booleans())
    def litter_the_channel(self, ahead: int, far: bool) -> None:
        there = [int(key[-13:-5]) for key in self.store.keys("pets/channels/prod/0")]
        self.litter(channel_entry_key("pets", "prod", 99_999_999 if far else max(there, default=0) + 1 + ahead))

    @precondition(lambda self: self.model.published)
    @rule(data=st.data(), ahead=st.sampled_from([0, 0, 1, 2]), far=st.booleans())
    def litter_the_decisions(self, data: st.DataObject, ahead: int, far: bool) -> None:
        number = data.draw(st.integers(1, len(self.model.published)))
        last = Certificates(self.store, "pets").look(self.catalog().version(number), VERIFIER).next_number
        self.litter(certificate_key("pets", number, 99_999_999 if far else last + ahead))

    @invariant()
    def the_channel_is_where_it_was_moved(self) -> None:
        for channel in (self.prod(), self.follower):
            head = channel.head()
            assert [move.version for move in channel.history()] == self.model.moves
            assert (head and head.version) == (self.model.undo[-1] if self.model.undo else None)

    @invariant()
    def whoever_asks_for_the_next_decision_alone_hears_of_each(self) -> None:
        for number in range(1, len(self.model.published) + 1):
            version = self.catalog().version(number)
            if number in self.standing and not self.endpoint.decided_after(version, self.standing[number]):
                continue  # nothing is new
            look = self.endpoint.look(version, VERIFIER)
            self.standing[number] = look.next_number - 1
            assert (look.latest and look.latest.decision) == self.model.decisions.get(number)
        for number, heard in self.model.decisions.items():
            latest = self.endpoint.look(self.catalog().version(number), VERIFIER).latest
            assert latest is not None
            assert latest.decision == heard
            assert self.standing[number] >= latest.number, "it was heard of by one request"

    @invariant()
    def nothing_is_damaged_and_every_version_is_whole(self) -> None:
        outcomes = {finding.error.outcome for finding in inspect(self.store, "pets", verifier=VERIFIER).findings}
        assert outcomes <= {"MoveMalformed", "NotCertified", "HistoryBroken", "VersionMissing"}


@pytest.mark.parametrize(
    ("kind", "machine", "usually"),
    [("memory", Publishing, 80), ("memory", Registry, 30), ("memory", Littered, 25), ("s3", Registry, 2)],
    ids=["publishers and collectors in memory", "in memory", "among foreign objects", "s3"],
)
def test_the_registry_behaves_as_its_model(
    kind: str, machine: type[Publishing], usually: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = (
        "store.transfer.REQUESTS_AT_ONCE",
        "versions.upload.REQUESTS_AT_ONCE",
        "logs.log.READERS",
        "maintenance.fsck.READERS",
        "maintenance.garbage_collection.REMOVERS",
    )
    for name in workers:
        monkeypatch.setattr(f"registry.{name}", 1)  # so that call number n is the same one every time
    new_store = MemoryStore if kind == "memory" else request.getfixturevalue("new_s3_store")

    class Machine(machine):
        def __init__(self) -> None:
            super().__init__(new_store)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples(usually),
            stateful_step_count=15,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
