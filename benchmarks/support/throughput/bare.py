"""Our HTTP server with only the endpoint's decoding and model: the server's own cost against the limit.

`python -m benchmarks.support.throughput.bare MODEL PORT threads` is one process that works on a thread a core, as the
endpoint does; `processes` is one process a core that works in its event loop, which answers nothing else meanwhile.
"""

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

import imaging
from benchmarks.support.service import Service, free_port
from benchmarks.support.throughput.peer import Question
from serving.inference.session import Session
from serving.settings import usable_cores

ROOT = Path(__file__).parents[3]
KINDS = ("threads", "processes")


def bare(model: Path, kind: str, log: Path) -> Service:
    """Its server, not started yet."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.support.throughput.bare", str(model), str(port), kind]
    return Service(command, port=port, log=log, environment={}, ready="/", directory=ROOT)


def question(photo: bytes) -> Question:
    """How it wants its photo."""
    return Question(path="/", content_type="image/jpeg", body=photo)


class _App:
    """ASGI: classifies every POST; responds to anything else at once."""

    def __init__(self, model: Path, *, threads: int) -> None:
        self._session = Session(model)
        self._pool = ThreadPoolExecutor(threads) if threads else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request."""
        answer = b"{}"
        if scope["method"] == "POST":
            photo = await _body(receive)
            if self._pool is None:
                answer = self._classify(photo)
            else:
                answer = await asyncio.get_running_loop().run_in_executor(self._pool, self._classify, photo)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _classify(self, photo: bytes) -> bytes:
        scores = self._session.probabilities(imaging.decode(photo, self._session.size)[np.newaxis])[0]
        return json.dumps({"probabilities": scores.tolist()}).encode()


async def _body(receive: Any) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _serve(app: _App, port: int) -> None:
    server = Server(
        app,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.auto,
        websockets=False,
        log_enabled=False,
    )
    await server.serve()


def main() -> None:
    """Serve until killed."""
    model, port, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    if kind == "processes":  # Granian shares the port with other processes that listen on it
        more = [sys.executable, "-m", "benchmarks.support.throughput.bare", str(model), str(port), "one"]
        for _ in range(usable_cores() - 1):
            subprocess.Popen(more)
    uvloop.run(_serve(_App(model, threads=usable_cores() if kind == "threads" else 0), port))


if __name__ == "__main__":
    main()
