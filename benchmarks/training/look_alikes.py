"""What it costs to find look-alikes among many photos of fixed cameras: `make bench`, or this file.

Hashes of 20 simulated cameras, ten and a hundred times as many: in each camera every bit has its own chance to differ
from the scene's, most a small one. Measured is what ingestion, report and leak check have in common: distinct hashes,
all pairs of near ones, and what hangs together by them. Reference: the plain way, all with all in tiles, of the same
distinct hashes; of many it compares a part of the rows, and the time is multiplied. Both must find as many pairs.

Processor time, all sizes in turn, round by round, so that a busy neighbour meets all of them. Nothing is concluded
(status 3) where the same work takes more than 1.5 times as long in one round as in another. Ends with 1 if a photo
costs more than twice as much among the most as among the fewest.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Machine, Spread, paired
from benchmarks.support.memory import forget_peak, peak_bytes
from training.dataset.duplicates.hamming import BITS, NEAR, components, near_pairs

CAMERAS: Final = 20
MOST_GROWTH: Final = 2.0
NOISE: Final = 1.5
TILE: Final = 1 << 17
ALL_ROWS: Final = 50_000
"""Distinct hashes up to which the reference compares every row."""

type Hashes64 = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one number of photos."""

    photos: int
    distinct: int
    pairs: int
    seconds: Spread  # of processor: pairs and components
    reference: Spread  # the same for all with all, without components
    share: float  # of the rows that the reference compared
    memory: int  # bytes that finding them took


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="the same facts for programs")
    options = parser.parse_args()
    machine = Machine.here()
    show = Console(quiet=options.json, width=None if sys.stdout.isatty() else 140, highlight=False)
    show.print(str(machine))
    costs, growth = measure(sorted(options.photos), rounds=options.rounds, seed=options.seed)
    show.print(table(costs))
    if options.json:
        print(json.dumps({"machine": asdict(machine), "costs": [asdict(c) for c in costs], "growth": asdict(growth)}))
    each = ", ".join(f"{cost.pairs / cost.photos:.1f}" for cost in costs)
    show.print(f"near pairs a photo, which the data have: {each}")
    if noisy := [f"{cost.photos:,}" for cost in costs if cost.seconds.high > NOISE * cost.seconds.low]:
        show.print(f"too noisy, nothing concluded: {'; '.join(noisy)} photos. Run it again on a quiet machine.")
        return 3
    kept = growth.median <= MOST_GROWTH
    show.print(
        f"a photo costs {growth} times as much among {costs[-1].photos:,} as among {costs[0].photos:,}, round by round"
        f" (promise: at most {MOST_GROWTH:g}, {'kept' if kept else 'missed'})"
    )
    return 0 if kept else 1


def measure(sizes: Sequence[int], *, rounds: int, seed: int) -> tuple[list[Cost], Spread]:
    """All sizes in turn; gives also by how much the cost of a photo grows from the fewest to the most."""
    every = {size: simulated(size, seed) for size in sizes}
    ours: dict[int, list[float]] = {size: [] for size in sizes}
    theirs: dict[int, list[float]] = {size: [] for size in sizes}
    pairs: dict[int, int] = {}
    distinct: dict[int, int] = {}
    memory: dict[int, int] = {}
    shares: dict[int, float] = {}
    for _ in range(rounds):
        for size, hashes in every.items():
            forget_peak()
            before = peak_bytes()
            seconds, (distinct[size], pairs[size]) = timed(lambda hashes=hashes: find(hashes))
            memory[size] = max(memory.get(size, 0), peak_bytes() - before)
            ours[size].append(seconds)
            shares[size] = min(1.0, (ALL_ROWS / distinct[size]) ** 2)
            seconds, found = timed(lambda hashes=hashes, size=size: all_with_all(hashes, shares[size]))
            theirs[size].append(seconds / shares[size])
            assert shares[size] < 1 or found == pairs[size], (found, pairs[size])
    costs = [
        Cost(
            photos=size,
            distinct=distinct[size],
            pairs=pairs[size],
            seconds=Spread.of(ours[size]),
            reference=Spread.of(theirs[size]),
            share=shares[size],
            memory=memory[size],
        )
        for size in sizes
    ]
    each = {size: [seconds / size for seconds in ours[size]] for size in sizes}
    return costs, paired(each[sizes[-1]], each[sizes[0]])


def simulated(count: int, seed: int) -> Hashes64:
    """Hashes of photos of fixed cameras: some ten bits of a hash differ from the scene's in a hundredth of photos or
    more, and one or two in half of them.
    """
    rng = np.random.default_rng(seed)
    scenes = rng.integers(0, 2**64, CAMERAS, dtype=np.uint64)
    chances = np.minimum(0.5, 0.004 * np.exp(rng.exponential(1.3, (CAMERAS, BITS))))
    camera = rng.integers(0, CAMERAS, count)
    hashes = scenes[camera]
    for bit in range(BITS):
        differs = rng.random(count) < chances[camera, bit]
        hashes ^= differs.astype(np.uint64) << np.uint64(bit)
    return hashes


def find(hashes: Hashes64) -> tuple[int, int]:
    """Numbers of distinct hashes and of near pairs."""
    distinct = np.unique(hashes)
    pairs = sum(len(ones) for ones, _ in near_pairs(distinct))
    components(distinct)
    return len(distinct), pairs


def all_with_all(hashes: Hashes64, share: float) -> int:
    """The plain way: number of near pairs of a share of the distinct hashes with all that follow them."""
    distinct = np.unique(hashes)
    last = len(distinct) if share == 1 else round(len(distinct) * (1 - (1 - share) ** 0.5))
    rows = max(1, TILE // len(distinct))
    found = 0
    for start in range(0, last, rows):
        some = distinct[start : min(start + rows, last)]
        for column in range(start, len(distinct), TILE):
            near = np.bitwise_count(some[:, None] ^ distinct[None, column : column + TILE]) <= NEAR
            found += int(np.count_nonzero(near))
        tile = distinct[start : start + len(some)]
        found -= int(np.count_nonzero(np.tril(np.bitwise_count(some[:, None] ^ tile[None]) <= NEAR)))
    return found


def timed[T](work: Callable[[], T]) -> tuple[float, T]:
    """Seconds of processor."""
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def table(costs: Sequence[Cost]) -> Table:
    """For people."""
    shown = Table(title="look-alikes of fixed cameras: median (lowest–highest)", title_justify="left")
    for name in ("photos", "distinct", "pairs", "seconds", "all with all, s", "of it", "µs a photo", "MB more"):
        shown.add_column(name, justify="right", no_wrap=True)
    for cost in costs:
        shown.add_row(
            f"{cost.photos:,}",
            f"{cost.distinct:,}",
            f"{cost.pairs:,}",
            str(cost.seconds),
            f"{cost.reference}{'' if cost.share == 1 else f', from {cost.share:.0%}'}",
            f"{cost.seconds.median / cost.reference.median:.3f}",
            f"{cost.seconds.median / cost.photos * 1e6:.1f}",
            f"{cost.memory / 1e6:.0f}",
        )
    return shown


if __name__ == "__main__":
    sys.exit(main())
