"""100 swaps of the model under full load: `python benchmarks/serving/swap.py`.

`python -m serving` follows a store on this machine. Callers post photos over 8 connections, each its next one as soon
as it was answered, while the channel moves among three versions: back to the one before, which is still in memory, and
to another, which has to be fetched, verified and loaded. The wait of requests that were under way during a swap
(from when the endpoint saw the entry until a quarter of a second after the new version answered) stands beside the
wait in the second before each. Ends with 1 if a request failed, broke off, or was answered by a version that was not
in force, or if a move was not followed.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Latency, Machine
from benchmarks.support.serving.callers import Answers, Callers, per_second
from benchmarks.support.serving.classifier import release
from benchmarks.support.serving.endpoint_fixture import Endpoint, Fixture, endpoint_fixture
from benchmarks.support.serving.in_force import foreign_answers
from registry.version import Version

VERSIONS = 3
MOVES = (1, 0, 2, 1, 2, 0)
"""From the first of three: four have to be loaded, two lead back to what is in memory."""

PROMISE = 2.0
"""p99 during swaps, in p99 before them."""

BEFORE, AFTER = 1.0, 0.25
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Swapped:
    """What callers saw of the swaps."""

    answers: Answers
    swaps: list[dict[str, Any]]
    unfollowed: int

    def split(self) -> tuple[list[float], list[float]]:
        """Waits in seconds: before swaps, and during them."""
        began = self.answers["began"]
        ended = began + self.answers["seconds"]
        before, during = np.zeros(len(began), dtype=bool), np.zeros(len(began), dtype=bool)
        for line in self.swaps[1:]:
            seen, over = line["at"] - line["seconds"], line["at"] + AFTER
            during |= (ended >= seen) & (began <= over)
            before |= (began >= seen - BEFORE) & (ended < seen)
        seconds = self.answers["seconds"]
        return seconds[before & ~during].tolist(), seconds[during].tolist()

    @property
    def failed(self) -> int:
        """Requests without a good answer."""
        return int((self.answers["status"] != 200).sum())


def main() -> int:
    """Swap and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--poll", type=float, default=0.5, help="seconds between two looks at the channel")
    options = parser.parse_args()
    show = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    show.print(str(Machine.here()))
    with tempfile.TemporaryDirectory(prefix="petpark-bench-") as name, endpoint_fixture(Path(name)) as at:
        show.print(f"store: {at.title}")
        versions, photo = release(at, VERSIONS)
        with (
            at.endpoint("endpoint", poll_seconds=options.poll) as endpoint,
            Callers(endpoint.port, photo, connections=options.connections) as callers,
        ):
            time.sleep(2 * BEFORE)
            unfollowed = swap(at, endpoint, versions, options.swaps)
            found = Swapped(answers=callers.finish(), swaps=endpoint.log_lines("version active"), unfollowed=unfollowed)
    return report(found, options.connections, show)


def swap(at: Fixture, endpoint: Endpoint, versions: Sequence[Version], swaps: int) -> int:
    """Move and wait until that is followed, repeatedly; how many moves were not."""
    draw = random.Random(7)
    unfollowed = 0
    for number in range(swaps):
        move = at.promote(versions[MOVES[number % len(MOVES)]])
        unfollowed += not endpoint.wait_for(move.number, timeout=TIMEOUT_SECONDS)
        time.sleep(AFTER + BEFORE + draw.random() * 0.3)
    return unfollowed


def report(found: Swapped, connections: int, show: Console) -> int:
    """Print; 1 where the promise of no failed request was not kept."""
    before, during = (Latency.of(waits) for waits in found.split())
    loads = [line["seconds"] for line in found.swaps[1:]]
    rate = per_second(found.answers)
    title = f"{len(loads)} swaps under full load: {connections} connections, {rate:.0f} photos/s"
    table = Table("", "requests", "p50, ms", "p99, ms", title=title, title_justify="left")
    for name, latency in (("in the second before a swap", before), ("during a swap", during)):
        table.add_row(name, f"{latency.n:,}", f"{latency.p50_ms:.1f}", f"{latency.p99_ms:.1f}")
    show.print("", table)
    foreign = foreign_answers(found.answers, found.swaps)
    ratio = during.p99_ms / before.p99_ms
    show.print(
        f"from seeing an entry to answering from it: median {np.median(loads):.2f} s, most {max(loads):.2f} s",
        f"of {len(found.answers):,} requests failed or broken off: {found.failed};"
        f" answered by a version that was not in force: {foreign}; moves not followed: {found.unfollowed}"
        f" (promise: 0, {'kept' if not found.failed + foreign + found.unfollowed else 'missed'})",
        f"p99 during swaps: {ratio:.2f} × p99 before"
        f" (promise: ≤ {PROMISE:g}, {'kept' if ratio <= PROMISE else 'missed'})",
        f"load after {os.getloadavg()[0]:.1f}",
        sep="\n",
    )
    return 1 if found.failed + foreign + found.unfollowed else 0


if __name__ == "__main__":
    sys.exit(main())
