"""What is committed stays: below the bound, through retention, and when the writer is killed at any moment."""

import contextlib
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from camera.delivery import spool as spool_module
from camera.delivery.spool import (
    FILE,
    EventTooLarge,
    Spool,
    SpoolClosed,
    SpoolInUse,
    SpoolUnusable,
    read_counts,
    read_events,
)
from camera.delivery.spool_schema import TOTALS_OF_ALL
from tests.camera.delivery.spooling import MANY, event
from tests.examples import examples

ROOT = Path(__file__).parents[3]
HOUR = 3600.0


class SpoolAgainstAList(RuleBasedStateMachine):
    """The spool holds what a list would hold that drops its oldest, forwarded ones first, above the bound."""

    BOUND = 20_000

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.spool = Spool(Path(self.folder.name), max_bytes=self.BOUND)
        self.added: list[int] = []
        self.confirmed: set[int] = set()

    @rule(size=st.integers(0, 6_000))
    def add(self, size):
        number = len(self.added) + 1
        assert self.spool.add(event(number), bytes(size), now=float(number)) == number
        self.added.append(number)

    @rule(data=st.data())
    def confirm(self, data):
        waiting = self.spool.waiting(3)
        if waiting:
            chosen = data.draw(st.sampled_from(waiting))
            self.spool.confirm(chosen.sequence)
            self.confirmed.add(chosen.sequence)

    @rule(before=st.integers(0, 60))
    def forget(self, before):
        self.spool.forget(before=float(before), now=1e9)

    @rule()
    def reopen(self):
        self.spool.close()
        self.spool = Spool(Path(self.folder.name), max_bytes=self.BOUND)

    @invariant()
    def it_is_bounded_and_loses_only_the_oldest_and_counts_them(self):
        counts = self.spool.counts()
        assert counts.bytes <= self.BOUND
        waiting = [spooled.sequence for spooled in self.spool.waiting(1000)]
        unconfirmed = [number for number in self.added if number not in self.confirmed]
        assert waiting == unconfirmed[len(unconfirmed) - len(waiting) :]
        assert counts.evicted == len(unconfirmed) - len(waiting)
        assert counts.forwarded == len(self.confirmed)

    @invariant()
    def the_totals_are_those_of_the_rows(self):
        counts = self.spool.counts()
        with contextlib.closing(sqlite3.connect(Path(self.folder.name) / FILE)) as database:
            assert database.execute(TOTALS_OF_ALL).fetchone() == (counts.waiting, counts.kept, counts.bytes)

    def teardown(self):
        self.spool.close()
        self.folder.cleanup()


SpoolAgainstAList.TestCase.settings = settings(max_examples=examples(15), stateful_step_count=25)
TestSpoolAgainstAList = SpoolAgainstAList.TestCase


def test_forwarded_events_make_room_before_any_that_waits_is_lost(tmp_path):
    spool = Spool(tmp_path, max_bytes=10_000)
    for number in (1, 2, 3):
        spool.add(event(number), bytes(2_000), now=0)
    spool.confirm(3)
    spool.add(event(4), bytes(2_000), now=0)
    spool.add(event(5), bytes(2_000), now=0)
    assert [spooled.sequence for spooled in spool.waiting(9)] == [1, 2, 4, 5]
    assert spool.counts().evicted == 0
    spool.close()


def test_an_event_larger_than_the_whole_spool_is_refused_and_nothing_is_lost_for_it(tmp_path):
    spool = Spool(tmp_path, max_bytes=2_000)
    spool.add(event(1), b"small", now=0)
    with pytest.raises(EventTooLarge):
        spool.add(event(2), bytes(3_000), now=0)
    assert spool.counts().waiting == 1
    spool.close()


def test_retention_takes_pictures_from_what_waits_and_all_of_what_was_forwarded(tmp_path):
    spool = Spool(tmp_path, max_bytes=MANY)
    for number in (1, 2, 3):
        spool.add(event(number), b"secret picture", now=number * HOUR)
    spool.confirm(1)
    spool.forget(before=2.5 * HOUR, now=4 * HOUR)
    assert [(s.sequence, s.picture) for s in spool.waiting(9)] == [(2, None), (3, b"secret picture")]
    assert spool.counts().pictures_expired == 1
    assert spool.counts().kept == 2
    spool.forget(before=9 * HOUR, now=9 * HOUR)
    assert spool.counts().pictures_expired == 2
    assert b"secret picture" not in b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))
    spool.close()


def test_a_clock_that_was_set_back_does_not_keep_pictures_for_longer_than_from_now_on(tmp_path):
    spool = Spool(tmp_path, max_bytes=MANY)
    spool.add(event(1), b"picture", now=1e9)
    spool.forget(before=-HOUR, now=0.0)
    spool.forget(before=1.0, now=HOUR)
    assert spool.waiting(1)[0].picture is None
    spool.close()


def test_two_agents_do_not_share_a_folder(tmp_path):
    spool = Spool(tmp_path, max_bytes=MANY)
    with pytest.raises(SpoolInUse, match="Another camera agent"):
        Spool(tmp_path, max_bytes=MANY)
    spool.close()
    Spool(tmp_path, max_bytes=MANY).close()


def test_a_spool_that_was_closed_says_so_to_every_caller(tmp_path):
    spool = Spool(tmp_path, max_bytes=MANY)
    spool.close()
    spool.close()
    for call in (
        lambda: spool.add(event(1), None, now=0),
        lambda: spool.waiting(1),
        lambda: spool.confirm(1),
        lambda: spool.forget(before=0, now=0),
        lambda: spool.begun(since=0),
        spool.counts,
    ):
        with pytest.raises(SpoolClosed, match="petpark camera events"):
            call()


def test_events_are_read_from_beside_a_running_agent(tmp_path):
    spool = Spool(tmp_path, max_bytes=MANY)
    for number in range(1, 6):
        spool.add(event(number, camera="gate" if number % 2 else "pond"), b"", now=0)
    assert [found.sequence for found in read_events(tmp_path, count=2)[0]] == [5, 4]
    assert [found.sequence for found in read_events(tmp_path, count=9, camera="pond")[0]] == [4, 2]
    assert read_counts(tmp_path) == spool.counts()
    spool.close()


def test_a_folder_that_cannot_be_used_is_said_with_what_to_do(tmp_path):
    with pytest.raises(SpoolUnusable, match="--home"):
        read_events(tmp_path, count=1)
    (tmp_path / FILE).write_bytes(b"no database, but long enough to be taken for one" * 100)
    with pytest.raises(SpoolUnusable, match=r"move events.sqlite\* away"):
        Spool(tmp_path, max_bytes=MANY)
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolUnusable, match="Name a folder"):
        Spool(tmp_path / "file", max_bytes=MANY)


def test_a_failed_write_changes_nothing(tmp_path):
    spool = Spool(tmp_path, max_bytes=MANY)
    spool.add(event(1), b"", now=0)
    with pytest.raises(sqlite3.IntegrityError):
        spool.add(event(1), b"", now=0)
    assert spool.add(event(2), b"", now=0) == 2
    spool.close()


WRITER = """
import sys
from pathlib import Path
from camera.delivery.spool import Spool
from tests.camera.delivery.test_spool import event
spool = Spool(Path(sys.argv[1]), max_bytes=int(sys.argv[2]))
for number in range(1, 100_000):
    spool.add(event(number), bytes(5_000), now=0.0)
    if number % 3 == 0:
        spool.confirm(number)
    print(number, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 40])
def test_a_writer_killed_at_any_moment_loses_nothing_that_was_committed(tmp_path, acknowledged):
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(MANY)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        said = [next(writer.stdout) for _ in range(acknowledged)]
        writer.kill()
        last = int([*said, *writer.stdout][-1])
    spool = Spool(tmp_path, max_bytes=MANY)
    found = {spooled.event.id for spooled in read_events(tmp_path, count=100_000)[0]}
    assert {event(number).id for number in range(1, last + 1)} <= found
    assert len(found) <= last + 1
    counts = spool.counts()
    assert counts.forwarded in {last // 3, (last + 1) // 3}
    assert (counts.kept, counts.waiting) == (len(found), len(found) - counts.forwarded)
    spool.close()


class Steps:
    """How many instructions SQLite's machine runs for each call, in hundreds: a measure that no other load changes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, max_bytes: int) -> None:
        self._now = 0
        connect = spool_module._connect  # pyright: ignore[reportPrivateUsage]

        def connect_and_count(uri: str) -> sqlite3.Connection:
            database = connect(uri)
            database.set_progress_handler(self._step, 100)
            return database

        with monkeypatch.context() as patch:
            patch.setattr(spool_module, "_connect", connect_and_count)
            self.of: dict[str, int] = {}
            spool = self._count("open", lambda: Spool(folder, max_bytes=max_bytes))
            self._count("add", lambda: spool.add(event(10**6), bytes(500), now=2e6))
            self._count("waiting", lambda: spool.waiting(1))
            self._count("counts", spool.counts)
            self._count("begun", lambda: spool.begun(since=1e6))
            self._count("forget", lambda: spool.forget(before=0.0, now=1e8))
            self._count("read_counts", lambda: read_counts(folder))
            self._count("read_events", lambda: read_events(folder, count=1))
            self._count("read_events of a camera", lambda: read_events(folder, count=9, camera="rare"))
        self.bytes = spool.counts().bytes
        spool.close()

    def _count[R](self, name: str, call: Callable[[], R]) -> R:
        before, result = self._now, call()
        self.of[name] = self._now - before
        return result

    def _step(self) -> int:
        self._now += 1
        return 0


@pytest.mark.parametrize("forwarded", [0, 1])
def test_no_call_does_more_work_in_a_full_spool_of_twenty_thousand_events(tmp_path, monkeypatch, forwarded):
    few = Steps(monkeypatch, tmp_path / "few", MANY)
    spool = Spool(tmp_path / "many", max_bytes=MANY)
    spool.add(event(1, "rare"), bytes(500), now=1.0)
    with contextlib.closing(sqlite3.connect(tmp_path / "many" / FILE)) as database:
        facts = event(1).to_json()
        database.executemany(
            "INSERT INTO events (id, recorded, bytes, camera, facts, forwarded) VALUES (?, ?, ?, 'gate', ?, ?)",
            ((f"{number:032x}", 10.0, 1_000, facts, forwarded) for number in range(10, 20_010)),
        )
        database.commit()
    full = spool.counts().bytes
    spool.close()
    many = Steps(monkeypatch, tmp_path / "many", full)
    assert many.bytes <= full
    more = {name: (few.of[name], steps) for name, steps in many.of.items() if steps > few.of[name] + 5}
    assert not more
