"""Every store call of publish, move, promote, roll back, certify and fetch as the one that fails, in every way.

Enumerated, not sampled: fault number n is tried for every n until the operation makes fewer calls than that.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry.certificates.certificate import Certificates
from registry.channel_policy import ChannelPolicy
from registry.channels.channel import Channel
from registry.channels.promotion import PromotionService
from registry.errors import ChannelMoved, StoreUnavailable
from registry.maintenance.fsck import inspect
from registry.store.memory_store import MemoryStore
from registry.store.object_store import PrunableStore
from registry.version import Version
from registry.versions.catalog import Catalog
from tests.registry.faulty_store import Crashed, Fault, FaultyStore, only_at
from tests.registry.memory_keys import MemorySigner, MemoryVerifier

type NewStore = Callable[[], PrunableStore]

every_fault = pytest.mark.parametrize("fault", list(Fault))


def publish(store: PrunableStore, files: dict[str, Path], *, run: str = "r-1") -> Version:
    return Catalog(store, "pets").publish(
        files, labels=["cat"], metrics={"accuracy": 0.9, "gate_accuracy": 1.0}, lineage={"run": run}
    )


def each_call(new_store: NewStore, fault: Fault, *, calls: int) -> Iterator[tuple[PrunableStore, FaultyStore]]:
    """A fresh store and its faulty face, the fault one call later each time; checks that there are `calls` places."""
    for number in range(calls + 1):
        store = new_store()
        faulty = FaultyStore(store, only_at(number, fault))
        yield store, faulty
        assert (faulty.calls > number) == (number < calls), "every call was met, and none left out"


@contextmanager
def cut_off() -> Generator[None]:
    """The operation may end well or be cut off; no other error is right."""
    with suppress(Crashed, StoreUnavailable):
        yield


@every_fault
def test_a_publish_that_is_cut_off_shows_nothing_or_all_and_its_repetition_succeeds(
    new_store: NewStore, files: dict[str, Path], tmp_path: Path, fault: Fault
) -> None:
    files = {name: files[name] for name in ("model.onnx", "labels.json")}
    # one listing, two blobs, one version object
    for number, (store, faulty) in enumerate(each_call(new_store, fault, calls=4)):
        with cut_off():
            publish(faulty, files)
        catalog = Catalog(store, "pets")
        for visible in catalog.versions():
            catalog.fetch(visible, tmp_path / f"{number}-visible")
        version = publish(store, files)
        assert catalog.versions() == [version]
        catalog.fetch(version, tmp_path / f"{number}-repeated")
        assert inspect(store, "pets", verifier=None, deep=True).sound


@every_fault
def test_a_move_that_is_cut_off_happened_or_not_and_its_repetition_succeeds(
    new_store: NewStore, files: dict[str, Path], fault: Fault
) -> None:
    # one listing, the entry before, the new entry
    for store, faulty in each_call(new_store, fault, calls=3):
        first, second = publish(store, files, run="r-1"), publish(store, files, run="r-2")
        prod = Channel(store, "pets", "prod")
        prod.move(first, by="mia", why="start")
        with cut_off():
            Channel(faulty, "pets", "prod").move(second, by="mia", why="better")
        if prod.after(1) is None:
            prod.move(second, by="mia", why="again", expected=1)
        else:
            with pytest.raises(ChannelMoved, match="better"):
                prod.move(second, by="mia", why="again", expected=1)
        assert [move.version for move in prod.history()] == [1, 2]


@every_fault
def test_a_promotion_that_is_cut_off_happened_or_not_and_leaves_a_sound_registry(
    files: dict[str, Path], fault: Fault
) -> None:
    signer, now = MemorySigner(), datetime(2026, 1, 1, tzinfo=UTC)

    def desk(store: PrunableStore) -> PromotionService:
        return PromotionService(
            catalog=Catalog(store, "pets"), channel=Channel(store, "pets", "prod"),
            certificates=Certificates(store, "pets"), policy=ChannelPolicy(metric="accuracy"),
            verifier=MemoryVerifier(signer),
        )  # fmt: skip

    # the version; its decisions, the channel (a listing and the last each); the version in place; the move; decisions
    for store, faulty in each_call(MemoryStore, fault, calls=9):
        for run in ("r-1", "r-2"):
            Certificates(store, "pets").sign(
                publish(store, files, run=run),
                decision="certified", signer=signer, by="vera", report_sha256=None, expires_at=now + timedelta(1),
                note="",
            )  # fmt: skip
        desk(store).promote(1, by="mia", why="start", now=now)
        with cut_off():
            desk(faulty).promote(2, by="mia", why="better", now=now)
        moves = [move.version for move in Channel(store, "pets", "prod").history()]
        assert moves in ([1], [1, 2])
        assert inspect(store, "pets", verifier=MemoryVerifier(signer)).sound


@every_fault
def test_a_roll_back_that_is_cut_off_happened_or_not(files: dict[str, Path], fault: Fault) -> None:
    # one listing, both entries, the new entry
    for store, faulty in each_call(MemoryStore, fault, calls=4):
        prod = Channel(store, "pets", "prod")
        for run in ("r-1", "r-2"):
            prod.move(publish(store, files, run=run), by="mia", why="forward")
        with cut_off():
            Channel(faulty, "pets", "prod").roll_back(by="mia", why="worse")
        assert [move.version for move in prod.history()] in ([1, 2], [1, 2, 1])


@every_fault
def test_a_decision_that_is_cut_off_was_made_or_not(files: dict[str, Path], fault: Fault) -> None:
    signer, now = MemorySigner(), datetime(2026, 1, 1, tzinfo=UTC)

    def certify(store: PrunableStore) -> None:
        Certificates(store, "pets").sign(
            Catalog(store, "pets").version(1),
            decision="certified", signer=signer, by="vera", report_sha256=None, expires_at=now + timedelta(1), note="",
        )  # fmt: skip

    # the version, one listing, the new entry
    for store, faulty in each_call(MemoryStore, fault, calls=3):
        version = publish(store, files)
        with cut_off():
            certify(faulty)
        certify(store)
        certificates = Certificates(store, "pets")
        assert len(certificates.of(version)) in {1, 2}
        assert certificates.require(version, MemoryVerifier(signer), now=now)


@every_fault
def test_a_fetch_that_is_cut_off_leaves_only_verified_files(
    files: dict[str, Path], tmp_path: Path, fault: Fault
) -> None:
    for number, (store, faulty) in enumerate(each_call(MemoryStore, fault, calls=4)):
        version = publish(store, files)
        folder = tmp_path / f"fetched-{number}"
        with cut_off():
            Catalog(faulty, "pets").fetch(version, folder)
        found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert all(content == files[name].read_bytes() for name, content in found.items())
        assert len(Catalog(store, "pets").fetch(version, folder)) == 4
