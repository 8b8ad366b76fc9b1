"""What the guard of connections costs an endpoint: `python benchmarks/serving/guard.py`.

Two endpoints run side by side, one without the guard (`serving.http.connections`), and answer the same photos at the
same time, so that a busy neighbour meets both. Besides the callers, each has idle connections, which the guard looks
at. What is compared is the processor time a photo, span by span; each start gives both other memory. Promise: at most 2
% more. Ends with 1 where that is missed, and with 3 where the 95 % interval of the median reaches over the promise: too
noisy to say.
"""

import argparse
import os
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Machine, median_interval
from benchmarks.support.service import thread_seconds
from benchmarks.support.serving.callers import Callers, call_for, per_second
from benchmarks.support.serving.classifier import release
from benchmarks.support.serving.endpoint_fixture import Endpoint, Fixture, endpoint_fixture

PROMISE = 1.02
CONNECTIONS = 4
UNGUARDED = (
    "-c",
    "import contextlib, runpy, serving.http.request_middleware, serving.server\n"
    "middleware = serving.http.request_middleware.RequestMiddleware\n"
    "init = middleware.__init__\n"
    "middleware.__init__ = lambda self, app, *, connections=None, **more: init(self, app, **more)\n"
    "serving.server._guarding = lambda connections: contextlib.nullcontext()\n"
    "runpy.run_module('serving', run_name='__main__', alter_sys=True)\n",
)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=4)
    parser.add_argument("--spans", type=int, default=5, help="of each start")
    parser.add_argument("--seconds", type=float, default=4, help="of each span")
    parser.add_argument("--idle", type=int, default=60, help="idle connections to each endpoint")
    parser.add_argument("--share", type=float, default=0.3, help="of the full load, for each endpoint")
    options = parser.parse_args()
    show = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    show.print(str(Machine.here()))
    ratios: list[float] = []
    with tempfile.TemporaryDirectory(prefix="petpark-bench-") as name, endpoint_fixture(Path(name)) as at:
        _, photo = release(at, 1)
        for start in range(options.starts):
            ratios += pair(
                at, photo, start, spans=options.spans, seconds=options.seconds, idle=options.idle, share=options.share
            )
    median, low, high = median_interval(ratios)
    show.print(
        f"processor time a photo, with the guard in without: {median:.3f} × ({low:.3f} to {high:.3f}, 95 %), "
        f"{len(ratios)} spans, {options.idle} idle connections; promise: ≤ {PROMISE:g}"
    )
    if high <= PROMISE:
        show.print("kept")
        return 0
    if low > PROMISE:
        show.print("missed")
        return 1
    show.print(f"not concluded: too noisy here (load {os.getloadavg()[0]:.1f})")
    return 3


def pair(at: Fixture, photo: Path, start: int, *, spans: int, seconds: float, idle: int, share: float) -> list[float]:
    """Start both, in turns which first, and compare them span by span."""
    with ExitStack() as stack:
        kinds = [(), UNGUARDED] if start % 2 else [UNGUARDED, ()]
        both = {bool(kind): stack.enter_context(at.endpoint(f"{start}-{len(kind)}", program=kind)) for kind in kinds}
        for endpoint in both.values():
            for number in range(idle):
                stack.enter_context(_idle(endpoint, number))
        rate = share * per_second(call_for(both[False].port, photo, connections=CONNECTIONS, seconds=2))
        callers = [
            stack.enter_context(Callers(endpoint.port, photo, connections=CONNECTIONS, rate=rate))
            for endpoint in both.values()
        ]
        time.sleep(1)
        ratios: list[float] = []
        for _ in range(spans):
            before = {unguarded: _used(endpoint) for unguarded, endpoint in both.items()}
            time.sleep(seconds)
            spent = {unguarded: _a_photo(before[unguarded], _used(endpoint)) for unguarded, endpoint in both.items()}
            ratios.append(spent[False] / spent[True])
        for caller in callers:
            caller.finish()
    return ratios


def _idle(endpoint: Endpoint, number: int) -> socket.socket:
    """A connection that asked once, and so may stay."""
    line = socket.create_connection(("127.0.0.1", endpoint.port), 10, source_address=(f"127.0.2.{1 + number % 8}", 0))
    line.sendall(b"GET /healthz/live HTTP/1.1\r\nHost: x\r\n\r\n")
    return line


def _used(endpoint: Endpoint) -> tuple[float, float]:
    """Processor seconds and photos answered so far."""
    line = 'petpark_requests_total{route="/v1/classify",status="200"}'
    return thread_seconds(endpoint.pid), endpoint.metric(line)


def _a_photo(before: tuple[float, float], after: tuple[float, float]) -> float:
    return (after[0] - before[0]) / (after[1] - before[1])


if __name__ == "__main__":
    sys.exit(main())
