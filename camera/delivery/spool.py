"""Events on the local disk until they are uploaded: SQLite with a write-ahead log, one writer, bounded.

An event is committed, flushed to the disk, before `add` returns. Above the bound the oldest events are deleted: first
uploaded ones, then others, which are counted as evicted.
"""

import contextlib
import fcntl
import logging
import sqlite3
import threading
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path

from camera.delivery.spool_schema import (
    HAS_TOTALS,
    MANY_PICTURES_EXPIRE,
    MANY_RECORDED_NOW,
    MANY_REMOVED,
    SCHEMA,
    TOTALS,
    TOTALS_OF_ALL,
)
from camera.event import Event, EventMalformed

logger = logging.getLogger(__name__)

FILE = "events.sqlite"
_LOCK = "agent.lock"
_LOCK_TIMEOUT_SECONDS = 10.0
"""Seconds that a statement waits for a reading process."""
_ROW_BYTES = 64
"""Bytes of a row in addition to its text and picture."""

_AT_ONCE = 200
"""Rows per transaction of retention; events can be added between transactions."""


class SpoolInUse(Exception):
    """Another agent writes to this folder."""


class SpoolUnusable(Exception):
    """The folder or its database cannot be read or written; the message has the next step."""


class SpoolClosed(Exception):
    """The spool was closed, because the agent stops."""

    def __init__(self) -> None:
        super().__init__("The camera agent has ended. `petpark camera events` reads what it recorded.")


class EventTooLarge(ValueError):
    """An event is larger than the spool's bound."""


@dataclass(frozen=True, kw_only=True)
class Spooled:
    """An event in the spool. `sequence` always increases; a gap in the data lake is an evicted event."""

    sequence: int
    event: Event
    picture: bytes | None
    forwarded: bool
    recorded: float


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A row of the spool that is not a valid event; `problem` is the reason."""

    sequence: int
    problem: str


@dataclass(frozen=True, kw_only=True)
class SpoolCounts:
    """The current content of the spool, and its counters since its creation."""

    waiting: int
    kept: int
    bytes: int
    evicted: int
    pictures_expired: int
    forwarded: int

    def to_dict(self) -> dict[str, int]:
        """Returns it as JSON."""
        return asdict(self)


class Spool:
    """The agent's spool. Thread-safe; every method raises `SpoolClosed` after `close`."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        """Open or create it. Raises `SpoolInUse`, `SpoolUnusable`."""
        self._max = max_bytes
        self._mutex = threading.Lock()
        self._closed = False
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = (folder / _LOCK).open("a")
        except OSError as error:
            raise SpoolUnusable(f"{folder}: {error.strerror}. Name a folder that this user may write to.") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise SpoolInUse(f"Another camera agent uses {folder}. Stop it, or use another folder.") from None
        try:
            self._database = _open(folder)
        except sqlite3.Error as error:
            self._lock.close()
            raise _unusable(folder, error) from None

    def add(self, event: Event, picture: bytes | None, *, now: float) -> int:
        """Commit an event. Returns its sequence number. Raises `EventTooLarge`, and `sqlite3.Error` for a full disk."""
        facts = event.to_json()
        size = _ROW_BYTES + len(facts.encode()) + len(picture or b"")
        if size > self._max:
            raise EventTooLarge(f"an event of {size:,} bytes does not fit into a spool of {self._max:,}")
        with self._transaction() as database:
            self._evict(database, self._max - size)
            row = (event.id, now, size, event.camera, facts, picture)
            cursor = database.execute(
                "INSERT INTO events (id, recorded, bytes, camera, facts, picture) VALUES (?, ?, ?, ?, ?, ?)", row
            )
            return cursor.lastrowid or 0

    def waiting(self, count: int) -> list[Spooled]:
        """Returns the oldest events that were not uploaded yet, in the order in which they were added.

        Invalid rows are skipped, so that they block nothing. They are kept as long as uploaded events.
        """
        which = "WHERE forwarded = 0 ORDER BY sequence LIMIT ?"
        with self._opened() as database:
            events, others = _rows(database, which, (count,))
        while others:
            for other in others:
                logger.error("invalid event, set aside", extra={"sequence": other.sequence, "reason": other.problem})
                with self._transaction() as database:
                    database.execute("UPDATE events SET forwarded = 2 WHERE sequence = ?", (other.sequence,))
            with self._opened() as database:
                events, others = _rows(database, which, (count,))
        return events

    def confirm(self, sequence: int) -> None:
        """Mark an event as uploaded."""
        with self._transaction() as database:
            changed = database.execute(
                "UPDATE events SET forwarded = 1 WHERE sequence = ? AND forwarded = 0", (sequence,)
            ).rowcount
            _count(database, "forwarded", changed)

    def forget(self, *, before: float, now: float) -> None:
        """Delete events recorded before this time; of events that wait for upload, only the picture.

        Events with a future time were recorded before a clock was set back; their retention starts now.
        """
        self._in_pieces(MANY_RECORDED_NOW, {"now": now})
        self._in_pieces(MANY_REMOVED, {"before": before})
        self._in_pieces(MANY_PICTURES_EXPIRE, {"before": before}, counter="pictures_expired")
        with self._opened() as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def counts(self) -> SpoolCounts:
        """Returns content and counters."""
        with self._opened() as database:
            return _counts(database)

    def begun(self, *, since: float) -> dict[str, int]:
        """Returns the number of visits of each camera that began since this time and are still in the spool."""
        with self._opened() as database:
            rows = database.execute(
                # Named explicitly: the planner would use `by_camera` for the groups, and read every event.
                "SELECT camera, count(*) FROM events INDEXED BY by_beginning "
                "WHERE recorded >= ? AND json_extract(facts, '$.kind') = 'began' GROUP BY camera",
                (since,),
            )
            return dict(rows.fetchall())

    def close(self) -> None:
        """Release the lock after the running call. Writers must have stopped before: see `Agent`."""
        with self._mutex:
            self._closed = True
            self._database.close()
            self._lock.close()

    def _evict(self, database: sqlite3.Connection, most: int) -> None:
        (used,) = database.execute("SELECT bytes FROM totals").fetchone()
        while used > most:
            sequence, size, forwarded = _first_to_go(database)
            database.execute("DELETE FROM events WHERE sequence = ?", (sequence,))
            used -= size
            if not forwarded:
                _count(database, "evicted", 1)

    def _in_pieces(self, statement: str, values: dict[str, float], *, counter: str | None = None) -> None:
        """Repeat a change of `:most` rows until none is left, so that a new event waits for one transaction only."""
        changed = _AT_ONCE
        while changed == _AT_ONCE:
            with self._transaction() as database:
                changed = database.execute(statement, {**values, "most": _AT_ONCE}).rowcount
                if counter is not None:
                    _count(database, counter, changed)

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._opened() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    @contextlib.contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        with self._mutex:
            if self._closed:
                raise SpoolClosed
            yield self._database


def read_events(folder: Path, *, count: int, camera: str | None = None) -> tuple[list[Spooled], list[Unreadable]]:
    """Returns the newest events, newest first, and invalid rows among them. Works next to a running agent.

    Raises `SpoolUnusable`.
    """
    with _reading(folder) as database:
        if camera is None:
            return _rows(database, "ORDER BY sequence DESC LIMIT ?", (count,))
        return _rows(database, "WHERE camera = ? ORDER BY sequence DESC LIMIT ?", (camera, count))


def read_counts(folder: Path) -> SpoolCounts:
    """Returns content and counters of a spool. Works next to a running agent. Raises `SpoolUnusable`."""
    with _reading(folder) as database:
        return _counts(database)


@contextlib.contextmanager
def _reading(folder: Path) -> Generator[sqlite3.Connection]:
    path = folder / FILE
    if not path.is_file():
        raise SpoolUnusable(f"{folder} has no events: no camera agent has recorded there. Pass its folder: --home.")
    try:
        with contextlib.closing(_connect(f"{path.resolve().as_uri()}?mode=ro")) as database:
            yield database
    except sqlite3.Error as error:
        raise _unusable(folder, error) from None


def _open(folder: Path) -> sqlite3.Connection:
    database = _connect(f"{(folder / FILE).resolve().as_uri()}?mode=rwc")
    try:
        # Committed events must survive a power cut; deleted ones must not stay in the file.
        database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;")
        database.executescript(SCHEMA)
        if database.execute(HAS_TOTALS).fetchone() is None:
            database.executescript(TOTALS)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)


def _unusable(folder: Path, error: sqlite3.Error) -> SpoolUnusable:
    return SpoolUnusable(
        f"The spool in {folder} cannot be used: {error}. If its file is damaged, move {FILE}* away and restart; "
        "uploaded events are in the data lake."
    )


def _count(database: sqlite3.Connection, name: str, more: int) -> None:
    database.execute("UPDATE counters SET value = value + ? WHERE name = ?", (more, name))


def _first_to_go(database: sqlite3.Connection) -> tuple[int, int, int]:
    """Number, size and state of the oldest uploaded or invalid event, else of the oldest waiting one.

    One query per state: no index has the order "uploaded first, then by age", and sorting would read all rows.
    """
    for forwarded in (1, 2, 0):
        found = database.execute(
            "SELECT sequence, bytes, forwarded FROM events WHERE forwarded = ? ORDER BY sequence LIMIT 1", (forwarded,)
        ).fetchone()
        if found is not None:
            return found
    raise sqlite3.DatabaseError("the totals count events that do not exist")


def _counts(database: sqlite3.Connection) -> SpoolCounts:
    known = database.execute(HAS_TOTALS).fetchone()
    waiting, kept, size = database.execute(
        "SELECT waiting, kept, bytes FROM totals"
        if known
        else TOTALS_OF_ALL  # none yet: the spool of an earlier version of petpark
    ).fetchone()
    counters = dict(database.execute("SELECT name, value FROM counters"))
    return SpoolCounts(waiting=waiting, kept=kept, bytes=size, **counters)


def _rows(
    database: sqlite3.Connection, which: str, values: tuple[object, ...]
) -> tuple[list[Spooled], list[Unreadable]]:
    events: list[Spooled] = []
    others: list[Unreadable] = []
    columns = "SELECT sequence, facts, picture, forwarded, recorded FROM events "
    for sequence, facts, picture, forwarded, recorded in database.execute(columns + which, values):
        try:
            event = Event.from_json(str(facts))
        except EventMalformed as error:
            others.append(Unreadable(sequence=sequence, problem=str(error)))
            continue
        sent = forwarded == 1
        events.append(Spooled(sequence=sequence, event=event, picture=picture, forwarded=sent, recorded=recorded))
    return events, others
