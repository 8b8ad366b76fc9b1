"""The garbage collector: removes what nobody needs, and never what somebody is about to need."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from registry.errors import FileForgotten, HistoryBroken, StoreUnavailable
from registry.maintenance.fsck import inspect
from registry.maintenance.garbage_collection import Collector
from registry.store.object_store import PrunableStore
from registry.version import Version
from registry.versions.catalog import LOOK_BACK, Catalog
from registry.versions.upload import GRACE, Sending
from tests.registry.aging_store import AgingStore
from tests.registry.faulty_store import Crashed, Fault, FaultyStore, only_at

LONG = GRACE + timedelta(seconds=5)

type NewStore = Callable[[], PrunableStore]


@pytest.fixture
def aging(store: PrunableStore) -> AgingStore:
    return AgingStore(store)


def publish(store: PrunableStore, files: dict[str, Path], *, run: str = "r-1") -> Version:
    return Catalog(store, "pets").publish(files, labels=["cat"], metrics={}, lineage={"run": run})


def collect(store: PrunableStore) -> int:
    collector = Collector(store, "pets")
    return len(list(collector.collect(collector.find())))


def orphan(store: PrunableStore, files: dict[str, Path]) -> None:
    """A publish that dies between its blobs and its version."""
    Sending(store, "pets").send(files)


def one_request_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call number n of a publish is then the same one every time."""
    for module in ("store.transfer", "versions.upload"):
        monkeypatch.setattr(f"registry.{module}.REQUESTS_AT_ONCE", 1)


def test_what_a_version_uses_stays_however_old(aging: AgingStore, files: dict[str, Path], tmp_path: Path) -> None:
    version = publish(aging, files)
    aging.elapse(LONG)
    assert collect(aging) == 0
    assert len(Catalog(aging, "pets").fetch(version, tmp_path / "fetched")) == len(files)


def test_what_no_version_uses_goes_when_the_grace_is_over_and_not_before(
    aging: AgingStore, files: dict[str, Path]
) -> None:
    orphan(aging, files)
    young = Collector(aging, "pets").find()
    assert (len(young.old), len(young.young), collect(aging)) == (0, 3, 0)
    aging.elapse(LONG)
    old = Collector(aging, "pets").find()
    assert (len(old.old), len(old.young), old.bytes) == (3, 0, len(b"graph") + len(b'["cat","dog"]') + len(b"jpeg"))
    assert collect(aging) == 3
    assert list(aging.keys("pets/")) == []


def test_a_publish_that_was_cut_off_goes_on_within_half_the_grace(aging: AgingStore, files: dict[str, Path]) -> None:
    orphan(aging, files)
    aging.elapse(GRACE / 2 - timedelta(minutes=1))
    version = publish(aging, files)
    aging.elapse(LONG)
    assert collect(aging) == 0
    Catalog(aging, "pets").verify(version)


def test_a_publish_does_not_build_on_bytes_that_the_collector_may_take(
    aging: AgingStore, files: dict[str, Path]
) -> None:
    orphan(aging, files)
    aging.elapse(GRACE / 2 + timedelta(minutes=1))
    with pytest.raises(FileForgotten, match="models gc"):
        publish(aging, files)
    assert Catalog(aging, "pets").versions() == []
    aging.elapse(GRACE / 2)
    collect(aging)
    Catalog(aging, "pets").verify(publish(aging, files))


def test_old_bytes_that_a_version_uses_can_be_used_again(aging: AgingStore, files: dict[str, Path]) -> None:
    labels = {"labels.json": files["labels.json"]}
    publish(aging, labels, run="first")
    for number in range(LOOK_BACK):  # so many that the first is not among those that a publish reads anyway
        publish(aging, {"model.onnx": files["model.onnx"]}, run=f"r-{number}")
    aging.elapse(LONG)
    assert publish(aging, labels, run="last").number == LOOK_BACK + 2


def test_a_publish_that_took_too_long_looks_again(aging: AgingStore, files: dict[str, Path]) -> None:
    times = iter([0.0, GRACE.total_seconds() / 3, 1e6, 1e6 + 1])
    catalog = Catalog(aging, "pets", monotonic=lambda: next(times))
    assert catalog.publish(files, labels=["cat"], metrics={}, lineage={}).number == 1
    assert next(times, None) is None


def test_a_registry_with_a_hole_is_left_alone(aging: AgingStore, files: dict[str, Path]) -> None:
    publish(aging, files, run="r-1")
    publish(aging, {"model.onnx": files["labels.json"]}, run="r-2")
    aging.delete("pets/versions/00000001.json")
    aging.elapse(LONG)
    with pytest.raises(HistoryBroken):
        Collector(aging, "pets").find()


def test_a_version_that_appears_while_the_collector_looks_keeps_its_files(
    aging: AgingStore, files: dict[str, Path]
) -> None:
    """Found as garbage, then sent again by a publisher after another collector had removed it."""
    orphan(aging, files)
    aging.elapse(LONG)
    slow = Collector(aging, "pets")
    garbage = slow.find()
    collect(aging)
    version = publish(aging, files)
    assert list(slow.collect(garbage)) == []
    Catalog(aging, "pets").verify(version)


def test_a_publish_survives_a_collector_between_any_two_of_its_calls(
    new_store: NewStore, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_request_at_a_time(monkeypatch)
    files = {name: files[name] for name in ("model.onnx", "labels.json")}
    for call in range(8):
        aging = AgingStore(new_store())
        orphan(aging, files)
        aging.elapse(LONG)
        slow = FaultyStore(aging, only_at(call, Fault.SLOW), meanwhile=partial(collect, aging))
        try:
            version = publish(slow, files)
        except FileForgotten:
            assert Catalog(aging, "pets").versions() == []
        else:
            Catalog(aging, "pets").fetch(version, tmp_path / f"{call}")


@pytest.mark.parametrize("share", [40, 20, 10, 5])
def test_a_publish_whose_every_call_is_slow_ends_whole_or_not_at_all(
    aging: AgingStore, files: dict[str, Path], share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call takes that share of the grace, and a collector comes by each time."""
    one_request_at_a_time(monkeypatch)
    seconds = 0.0

    def meanwhile() -> None:
        nonlocal seconds
        aging.elapse(GRACE / share)
        seconds += (GRACE / share).total_seconds()
        collect(aging)

    orphan(aging, files)
    aging.elapse(GRACE * 0.45)
    slow = FaultyStore(aging, lambda _: Fault.SLOW, meanwhile=meanwhile)
    catalog = Catalog(slow, "pets", monotonic=lambda: seconds)
    with suppress(FileForgotten):
        catalog.publish(files, labels=["cat"], metrics={}, lineage={})
    for version in Catalog(aging, "pets").versions():
        Catalog(aging, "pets").verify(version)


@pytest.mark.parametrize("fault", list(Fault))
def test_a_collection_that_is_cut_off_at_any_call_loses_nothing_and_its_repetition_finishes(
    new_store: NewStore, files: dict[str, Path], tmp_path: Path, fault: Fault
) -> None:
    # find: blobs, versions (a listing, the version); collect: versions again; each of two blobs: looked at, removed
    kept = {"model.onnx": files["model.onnx"]}
    lost = {"labels.json": files["labels.json"], "probes/0.jpg": files["probes/0.jpg"]}
    for call in range(10):
        aging = AgingStore(new_store())
        version = publish(aging, kept)
        orphan(aging, lost)
        aging.elapse(LONG)
        faulty = FaultyStore(aging, only_at(call, fault))
        with suppress(Crashed, StoreUnavailable):
            collect(faulty)
        assert (faulty.calls > call) == (call < 9), "every call was met, and none left out"
        Catalog(aging, "pets").fetch(version, tmp_path / f"{call}")
        collect(aging)
        found = inspect(aging, "pets", verifier=None)
        assert (found.sound, found.unused) == (True, 0)
