"""A server among others, each load with its limit, and the conclusions from such pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.support.figures import Spread
from benchmarks.support.service import Service
from benchmarks.support.throughput.limit import Limit, Loops
from benchmarks.support.throughput.peer import Question
from benchmarks.support.throughput.wrk import Load, load

MOST_SPREAD = 1.25
"""Of a limit's rates over the rounds, the highest in the lowest: beyond, others use the processors in turn."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A load, and what loops without a server reached just before it."""

    load: Load
    limit: Limit

    @property
    def share(self) -> float:
        """How much of the limit was reached."""
        return self.load.per_second / self.limit.per_second

    @property
    def over_ms(self) -> float:
        """Median wait beyond that of a loop, in milliseconds."""
        return self.load.p50_ms - self.limit.p50_ms


@dataclass(kw_only=True)
class Contestant:
    """A server and its measurements of each round, by photo and number of connections."""

    name: str
    server: Service
    questions: Mapping[Path, Question]
    way: str = ""
    """How a peer decodes; empty for petpark."""
    pairs: dict[tuple[Path, int], list[Pair]] = field(default_factory=dict[tuple[Path, int], list[Pair]])
    start: list[float] = field(default_factory=list[float])
    memory: list[float] = field(default_factory=list[float])

    def meet(self, loops: Loops, connections: Sequence[int], directory: Path, *, cores: int, seconds: int) -> None:
        """One round with a new process, so that other load affects all."""
        with self.server:
            self.start.append(self.server.start_seconds)
            for photo, question in self.questions.items():
                load(self.server, question, directory, connections=2, seconds=1)  # warms it up
                for count in connections:
                    alone = loops.run(photo, processes=min(count, cores), seconds=seconds)
                    loaded = load(self.server, question, directory, connections=count, seconds=seconds)
                    self.pairs.setdefault((photo, count), []).append(Pair(load=loaded, limit=alone))
            self.memory.append(self.server.usage().pss_mb)

    def shares(self, photo: Path, connections: int) -> list[float]:
        """Of the limit, round by round."""
        return [pair.share for pair in self.pairs[photo, connections]]

    @property
    def failed(self) -> int:
        """Failed requests."""
        return sum(pair.load.failed for pairs in self.pairs.values() for pair in pairs)


def noise(pairs: Mapping[str, Sequence[Pair]]) -> list[str]:
    """Returns why these rounds conclude nothing; empty where the machine was quiet.

    No server is faster than its limit, and a limit is the same each time: otherwise somebody else used the processors.
    """
    reasons: list[str] = []
    for name, seen in pairs.items():
        if beyond := sum(pair.share > 1 for pair in seen):
            reasons.append(f"{name} was faster than its limit in {beyond} of {len(seen)} rounds")
    limits = [pair.limit.per_second for seen in pairs.values() for pair in seen]
    if (spread := max(limits) / min(limits)) > MOST_SPREAD:
        reasons.append(f"the limit moved by {spread:.2f} × (quiet: at most {MOST_SPREAD:g} ×)")
    return reasons


def verdict(values: Sequence[float], *, promise: float, at_least: bool, reasons: Sequence[str]) -> str:
    """Judge a promise by the median of `values`, where nothing speaks against concluding from them."""
    spread = Spread.of(values)
    kept = spread.median >= promise if at_least else spread.median <= promise
    word = "not concluded: too noisy" if reasons else "kept" if kept else "missed"
    return f"{spread} (promise: {'≥' if at_least else '≤'} {promise:g}, {word})"
