"""What the machine can do with nothing around it: the endpoint's decode and model in a loop, one process a core.

`python -m benchmarks.support.throughput.limit MODEL` reads lines of seconds and a photo's path, and answers each with
JSON.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import IO, Self

import numpy as np

import imaging
from serving.inference.session import Session

ROOT = Path(__file__).parents[3]
_READY = "ready"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What loops without HTTP reach together."""

    per_second: float
    p50_ms: float
    cpu_ms: float


class Loops:
    """Processes with the model in memory, which decode and infer on command, to measure the limit of each load.

    They belong to the session that measures, which sleeps meanwhile: some kernels share processors by session.
    """

    def __init__(self, model: Path, *, processes: int) -> None:
        self._command = [sys.executable, "-m", "benchmarks.support.throughput.limit", str(model)]
        self._count = processes
        self._processes: list[subprocess.Popen[str]] = []

    def run(self, photo: Path, *, processes: int, seconds: float) -> Limit:
        """Run `processes` loops in parallel."""
        running = self._processes[:processes]
        for process in running:
            print(seconds, photo, file=_open(process.stdin), flush=True)
        runs = [Limit(**json.loads(_open(process.stdout).readline())) for process in running]
        return Limit(
            per_second=sum(run.per_second for run in runs),
            p50_ms=median(run.p50_ms for run in runs),
            cpu_ms=mean(run.cpu_ms for run in runs),
        )

    def __enter__(self) -> Self:
        try:
            for _ in range(self._count):
                self._processes.append(
                    subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                )
            for process in self._processes:
                if _open(process.stdout).readline().strip() != _READY:
                    sys.exit(f"{self._command} did not become ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


def _open(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _loop(session: Session, photo: Path, seconds: float) -> Limit:
    data = photo.read_bytes()
    began, cpu = time.perf_counter(), time.process_time()
    waits: list[float] = []
    while not waits or time.perf_counter() - began < seconds:
        once = time.perf_counter()
        session.probabilities(imaging.decode(data, session.size)[np.newaxis])
        waits.append(time.perf_counter() - once)
    cpu_ms = (time.process_time() - cpu) * 1000 / len(waits)
    per_second = len(waits) / (time.perf_counter() - began)
    return Limit(per_second=per_second, p50_ms=median(waits) * 1000, cpu_ms=cpu_ms)


def main() -> None:
    """Measure and print, line by line."""
    session = Session(Path(sys.argv[1]))
    for _ in range(10):
        session.probabilities(np.zeros((1, session.size, session.size, 3), dtype=np.uint8))
    print(_READY, flush=True)
    for line in sys.stdin:
        seconds, _, photo = line.strip().partition(" ")
        print(json.dumps(asdict(_loop(session, Path(photo), float(seconds)))), flush=True)


if __name__ == "__main__":
    main()
