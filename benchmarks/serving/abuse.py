"""Twenty kinds of bad callers and more against one endpoint: `python benchmarks/serving/abuse.py`.

`python -m serving` answers good callers, at a share of its full load, in quiet and in abused times by turns. In abused
times every kind of `benchmarks.support.serving.abuse` goes on at once, each from an address of its own: connections
that are opened and left, HTTP/2, broken HTTP, bombs, bodies that never end, answers that nobody reads. Promise: no good
request fails, the good callers' p99 is at most 3 × that of quiet times, and resident memory at most 1.5 × the most of
quiet times. Each abused time is compared with the quiet ones before and after it. Ends with 1 where a promise is
missed, or a bad caller met something else than it must; with 3 where the 95 % interval of the ratio of p99 reaches over
the promise on both sides, for then others use too much of the machine to say.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Latency, Machine, Spread, median_interval
from benchmarks.support.service import cpu_seconds, machine_cpu_seconds, tree
from benchmarks.support.serving.abuse import Abuse, kinds
from benchmarks.support.serving.callers import Answers, Callers, call_for, per_second
from benchmarks.support.serving.classifier import release
from benchmarks.support.serving.endpoint_fixture import Endpoint, endpoint_fixture

SLOWER, LARGER = 3.0, 1.5
CONNECTIONS = 8
SAMPLE_EVERY = 0.1


@dataclass(kw_only=True)
class Times:
    """Quiet or abused times: when they were, and the most memory that the endpoint had in each, in MB."""

    spans: list[tuple[float, float]] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    """Share of the processors that none of our processes used, by span."""

    def waits(self, answers: Answers) -> list[list[float]]:
        """Seconds that good callers waited, by span."""
        began = answers["began"]
        return [answers["seconds"][(began >= begin) & (began < end)].tolist() for begin, end in self.spans]

    def watch(self, endpoint: Endpoint, seconds: float) -> None:
        """Let a span pass."""
        begin, most = time.time(), 0.0
        others = _others_cpu_seconds()
        while time.time() < begin + seconds:
            most = max(most, endpoint.resident_mb())
            time.sleep(SAMPLE_EVERY)
        self.spans.append((begin, time.time()))
        self.memory.append(most)
        cores = len(os.sched_getaffinity(0))
        self.others.append((_others_cpu_seconds() - others) / (time.time() - begin) / cores)


def _others_cpu_seconds() -> float:
    return machine_cpu_seconds() - sum(map(cpu_seconds, tree(os.getpid())))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What good callers and the machine saw, and the ends that bad callers met."""

    answers: Answers
    quiet: Times
    abused: Times
    met: Counter[tuple[str, str]]
    unexpected: Sequence[str]

    @property
    def failed(self) -> int:
        """Requests of good callers without a good answer."""
        return int((self.answers["status"] != 200).sum())


def main() -> int:
    """Abuse and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6, help="at least 6, or nothing is concluded")
    parser.add_argument("--seconds", type=float, default=10, help="of each quiet and each abused time")
    parser.add_argument("--share", type=float, default=0.3, help="of the full load, measured before, by good callers")
    parser.add_argument("--every", type=float, default=1, help="seconds between two acts of one kind")
    options = parser.parse_args()
    show = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    show.print(str(Machine.here()))
    with tempfile.TemporaryDirectory(prefix="petpark-bench-") as name, endpoint_fixture(Path(name)) as at:
        _, photo = release(at, 1)
        with at.endpoint("endpoint") as endpoint:
            full = per_second(call_for(endpoint.port, photo, connections=CONNECTIONS, seconds=5))
            rate = options.share * full
            show.print(f"full load {full:.0f} photos/s; good callers {rate:.0f}")
            found = abuse(
                endpoint, photo, rate=rate, rounds=options.rounds, seconds=options.seconds, every=options.every
            )
    return report(found, show)


def abuse(endpoint: Endpoint, photo: Path, *, rate: float, rounds: int, seconds: float, every: float) -> Found:
    """Let quiet and abused times take turns."""
    quiet, abused = Times(), Times()
    met: Counter[tuple[str, str]] = Counter()
    unexpected: set[str] = set()
    bad = kinds(photo.read_bytes())
    with Callers(endpoint.port, photo, connections=CONNECTIONS, rate=rate) as callers:
        for _ in range(rounds):
            quiet.watch(endpoint, seconds)
            with Abuse(endpoint.port, bad, every=every) as running:
                abused.watch(endpoint, seconds)
            met += running.met
            unexpected |= set(running.unexpected)
        quiet.watch(endpoint, seconds)
        answers = callers.finish()
    return Found(answers=answers, quiet=quiet, abused=abused, met=met, unexpected=sorted(unexpected))


def report(found: Found, show: Console) -> int:
    """Print what was measured and whether the promise was kept."""
    table = Table("", "requests", "p50, ms", "p99, ms", "by span", "memory, MB", "others, %", title="good callers")
    p99: list[list[float]] = []
    for name, times in (("quiet", found.quiet), ("abused", found.abused)):
        spans = times.waits(found.answers)
        latency = Latency.of(np.concatenate(spans).tolist())
        p99.append([Latency.of(span).p99_ms for span in spans])
        row = (f"{latency.n:,}", f"{latency.p50_ms:.1f}", f"{latency.p99_ms:.1f}", str(Spread.of(p99[-1])))
        table.add_row(name, *row, f"{max(times.memory):.0f}", f"{100 * np.mean(times.others):.0f}")
    show.print("", table)
    ends = Table("bad callers", "met", "times", title=f"{len({name for name, _ in found.met})} kinds")
    for (name, end), times in sorted(found.met.items()):
        ends.add_row(name, end, f"{times:,}")
    show.print("", ends)
    quiet = [(before + after) / 2 for before, after in pairwise(p99[0])]
    slower, low, high = median_interval([abused / usual for abused, usual in zip(p99[1], quiet, strict=True)])
    larger = max(found.abused.memory) / max(found.quiet.memory)
    for what, kept in (
        (f"good requests that failed: {found.failed} (promise: 0)", not found.failed),
        (f"memory: {larger:.2f} × quiet (promise: ≤ {LARGER:g})", larger <= LARGER),
        (f"bad callers that met what they must not: {list(found.unexpected)} (promise: none)", not found.unexpected),
    ):
        show.print(f"{what}: {'kept' if kept else 'missed'}")
    unclear = low <= SLOWER < high
    verdict = "not concluded: it varies too much here" if unclear else "kept" if high <= SLOWER else "missed"
    show.print(
        f"p99 of good callers: {slower:.2f} × quiet ({low:.2f} to {high:.2f}, 95 %; promise: ≤ {SLOWER:g}): {verdict}"
    )
    show.print(f"load after {os.getloadavg()[0]:.1f}")
    if found.failed or larger > LARGER or found.unexpected:
        return 1
    return 3 if unclear else int(low > SLOWER)


if __name__ == "__main__":
    sys.exit(main())
