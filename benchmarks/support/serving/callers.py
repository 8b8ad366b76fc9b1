"""Callers that keep an endpoint busy and record every response, in their own process.

`wrk` is faster, but it reports neither the time of a response nor its version, and a swap is judged by both.
"""

import asyncio
import io
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).parents[3]
TIMEOUT_SECONDS = 30.0
AFTER_A_FAILURE = 0.05

ANSWER = np.dtype([("began", "f8"), ("seconds", "f8"), ("status", "i4"), ("version", "i4")])
"""`began` in Unix time; `status` 0: no response, because of a broken connection or a timeout."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_VERSION = re.compile(rb'"version": ?(\d+)')

type Answers = npt.NDArray[np.void]


class Callers:
    """Post `photo` over `connections` connections, each as soon as it got a response; or `rate` per second."""

    def __init__(self, port: int, photo: Path, *, connections: int, rate: float = 0.0) -> None:
        self._command = [
            *(sys.executable, "-m", "benchmarks.support.serving.callers"),
            *(str(port), str(photo), str(connections), str(rate)),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._process.stdout.read(1)  # they call from now on
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def finish(self) -> Answers:
        """Wait for running requests and stop. Returns every response, in their order of arrival."""
        assert self._process is not None
        output, _ = self._process.communicate(timeout=TIMEOUT_SECONDS + 60)
        self._process = None
        return np.load(io.BytesIO(output))


def call_for(port: int, photo: Path, *, connections: int, seconds: float) -> Answers:
    """Full load for a while."""
    with Callers(port, photo, connections=connections) as callers:
        time.sleep(seconds)
        return callers.finish()


def per_second(answers: Answers) -> float:
    """Returns successful responses per second."""
    began, ended = answers["began"], answers["began"] + answers["seconds"]
    return float((answers["status"] == 200).sum() / (ended.max() - began.min()))


@dataclass
class _Caller:
    """One connection."""

    port: int
    request: bytes
    stop: asyncio.Event
    found: list[tuple[float, float, int, int]]
    every: float
    delay: float

    async def run(self) -> None:
        await asyncio.sleep(self.delay)
        due = time.perf_counter()
        line = None
        while not self.stop.is_set():
            if self.every:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                due = max(due + self.every, time.perf_counter() - self.every)
            at, began = time.time(), time.perf_counter()
            status = version = 0
            closes = True
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    line = line or await asyncio.open_connection("127.0.0.1", self.port)
                    status, version, closes = await _ask(*line, self.request)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                await asyncio.sleep(AFTER_A_FAILURE)
            self.found.append((at, time.perf_counter() - began, status, version))
            if closes and line is not None:
                line[1].close()
                line = None


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, int, bool]:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    body = await reader.readexactly(int(length[1]) if length else 0)
    version = _VERSION.search(body)
    return int(head[9:12]), int(version[1]) if version else 0, b"connection: close" in head.lower()


async def _call(port: int, photo: Path, connections: int, rate: float) -> Answers:
    body = photo.read_bytes()
    head = f"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: image/jpeg\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    stop = asyncio.Event()
    # Our parent closes its end when it has enough, or when it ends, however that comes.
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    every = connections / rate if rate else 0.0
    found: list[tuple[float, float, int, int]] = []
    sys.stdout.buffer.write(b"!")
    sys.stdout.buffer.flush()
    async with asyncio.TaskGroup() as group:
        for number in range(connections):
            delay = number * every / connections
            group.create_task(_Caller(port, request, stop, found, every, delay).run())
    return np.array(found, dtype=ANSWER)


def main() -> None:
    """Call until standard input ends; then write every response to standard output."""
    port, photo, connections, rate = sys.argv[1:]
    found = asyncio.run(_call(int(port), Path(photo), int(connections), float(rate)))
    file = io.BytesIO()  # np.save seeks, and a pipe cannot
    np.save(file, found)
    sys.stdout.buffer.write(file.getvalue())


if __name__ == "__main__":
    main()
