"""Many writers at once: one winner for each number, nothing lost, nothing twice."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from registry.certificates.certificate import Certificates
from registry.channels.channel import Channel, ChannelEntry
from registry.errors import ChannelMoved, StoreUnavailable
from registry.store.memory_store import MemoryStore
from registry.store.object_store import ObjectStore, PrunableStore
from registry.store.s3_store import S3Store
from registry.version import Version
from registry.versions.catalog import Catalog
from tests.folder_store import FolderStore
from tests.registry.conftest import S3Server
from tests.registry.faulty_store import FaultyStore, at_random
from tests.registry.memory_keys import MemorySigner
from tests.registry.racing_process import open_store

WRITERS = 8
STORES = ("memory", "s3")


def together[T](work: Callable[[int], T]) -> list[T]:
    """The work of all writers, started at the same moment."""
    barrier = Barrier(WRITERS)

    def start(writer: int) -> T:
        barrier.wait(timeout=60)
        return work(writer)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(start, range(WRITERS)))


def publish(store: ObjectStore, files: dict[str, Path], *, run: str) -> Version:
    return Catalog(store, "pets").publish(files, labels=["cat"], metrics={}, lineage={"run": run})


@pytest.mark.parametrize("lossy", [False, True], ids=["", "answers get lost"])
def test_a_promotion_race_has_one_winner_for_each_number(
    store: PrunableStore, files: dict[str, Path], lossy: bool
) -> None:
    version = publish(store, files, run="r-1")
    rounds = (5 if lossy else 20) if isinstance(store, MemoryStore) else 1

    def move_once(channel: Channel, writer: int) -> ChannelEntry:
        while True:
            with suppress(ChannelMoved, StoreUnavailable):
                return channel.move(version, by=f"writer-{writer}", why="now me")

    def move(writer: int) -> list[ChannelEntry]:
        flaky = FaultyStore(store, at_random(seed=writer, rate=0.1 if lossy else 0.0))
        return [move_once(Channel(flaky, "pets", "prod"), writer) for _ in range(rounds)]

    won = [move for moves in together(move) for move in moves]
    history = Channel(store, "pets", "prod").history()  # verifies that it is gapless and chained
    assert len({move.number for move in won}) == len(won) == WRITERS * rounds
    assert all(history[move.number - 1] == move for move in won), "each success is there, exactly where it said"
    if not lossy:
        assert len(history) == len(won), "and nothing else is"


def test_publishers_at_once_get_different_numbers(store: PrunableStore, files: dict[str, Path]) -> None:
    versions = together(lambda writer: publish(store, files, run=f"r-{writer}"))
    assert sorted(version.number for version in versions) == list(range(1, WRITERS + 1))
    assert Catalog(store, "pets").versions() == sorted(versions, key=lambda version: version.number)


def test_publishers_of_the_same_content_at_once_get_the_same_version(
    store: PrunableStore, files: dict[str, Path]
) -> None:
    versions = together(lambda _: publish(store, files, run="r-1"))
    assert {version.number for version in versions} == {1}
    assert len(Catalog(store, "pets").versions()) == 1


def test_revocations_at_once_all_land(store: PrunableStore, files: dict[str, Path]) -> None:
    version, signer = publish(store, files, run="r-1"), MemorySigner()

    def revoke(writer: int) -> int:
        return Certificates(store, "pets").sign(
            version,
            decision="revoked", signer=signer, by=f"vera-{writer}", report_sha256=None, note="",
            expires_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(1),
        ).number  # fmt: skip

    assert sorted(together(revoke)) == list(range(1, WRITERS + 1))
    assert len(Certificates(store, "pets").of(version)) == WRITERS


# --- processes ---


def race(place: str, folder: Path, *, writers: int, attempts: int, followers: int, fault_rate: float = 0.0) -> None:
    """Let processes race for one channel, and hold what each of them says against the history."""
    stop = folder / "stop"
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}

    def start(name: str, *work: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.registry.racing_process", place, name, str(folder / name), *work]
        return subprocess.Popen(command, cwd=Path(__file__).parents[2], env=environment)

    with ExitStack() as running:
        following = [running.enter_context(start(f"follower-{n}", "follow", str(stop))) for n in range(followers)]
        writing = [
            running.enter_context(start(f"writer-{n}", "write", str(attempts), str(fault_rate))) for n in range(writers)
        ]
        running.callback(lambda: [process.kill() for process in (*writing, *following)])
        assert [process.wait(timeout=200) for process in writing] == [0] * writers
        stop.touch()
        assert [process.wait(timeout=60) for process in following] == [0] * followers

    def events_of(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (folder / name).read_text().splitlines()]

    history = Channel(open_store(place), "pets", "prod").history()  # verifies that it is gapless and chained
    tries = [line for n in range(writers) for line in events_of(f"writer-{n}")]
    assert len(tries) == writers * attempts
    places: dict[str, list[int]] = {}
    for move in history:
        places.setdefault(move.why, []).append(move.number)
    for line in tries:
        if "won" in line:
            assert places[line["won"]] == [line["number"]], "a success is there, exactly once, where it said"
        elif "lost" in line:
            assert line["lost"] not in places, "a lost race left nothing"
        else:
            assert len(places.get(line["unknown"], ())) <= 1
    assert len(history) == sum("won" in line or line.get("unknown") in places for line in tries), "and nothing else is"
    for n in range(followers):
        seen = events_of(f"follower-{n}")
        assert [line["saw"] for line in seen] == sorted({line["saw"] for line in seen}), "never backwards"
        assert all(history[line["saw"] - 1].why == line["why"] for line in seen), "and what was really there"
        assert seen[-1]["saw"] == len(history)


def test_moves_by_sixteen_processes_leave_a_gapless_history(files: dict[str, Path], tmp_path: Path) -> None:
    # Ten thousand, over an S3 server, are `benchmarks/registry/publish_and_fetch.py`'s.
    place = tmp_path / "store"
    publish(FolderStore(place), files, run="r-1")
    race(str(place), tmp_path, writers=16, attempts=125, followers=2)


def test_so_do_processes_whose_answers_get_lost(files: dict[str, Path], tmp_path: Path) -> None:
    place = tmp_path / "store"
    publish(FolderStore(place), files, run="r-1")
    race(str(place), tmp_path, writers=4, attempts=50, followers=1, fault_rate=0.1)


def test_so_do_processes_on_an_s3_server(
    s3_server: S3Server, s3_store: S3Store, files: dict[str, Path], tmp_path: Path
) -> None:
    publish(s3_store, files, run="r-1")
    race(f"{s3_server.url}#{s3_store._bucket}", tmp_path, writers=3, attempts=15, followers=1)
