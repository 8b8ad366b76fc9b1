import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.engine.apply import delete_all, delete_dependents, refuse_protected
from rehearsal.engine.display import Mask, Reporter
from rehearsal.engine.errors import EngineError, ProviderDiagnostics, ResourceProtected
from rehearsal.engine.provider.client import Applied
from rehearsal.engine.provider.schema import Block, Schema
from rehearsal.engine.refresh import recover
from rehearsal.engine.state import Held, Record, State
from rehearsal.engine.translation.type_table import RESOURCES


def record(n: int, uses: list[int] | None = None, **changes: Any) -> Record:
    return Record(urn=f"urn:{n}", type="t", name=str(n), dependencies=tuple(f"urn:{u}" for u in uses or ()), **changes)


@st.composite
def graphs(draw: st.DrawFn) -> list[Record]:
    """Resources that only use earlier ones, in any order."""
    size = draw(st.integers(1, 8))
    made = [record(n, draw(st.lists(st.integers(0, n - 1), unique=True)) if n else []) for n in range(size)]
    return draw(st.permutations(made))


def reporter() -> Reporter:
    return Reporter("destroy", "test", mask=Mask(), listener=None)


@given(graphs())
def test_nothing_is_deleted_before_what_uses_it(graph: list[Record]):
    gone: list[str] = []
    lock = threading.Lock()

    def delete(one: Record) -> None:
        with lock:
            assert not [other for other in graph if one.urn in other.dependencies and other.urn not in gone]
            gone.append(one.urn)

    delete_all(graph, delete=delete, reporter=reporter(), parallel=4, cancelled=lambda: False)
    assert sorted(gone) == sorted(r.urn for r in graph)


@given(graphs(), st.data())
def test_what_a_failed_deletion_uses_stays(graph: list[Record], data: st.DataObject):
    stuck = data.draw(st.sampled_from(graph))
    gone: set[str] = set()

    def delete(one: Record) -> None:
        if one is stuck:
            raise ProviderDiagnostics(["in use"])
        gone.add(one.urn)

    report = reporter()
    delete_all(graph, delete=delete, reporter=report, parallel=1, cancelled=lambda: False)

    kept, frontier = {stuck.urn}, list(stuck.dependencies)
    by_urn = {r.urn: r for r in graph}
    while frontier:
        urn = frontier.pop()
        kept.add(urn)
        frontier += by_urn[urn].dependencies
    assert gone == set(by_urn) - kept
    assert report.failed


def test_a_cancelled_deletion_begins_nothing():
    gone: list[Record] = []
    report = reporter()
    delete_all([record(0)], delete=gone.append, reporter=report, parallel=1, cancelled=lambda: True)
    assert report.failed
    assert not gone


class Dependents:
    """A worker whose resources depend on `urn:0` by way of each other, and could not live through a replacement."""

    def __init__(self, records: list[Record]) -> None:
        self.deleted: list[str] = []
        self.reporter = reporter()
        self.state = SimpleNamespace(resources={one.urn: one for one in records})
        self.resources = SimpleNamespace(
            kind=lambda _type: SimpleNamespace(schema=None),
            known=lambda held, _kind: held.fields,
            config=lambda _kind, inputs: inputs,
            provider=SimpleNamespace(
                plan=lambda _schema, _prior, config, _private: SimpleNamespace(state=config, replaces=[("uses",)])
            ),
        )

    def delete(self, one: Record) -> None:
        self.deleted.append(one.urn)


def chain(length: int, protected: int | None = None) -> list[Record]:
    """`urn:1` uses `urn:0`, `urn:2` uses `urn:1`, and so on."""
    return [record(0), *(dependent(n, n - 1, protect=n == protected) for n in range(1, length))]


@given(st.integers(2, 6))
def test_dependents_that_a_replacement_takes_along_are_deleted_farthest_first(length: int):
    records = chain(length)
    worker: Any = Dependents(records)
    delete_dependents(worker, records[0], seen=set())
    assert worker.deleted == [f"urn:{n}" for n in range(length - 1, 0, -1)]


@given(st.data(), st.integers(2, 6))
def test_a_protected_dependent_stops_the_replacement_before_anything_is_deleted(data: st.DataObject, length: int):
    protected = data.draw(st.integers(1, length - 1))
    records = chain(length, protected)
    worker: Any = Dependents(records)
    with pytest.raises(ResourceProtected, match=rf"^{protected} \(urn:{protected}\) is protected"):
        delete_dependents(worker, records[0], seen=set())
    assert worker.deleted == []


def dependent(n: int, *on: int, protect: bool = False) -> Record:
    """A resource that would be replaced with any of those that it depends on."""
    held = Held(terraform="t", version=0, fields={"uses": "id"})
    uses = {"uses": tuple(f"urn:{other}" for other in on)}
    return record(n, inputs={"uses": "id"}, held=held, protect=protect, property_dependencies=uses)


def test_a_protected_sibling_stops_the_replacement_before_the_first_one_is_deleted():
    records = [record(0), dependent(1, 0), dependent(2, 0, protect=True)]
    worker: Any = Dependents(records)
    with pytest.raises(ResourceProtected, match=r"^2 \(urn:2\) is protected"):
        delete_dependents(worker, records[0], seen=set())
    assert worker.deleted == []


def test_a_dependent_by_two_ways_is_deleted_once_and_after_its_own_dependents():
    records = [record(0), dependent(3, 1, 2), dependent(1, 0), dependent(2, 0)]
    worker: Any = Dependents(records)
    delete_dependents(worker, records[0], seen=set())
    assert worker.deleted == ["urn:3", "urn:1", "urn:2"]


def test_resources_that_depend_on_each_other_are_reported_and_stay():
    gone: list[Record] = []
    report = reporter()
    circle = [record(0, [1]), record(1, [0])]
    delete_all(circle, delete=gone.append, reporter=report, parallel=1, cancelled=lambda: False)
    assert "depend on each other: t 0, t 1" in report.update({}).errors[0]
    assert gone == []


def test_one_protected_resource_stops_all_deletions():
    with pytest.raises(ResourceProtected, match="t 1"):
        refuse_protected([record(0), record(1, protect=True)])


class FakeResources:
    """Knows the real table and a cloud of a few resources, by what finds them."""

    region = "eu-west-1"

    def __init__(self, existing: dict[str, dict[str, Any]]) -> None:
        self.existing = existing
        self.provider = self

    def kind(self, token: str) -> Any:
        row = RESOURCES[token]
        return SimpleNamespace(
            row=row, schema=Schema(name=row.terraform, version=0, block=Block(attributes={}, blocks={}))
        )

    def find(self, schema: Schema, identifier: str) -> Applied:
        return Applied(state=self.existing.get(identifier), private=b"")

    def read(self, schema: Schema, fields: dict[str, Any], private: bytes) -> Applied:
        return Applied(state=self.existing.get(fields["id"]), private=private)

    def completed(self, kind: Any, one: Record, fields: dict[str, Any], private: bytes) -> Record:
        return one.settled(held=Held(terraform="t", version=0, fields=fields, private=private), id=fields["id"])


def recovered(tmp_path: Path, resources: FakeResources, **begun: Any) -> State:
    state = State(tmp_path / "s.json", passphrase="p")
    state.put(Record(urn="urn:pulumi:test::tiny::t::x", name="x", pending="create", **begun))
    recover(state, resources, report=lambda _: None)  # pyright: ignore[reportArgumentType]
    return state


def test_a_creation_that_was_cut_off_is_found_again_by_its_name(tmp_path: Path):
    resources = FakeResources({"reader": {"id": "reader"}})
    state = recovered(tmp_path, resources, type="aws:iam/role:Role", planned={"name": "reader"})
    (found,) = state.resources.values()
    assert (found.pending, found.id) == ("", "reader")


def test_a_creation_that_never_happened_starts_over(tmp_path: Path):
    state = recovered(tmp_path, FakeResources({}), type="aws:iam/role:Role", planned={"name": "reader"})
    (found,) = state.resources.values()
    assert (found.pending, found.held) == ("", None)


def test_a_creation_that_cannot_be_found_is_reported_with_the_command_that_fixes_it(tmp_path: Path):
    with pytest.raises(EngineError, match="forget --stack test --urn 'urn:pulumi:test::tiny::t::x'"):
        recovered(tmp_path, FakeResources({}), type="aws:kms/key:Key", planned={"description": "d"})


def test_a_creation_that_may_be_repeated_starts_over_though_it_cannot_be_found(tmp_path: Path):
    state = recovered(tmp_path, FakeResources({}), type="aws:sns/topicSubscription:TopicSubscription", planned={})
    (found,) = state.resources.values()
    assert found.pending == ""
