"""What the machine can do with nothing around it: the endpoint's decode and model in a loop, one process a core.

`python -m benchmarks.support.limit MODEL PHOTO PROCESSES SECONDS` prints JSON.
"""

import json
import multiprocessing
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

import numpy as np

import imaging
from serving.session import Session

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What loops without HTTP reach together."""

    per_second: float
    p50_ms: float
    cpu_ms: float


def limit(model: Path, photo: Path, *, processes: int, seconds: float) -> Limit:
    """Let `processes` loops run side by side. In a session of their own: some kernels share processors by session."""
    command = [sys.executable, "-m", "benchmarks.support.limit", *map(str, (model, photo, processes, seconds))]
    output = subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=seconds + 120, start_new_session=True
    ).stdout
    return Limit(**json.loads(output))


_start: "Barrier"


def _meet(barrier: "Barrier") -> None:
    global _start
    _start = barrier


def _loop(model: Path, photo: Path, seconds: float) -> Limit:
    session = Session(model)
    data = photo.read_bytes()

    def once() -> float:
        began = time.perf_counter()
        session.probabilities(imaging.decode(data, session.size)[np.newaxis])
        return time.perf_counter() - began

    for _ in range(10):
        once()
    _start.wait(60)
    began, cpu = time.perf_counter(), time.process_time()
    waits: list[float] = []
    while time.perf_counter() - began < seconds:
        waits.append(once())
    cpu_ms = (time.process_time() - cpu) * 1000 / len(waits)
    per_second = len(waits) / (time.perf_counter() - began)
    return Limit(per_second=per_second, p50_ms=median(waits) * 1000, cpu_ms=cpu_ms)


def main() -> None:
    """Measure and print."""
    model, photo, processes, seconds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_meet, initargs=(barrier,)) as pool:
        work = [pool.submit(_loop, model, photo, seconds) for _ in range(processes)]
        runs = [each.result() for each in work]
    together = Limit(
        per_second=sum(run.per_second for run in runs),
        p50_ms=median(run.p50_ms for run in runs),
        cpu_ms=mean(run.cpu_ms for run in runs),
    )
    print(json.dumps(asdict(together)))


if __name__ == "__main__":
    main()
