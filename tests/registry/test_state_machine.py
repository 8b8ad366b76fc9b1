"""The registry against a model of it that fits ten lines, under any sequence of steps, some of them cut off."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from registry import promotion
from registry.catalog import Catalog
from registry.certificate import Certificates, Decision
from registry.channel import Channel
from registry.errors import NotCertified, NothingToRollBackTo, StoreUnavailable
from registry.faulty_store import Crashed, Fault, FaultyStore, only_at
from registry.object_store import MemoryStore, ObjectStore
from registry.signing import MemorySigner, MemoryVerifier

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIGNER = MemorySigner()


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


class Registry(RuleBasedStateMachine):
    """Every rule does the same to the registry and to the model; every invariant compares them."""

    def __init__(self, new_store: Callable[[], ObjectStore]) -> None:
        super().__init__()
        self.store = new_store()
        self.model = Model()
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "model.onnx"

    def teardown(self) -> None:
        self.folder.cleanup()

    def publish(self, run: str, store: ObjectStore) -> int:
        self.file.write_bytes(run.encode())
        version = Catalog(store, "pets").publish(
            {"model.onnx": self.file}, labels=["cat", "dog"], metrics={"accuracy": 0.9}, lineage={"run": run}
        )
        return version.number

    def prod(self, store: ObjectStore | None = None) -> Channel:
        return Channel(store or self.store, "pets", "prod")

    @rule(run=st.sampled_from("abc"))
    def publish_a_run(self, run: str) -> None:
        number = self.publish(run, self.store)
        if run not in self.model.published:
            self.model.published.append(run)
        assert self.model.published[number - 1] == run

    @rule(run=st.sampled_from("abc"), call=st.integers(0, 6), fault=st.sampled_from(Fault))
    def publish_a_run_and_be_cut_off(self, run: str, call: int, fault: Fault) -> None:
        before = list(self.model.published)
        with suppress(Crashed, StoreUnavailable):
            self.publish(run, FaultyStore(self.store, only_at(call, fault)))
        if len(Catalog(self.store, "pets").versions()) > len(before):
            assert run not in before
            self.model.published.append(run)

    @precondition(lambda self: self.model.published)
    @rule(data=st.data(), decision=st.sampled_from(["certified", "refused", "revoked"]))
    def decide(self, data: st.DataObject, decision: Decision) -> None:
        number = data.draw(st.integers(1, len(self.model.published)))
        Certificates(self.store, "pets").sign(
            Catalog(self.store, "pets").version(number),
            decision=decision, signer=SIGNER, by="vera", report_sha256=None, expires_at=NOW + timedelta(1), note="",
        )  # fmt: skip
        self.model.decisions[number] = decision

    @precondition(lambda self: self.model.published)
    @rule(data=st.data(), certified=st.booleans())
    def promote(self, data: st.DataObject, certified: bool) -> None:
        number = data.draw(st.integers(1, len(self.model.published)))
        try:
            promotion.promote(
                Catalog(self.store, "pets"), self.prod(), Certificates(self.store, "pets"), number,
                verifier=MemoryVerifier(SIGNER) if certified else None, by="mia", why="better", now=NOW,
            )  # fmt: skip
        except NotCertified:
            assert certified
            assert self.model.decisions.get(number) != "certified"
        else:
            assert not certified or self.model.decisions[number] == "certified"
            self.model.move(number)

    @precondition(lambda self: self.model.published)
    @rule(data=st.data(), call=st.integers(0, 3), fault=st.sampled_from(Fault))
    def move_and_be_cut_off(self, data: st.DataObject, call: int, fault: Fault) -> None:
        number = data.draw(st.integers(1, len(self.model.published)))
        version = Catalog(self.store, "pets").version(number)
        with suppress(Crashed, StoreUnavailable):
            self.prod(FaultyStore(self.store, only_at(call, fault))).move(version, by="mia", why="better")
        if len(self.prod().history()) > len(self.model.moves):
            self.model.move(number)

    @rule()
    def roll_back(self) -> None:
        try:
            self.prod().roll_back(by="mia", why="worse")
        except NothingToRollBackTo:
            assert len(self.model.undo) < 2
        else:
            self.model.roll_back()

    @invariant()
    def the_versions_are_those_published(self) -> None:
        versions = Catalog(self.store, "pets").versions()
        assert [version.lineage["run"] for version in versions] == self.model.published

    @invariant()
    def the_channel_is_where_it_was_moved(self) -> None:
        head = self.prod().head()
        assert [move.version for move in self.prod().history()] == self.model.moves
        assert (head and head.version) == (self.model.undo[-1] if self.model.undo else None)
        assert self.prod().after(len(self.model.moves)) is None


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_the_registry_behaves_as_its_model(kind: str, request: pytest.FixtureRequest) -> None:
    memory = kind == "memory"
    new_store = MemoryStore if memory else request.getfixturevalue("new_s3_store")

    class Machine(Registry):
        def __init__(self) -> None:
            super().__init__(new_store)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=40 if memory else 2,
            stateful_step_count=20 if memory else 12,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
