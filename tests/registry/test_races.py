"""Many writers at once: one winner for each number, nothing lost, nothing twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from registry.catalog import Catalog
from registry.certificate import Certificates
from registry.channel import Channel, Move
from registry.errors import ChannelMoved, StoreUnavailable
from registry.faulty_store import FaultyStore, at_random
from registry.object_store import MemoryStore, ObjectStore
from registry.signing import MemorySigner
from registry.version import Version

WRITERS = 8


def together[T](work: Callable[[int], T]) -> list[T]:
    """The work of all writers, started at the same moment."""
    barrier = Barrier(WRITERS)

    def start(writer: int) -> T:
        barrier.wait(timeout=10)
        return work(writer)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(start, range(WRITERS)))


def publish(store: ObjectStore, files: dict[str, Path], *, run: str) -> Version:
    return Catalog(store, "pets").publish(files, labels=["cat"], metrics={}, lineage={"run": run})


@pytest.mark.parametrize("lossy", [False, True], ids=["", "answers get lost"])
def test_a_promotion_race_has_one_winner_for_each_number(
    store: ObjectStore, files: dict[str, Path], lossy: bool
) -> None:
    version = publish(store, files, run="r-1")
    rounds = 20 if isinstance(store, MemoryStore) else 1

    def move_once(channel: Channel, writer: int) -> Move:
        while True:
            with suppress(ChannelMoved, StoreUnavailable):
                return channel.move(version, by=f"writer-{writer}", why="now me")

    def move(writer: int) -> list[Move]:
        flaky = FaultyStore(store, at_random(seed=writer, rate=0.1 if lossy else 0.0))
        return [move_once(Channel(flaky, "pets", "prod"), writer) for _ in range(rounds)]

    won = [move for moves in together(move) for move in moves]
    history = Channel(store, "pets", "prod").history()  # verifies that it is gapless and chained
    assert len({move.number for move in won}) == len(won) == WRITERS * rounds
    assert all(history[move.number - 1] == move for move in won), "each success is there, exactly where it said"
    if not lossy:
        assert len(history) == len(won), "and nothing else is"


def test_publishers_at_once_get_different_numbers(store: ObjectStore, files: dict[str, Path]) -> None:
    versions = together(lambda writer: publish(store, files, run=f"r-{writer}"))
    assert sorted(version.number for version in versions) == list(range(1, WRITERS + 1))
    assert Catalog(store, "pets").versions() == sorted(versions, key=lambda version: version.number)


def test_publishers_of_the_same_content_at_once_get_the_same_version(
    store: ObjectStore, files: dict[str, Path]
) -> None:
    versions = together(lambda _: publish(store, files, run="r-1"))
    assert {version.number for version in versions} == {1}
    assert len(Catalog(store, "pets").versions()) == 1


def test_revocations_at_once_all_land(store: ObjectStore, files: dict[str, Path]) -> None:
    version, signer = publish(store, files, run="r-1"), MemorySigner()

    def revoke(writer: int) -> int:
        return Certificates(store, "pets").sign(
            version,
            decision="revoked", signer=signer, by=f"vera-{writer}", report_sha256=None, note="",
            expires_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(1),
        ).number  # fmt: skip

    assert sorted(together(revoke)) == list(range(1, WRITERS + 1))
    assert len(Certificates(store, "pets").of(version)) == WRITERS
