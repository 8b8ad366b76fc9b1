"""`make chaos`: trainings and whole pipelines on the emulator with injected faults.

`RUNS=50 SEED=1` says how many, and which; `FIRST=17 RUNS=1` repeats one. The table has a line for each run. Exits with
1 if something was not as it must be: `docs/design/chaos.md`.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from rehearsal.emulator import Emulator
from tests.chaos.account import Account, open_account
from tests.chaos.plan import Plan, draw
from tests.chaos.run import Outcome, perform
from tests.chaos.site import Times

_HEAD: Final = ("run", "runs", "end", "attempts", "instances", "epochs lost", "seconds", "faults")


def main(words: Sequence[str]) -> int:
    """Run them; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make chaos", description="Trainings and pipelines with injected faults.")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=1, help="number of the first run, to repeat one")
    parser.add_argument("--parallel", type=int, default=3, help="runs at once")
    parser.add_argument("--outage", type=float, default=Times().outage, help="seconds in which S3 does not answer")
    options = parser.parse_args(words)
    times, began = Times(outage=options.outage), time.monotonic()
    numbers = range(options.first, options.first + options.runs)
    _print(_HEAD)
    with (
        tempfile.TemporaryDirectory(prefix="petpark-chaos-") as place,
        Emulator(Path(place, "aws")) as emulator,
        open_account(emulator, Path(place), name="chaos") as account,
        ThreadPoolExecutor(options.parallel) as pool,
    ):
        good = list(pool.map(lambda number: _one(account, draw(options.seed, number), times), numbers))
    failed = [number for number, well in zip(numbers, good, strict=True) if not well]
    print(f"\n{sum(good)} of {len(good)} runs passed, in {time.monotonic() - began:.0f} s; seed {options.seed}")
    for number in failed:
        print(f"to repeat: make chaos SEED={options.seed} FIRST={number} RUNS=1")
    return 1 if failed else 0


def _one(account: Account, plan: Plan, times: Times) -> bool:
    """Whether a run passed."""
    try:
        outcome = perform(account, plan, times)
    except Exception as error:
        print(f"run {plan.number} ({plan}): {type(error).__name__}: {error}", flush=True)
        return False
    _print_outcome(outcome)
    return not outcome.found.problems


def _print_outcome(outcome: Outcome) -> None:
    found, plan = outcome.found, outcome.plan
    injected = "; ".join(f"{each}{' (not injected)' if each in outcome.missed else ''}" for each in plan.injections)
    counts = (found.attempts, found.instances, found.twice, round(outcome.seconds))
    _print((plan.number, plan.kind, found.end, *counts, injected))
    for problem in found.problems:
        print(f"      WRONG: {problem}", flush=True)


def _print(cells: Sequence[object]) -> None:
    widths = (3, 8, 20, 8, 9, 11, 7, 0)
    print("  ".join(str(cell).ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
