"""From a decision to the last endpoint that acts on it: `python benchmarks/serving/rollback.py`.

Four endpoints, `python -m serving` each, follow one channel with the default polling of 2 s. Measured from the return
of the move until an endpoint says that it serves the new entry and a photo is really answered by that version; of four
the last counts. Promotions bring a version that no endpoint has in memory. Times are judged, but depend on the machine;
ends with 1 if an endpoint did not follow at all.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Machine
from benchmarks.support.serving.classifier import release
from benchmarks.support.serving.endpoint_fixture import Endpoint, Fixture, endpoint_fixture
from registry.channels.channel import ChannelEntry
from registry.version import Version

PROMISE = 5.0
TIMEOUT_SECONDS = 60.0
POLL = 2.0
VERSIONS = 4


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--endpoints", type=int, default=4)
    options = parser.parse_args()
    show = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    show.print(str(Machine.here()))
    with tempfile.TemporaryDirectory(prefix="petpark-bench-") as name, ExitStack() as running:
        at = running.enter_context(endpoint_fixture(Path(name)))
        show.print(f"store: {at.title}")
        versions, photo = release(at, VERSIONS)
        endpoints = [
            running.enter_context(at.endpoint(f"endpoint-{number}", poll_seconds=POLL))
            for number in range(options.endpoints)
        ]
        promotions, roll_backs = measure(at, endpoints, versions, photo.read_bytes(), options.trials)
    return report({"promote": promotions, "roll back": roll_backs}, options.endpoints, show)


def measure(
    at: Fixture, endpoints: Sequence[Endpoint], versions: Sequence[Version], photo: bytes, trials: int
) -> tuple[list[list[float]], list[list[float]]]:
    """Seconds until each endpoint acted, of each promotion and of each roll back."""
    promotions: list[list[float]] = []
    roll_backs: list[list[float]] = []
    draw = random.Random(7)
    with ThreadPoolExecutor(len(endpoints)) as watchers:

        def watch(move: ChannelEntry) -> list[float]:
            returned = time.monotonic()
            return list(watchers.map(lambda endpoint: acts(endpoint, move, photo, since=returned), endpoints))

        for trial in range(trials):
            time.sleep(draw.random() * POLL)
            # Three in turns beside the first: what is promoted now left memory two moves ago.
            promotions.append(watch(at.promote(versions[1 + trial % (len(versions) - 1)])))
            time.sleep(draw.random() * POLL)
            roll_backs.append(watch(at.channel.roll_back(by="benchmark", why="to measure it")))
    return promotions, roll_backs


def acts(endpoint: Endpoint, move: ChannelEntry, photo: bytes, *, since: float) -> float:
    """Seconds from `since` until `endpoint` says and shows that it follows `move`; infinite where it does not."""
    if not endpoint.wait_for(move.number, timeout=TIMEOUT_SECONDS) or endpoint.classify(photo) != move.version:
        return float("inf")
    return time.monotonic() - since


def report(found: dict[str, list[list[float]]], endpoints: int, show: Console) -> int:
    """Print; 1 where an endpoint did not follow."""
    trials = len(found["promote"])
    title = f"{trials} times each, {endpoints} endpoints that poll every {POLL:g} s: seconds until the last one answers"
    table = Table("", "median", "least", "most", "median of each", title=title, title_justify="left")
    worst = 0.0
    for name, times in found.items():
        last = [max(each) for each in times]
        each = statistics.median(seconds for trial in times for seconds in trial)
        worst = max(worst, *last)
        table.add_row(name, *(f"{value:.2f}" for value in (statistics.median(last), min(last), max(last), each)))
    show.print("", table)
    show.print(f"worst of all: {worst:.2f} s (promise: ≤ {PROMISE:g} s, {'kept' if worst <= PROMISE else 'missed'})")
    show.print(f"load after {os.getloadavg()[0]:.1f}")
    return 1 if worst == float("inf") else 0


if __name__ == "__main__":
    sys.exit(main())
