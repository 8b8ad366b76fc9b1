"""What a call of the camera's spool costs as events add up: `python benchmarks/camera/spool.py`.

Spools of 1,000, 40,000 and 400,000 events, all of them waiting and all of them forwarded. Each call is measured on all
sizes in turn, round by round, so that a busy neighbour meets all of them: processor time, which does not wait for the
disk, and the time on the clock, which does. Reference: the same row committed to a table without bound, totals or
indexes. Promise: at most twice the processor time of the smallest spool. Nothing is concluded where the same call on
the same spool takes more than twice as long in one round as in another.
"""

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.camera_event import event
from benchmarks.support.figures import Machine, Spread
from camera.delivery.spool import FILE, Spool
from camera.event import new_id

NOW = 1.9e9
PICTURE = bytes(6_000)
MOST_GROWTH = 2.0
NOISE = 2.0
ROUNDS = 5
CALLS = 40


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Medians of `CALLS` calls, a round: milliseconds of processor, and on the clock."""

    cpu: Spread
    wall: Spread


def main() -> None:
    """Measure and print; ends with 1 when the promise is not kept, with 3 when nothing can be concluded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000, 40_000, 400_000])
    sizes: list[int] = parser.parse_args().events
    print(Machine.here())
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name, ExitStack() as open_spools:
        spools: dict[str, list[Spool]] = {}
        for state, forwarded in (("waiting", 0), ("forwarded", 1)):
            for bound, most in (("", 2**40), (", full", None)):
                spools[state + bound] = [
                    open_spools.enter_context(
                        closing(filled(Path(name) / f"{state}{bound}{size}", size, forwarded, most))
                    )
                    for size in sizes
                ]
        bare = open_spools.enter_context(closing(sqlite3.connect(Path(name) / "bare", isolation_level=None)))
        bare.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE events (facts, picture)")
        reference = measured([lambda: commit(bare)])[0]
        bare_cpu, bare_wall = reference.cpu.median, reference.wall.median
        print("milliseconds of processor (and on the clock)")
        print(f"{'commit of the same row, bare':34} {bare_cpu:.3f} ({bare_wall:.2f})")
        found = [
            row(f"{call}, {state}", measured(calls), sizes) for state in spools for call, calls in of(spools[state])
        ]
    noisy = [name for name, _, calm in found if not calm]
    if noisy:
        print(f"Too noisy, nothing concluded: {'; '.join(noisy)}. Run it again on a quiet machine.")
        sys.exit(3)
    grown = [f"{name}: {growth:.1f} ×" for name, growth, _ in found if growth > MOST_GROWTH]
    print(f"broken: {'; '.join(grown)}" if grown else f"kept: no call takes more than {MOST_GROWTH:.0f} × as long")
    sys.exit(1 if grown else 0)


def filled(home: Path, events: int, forwarded: int, most: int | None) -> Spool:
    """Returns a spool with so many events; without `most`, its bound is its size."""
    Spool(home, max_bytes=2**40).close()
    facts = event(NOW).to_json()
    with closing(sqlite3.connect(home / FILE)) as database:
        database.executemany(
            "INSERT INTO events (id, recorded, bytes, camera, facts, forwarded) VALUES (?, ?, 6200, ?, ?, ?)",
            ((new_id(), NOW, "park" if number else "rare", facts, forwarded) for number in range(events)),
        )
        database.commit()
    spool = Spool(home, max_bytes=2**40)
    if most is None:
        most = spool.counts().bytes
    spool.close()
    return Spool(home, max_bytes=most)


def of(spools: Sequence[Spool]) -> list[tuple[str, list[Callable[[], object]]]]:
    """Every call, once a spool."""
    return [
        ("add", [lambda spool=spool: spool.add(event(NOW), PICTURE, now=NOW) for spool in spools]),
        ("waiting", [lambda spool=spool: spool.waiting(16) for spool in spools]),
        ("counts", [lambda spool=spool: spool.counts() for spool in spools]),
        ("begun", [lambda spool=spool: spool.begun(since=NOW + 1) for spool in spools]),
    ]


def measured(calls: Sequence[Callable[[], object]]) -> list[Cost]:
    """All calls in turn, round by round."""
    cpu, wall = np.empty((2, len(calls), ROUNDS))
    for number in range(ROUNDS):
        for place, call in enumerate(calls):
            times = np.array([timed(call) for _ in range(CALLS)])
            cpu[place, number], wall[place, number] = np.median(times, axis=0) * 1000
    return [Cost(cpu=Spread.of(c.tolist()), wall=Spread.of(w.tolist())) for c, w in zip(cpu, wall, strict=True)]


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds of processor, and on the clock."""
    cpu, wall = time.thread_time(), time.perf_counter()
    call()
    return time.thread_time() - cpu, time.perf_counter() - wall


def row(name: str, costs: Sequence[Cost], sizes: Sequence[int]) -> tuple[str, float, bool]:
    """Print a call's costs; gives its name, by how much the largest spool costs more, and whether rounds agree."""
    each = "  ".join(
        f"{size:,}: {cost.cpu.median:.3f} ({cost.wall.median:.2f})" for size, cost in zip(sizes, costs, strict=True)
    )
    growth = costs[-1].cpu.median / costs[0].cpu.median
    print(f"{name:34} {each}  growth {growth:.2f} ×")
    return name, growth, all(cost.cpu.high <= NOISE * cost.cpu.low for cost in costs)


def commit(database: sqlite3.Connection) -> None:
    """What `add` cannot do without."""
    database.execute("INSERT INTO events VALUES (?, ?)", (event(NOW).to_json(), PICTURE))


if __name__ == "__main__":
    main()
