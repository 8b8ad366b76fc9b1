"""An endpoint at 80 % of its full load while everything around it goes wrong.

    python benchmarks/serving/soak.py --minutes 10

`python -m serving` follows a store on this machine. Good callers post photos; every 10 s the channel moves; half of the
time a challenger looks on in shadow mode; bad callers send garbage, torn, huge and endless requests, 10,000 header
lines; every 2 minutes the store hangs, or is gone, for 20 s. Ends with 1 if anything was seen that nobody asked for: an
answer to a good caller other than 200, or from a version that was not in force; a bad caller that met something else
than it must; an unexplained warning in the log; a swap that was not followed; resident memory that grows.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Latency, Machine
from benchmarks.support.serving.classifier import release
from benchmarks.support.serving.endpoint_fixture import endpoint_fixture
from benchmarks.support.serving.soak import Soak, Soaked
from benchmarks.support.serving.timetable import Plan

VERSIONS = 3


def main() -> int:
    """Soak and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--share", type=float, default=0.8, help="of the full load, measured before")
    parser.add_argument("--poll", type=float, default=2, help="seconds between two looks at the channel")
    options = parser.parse_args()
    plan = Plan(seconds=options.minutes * 60, share=options.share, warm_up=min(60, options.minutes * 15))
    show = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    show.print(str(Machine.here()))
    with tempfile.TemporaryDirectory(prefix="petpark-bench-") as name, endpoint_fixture(Path(name)) as at:
        show.print(f"store: {at.title}")
        versions, photo = release(at, VERSIONS)
        with at.endpoint("endpoint", poll_seconds=options.poll) as endpoint:
            seen = Soak(at, endpoint, versions, photo, plan, tell=show.print).run()
    for table in tables(seen, plan):
        show.print("", table)
    verdict = "kept" if not seen.unasked else "missed:"
    show.print(f"\nload after {os.getloadavg()[0]:.1f}; promise: nothing that was not asked for, {verdict}")
    for what in seen.unasked:
        show.print(f"  {what}")
    return 1 if seen.unasked else 0


def tables(seen: Soaked, plan: Plan) -> list[Table]:
    """What was done, who got what, and memory over time."""
    assert seen.latency is not None
    latency = Latency.of(seen.latency["seconds"].tolist())
    done = _table(f"soak of {plan.seconds / 60:g} minutes")
    for name, value in (
        ("full load, before", f"{seen.full_per_second:.0f} photos/s"),
        ("load of good callers", f"{seen.rate:.0f} photos/s over {plan.connections} connections"),
        ("their wait, p50 and p99", f"{latency.p50_ms:.0f} and {latency.p99_ms:.0f} ms"),
        ("swaps followed", f"{seen.swaps}"),
        ("outages of the store", ", ".join(f"{n} × {kind}" for kind, n in Counter(seen.outages).items()) or "none"),
        ("polls lost in them", f"{seen.polls_lost:g}"),
        ("experiments, photos seen by a shadow", f"{seen.experiments}, {seen.shadows}"),
        ("resident memory, MB a minute", f"{seen.trend}, after {plan.warm_up:g} s"),
    ):
        done.add_row(name, value)
    asked = _table("who got which answer how often")
    for status, count in sorted(seen.good.items()):
        asked.add_row("good callers", f"{status or 'none'}", f"{count:,}")
    for (name, end), count in sorted(seen.bad.items()):
        asked.add_row(name, end, f"{count:,}")
    memory = _table("resident memory, the most in each minute")
    for minute in sorted({int(at) for at, _ in seen.memory}):
        memory.add_row(f"{minute}", f"{max(mb for at, mb in seen.memory if int(at) == minute):.0f} MB")
    return [done, asked, memory]


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", show_header=False)


if __name__ == "__main__":
    sys.exit(main())
