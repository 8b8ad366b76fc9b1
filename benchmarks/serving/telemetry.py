"""What recording predictions costs an endpoint: `python benchmarks/serving/telemetry.py`.

Two endpoints run at the same time on the same photos, one that records and one that does not, so that a busy neighbour
meets both. They are compared in rounds: first at full load (throughput), then at a fixed rate (p99, and processor time
per photo with all threads of the process). A third endpoint, which does not record either, shows how far two equal ones
differ here: the noise. Promise: recording changes none of them by more than 2 %. Ends with 1 where that is missed, and
with 3 where the 95 % interval of the median reaches over the promise, or two equal endpoints differ by more: too noisy
to say.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Machine, median_interval
from benchmarks.support.service import thread_seconds
from benchmarks.support.serving.callers import Answers, Callers, per_second
from benchmarks.support.serving.classifier import release
from benchmarks.support.serving.endpoint_fixture import BUCKET, Endpoint, Fixture, endpoint_fixture

PROMISE = 1.02
CONNECTIONS = 4
PLAIN, RECORDING, TWIN = "plain", "recording", "plain twin"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=4, help="of each half of a round")
    parser.add_argument("--share", type=float, default=0.6, help="of the full load, all endpoints together, for p99")
    parser.add_argument("--sample", type=int, default=20, help="percent of the predictions that are recorded")
    options = parser.parse_args()
    show = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    show.print(str(Machine.here()))
    with (
        tempfile.TemporaryDirectory(prefix="petpark-bench-") as name,
        endpoint_fixture(Path(name)) as at,
        ExitStack() as stack,
    ):
        _, photo = release(at, 1)
        endpoints = {kind: stack.enter_context(endpoint(at, kind, options.sample)) for kind in (PLAIN, RECORDING, TWIN)}
        speed, p99, used = measure(
            endpoints, photo, rounds=options.rounds, seconds=options.seconds, share=options.share
        )
        recorded = endpoints[RECORDING].metric("petpark_telemetry_recorded_total")
        lost = endpoints[RECORDING].sum_of("petpark_telemetry_lost_total")
    show.print(f"recorded {recorded:.0f} predictions, lost {lost:.0f}; {options.sample} % sampled")
    verdicts = [
        judge(show, "time per photo at full load, recording : plain", speed[RECORDING], speed[TWIN]),
        judge(show, "p99 at a fixed rate, recording : plain", p99[RECORDING], p99[TWIN]),
        judge(show, "processor time per photo, recording : plain", used[RECORDING], used[TWIN]),
    ]
    return max(verdicts, key=(0, 3, 1).index)


def endpoint(at: Fixture, kind: str, sample: int) -> Endpoint:
    """An endpoint of one kind; all have the same environment but for the share that is recorded."""
    policy = {"sample_percent": sample if kind == RECORDING else 0, "buffer_mb": 64, "thumbnails": [], "redact": []}
    more = {"PETPARK_TELEMETRY": json.dumps(policy), "PETPARK_DATA_LAKE": BUCKET, "PETPARK_STACK": "benchmark"}
    return at.endpoint(kind.replace(" ", "-"), more=more)


type Ratios = dict[str, list[float]]


def measure(
    endpoints: dict[str, Endpoint], photo: Path, *, rounds: int, seconds: float, share: float
) -> tuple[Ratios, Ratios, Ratios]:
    """Returns time per photo, p99 and processor time of the others as ratios to the plain endpoint, by round."""
    speed: Ratios = {kind: [] for kind in endpoints if kind != PLAIN}
    p99: Ratios = {kind: [] for kind in speed}
    used: Ratios = {kind: [] for kind in speed}
    together(endpoints, photo, seconds=1.0)  # warm
    for number in range(rounds):
        order = list(endpoints)[number % 3 :] + list(endpoints)[: number % 3]
        turn = {kind: endpoints[kind] for kind in order}
        full = together(turn, photo, seconds=seconds)
        rate = share * min(per_second(answers) for answers in full.values())
        before = {kind: thread_seconds(each.pid) for kind, each in turn.items()}
        steady = together(turn, photo, seconds=seconds, rate=rate)
        spent = {kind: (thread_seconds(each.pid) - before[kind]) / len(steady[kind]) for kind, each in turn.items()}
        for kind in speed:
            speed[kind].append(per_second(full[PLAIN]) / per_second(full[kind]))
            p99[kind].append(slowest(steady[kind]) / slowest(steady[PLAIN]))
            used[kind].append(spent[kind] / spent[PLAIN])
    return speed, p99, used


def together(endpoints: dict[str, Endpoint], photo: Path, *, seconds: float, rate: float = 0.0) -> dict[str, Answers]:
    """Call all endpoints at the same time; `rate` 0: each as fast as it answers."""
    with ExitStack() as stack:
        callers = {
            kind: stack.enter_context(Callers(each.port, photo, connections=CONNECTIONS, rate=rate))
            for kind, each in endpoints.items()
        }
        time.sleep(seconds)
        return {kind: caller.finish() for kind, caller in callers.items()}


def slowest(answers: Answers) -> float:
    """The 99th percentile of the good answers, in seconds."""
    return float(np.quantile(answers["seconds"][answers["status"] == 200], 0.99))


def judge(show: Console, what: str, values: Sequence[float], equal: Sequence[float]) -> int:
    """Print a comparison and what two equal endpoints differ by; returns the exit status."""
    median, low, high = median_interval(values)
    noise, noise_low, noise_high = median_interval(equal)
    show.print(
        f"{what}: {median:.3f} × ({low:.3f} to {high:.3f}, 95 %), {len(values)} rounds; two equal endpoints: "
        f"{noise:.3f} × ({noise_low:.3f} to {noise_high:.3f}); promise: ≤ {PROMISE:g}"
    )
    if noise_high > PROMISE or noise_low < 1 / PROMISE:
        show.print(
            f"not concluded: two equal endpoints differ by more than the promise (load {os.getloadavg()[0]:.1f})"
        )
        return 3
    if high <= PROMISE:
        show.print("kept")
        return 0
    if low > PROMISE:
        show.print("missed")
        return 1
    show.print(f"not concluded: too noisy here (load {os.getloadavg()[0]:.1f})")
    return 3


if __name__ == "__main__":
    sys.exit(main())
