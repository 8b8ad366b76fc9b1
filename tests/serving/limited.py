"""A listening endpoint with small limits, a good caller that never stops, and other callers."""

import asyncio
import http.client
import socket
import struct
import threading
import time
import zlib
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self, cast, override

import grpc
import numpy as np
import pytest

from serving.grpc import open_inference_pb2 as pb
from serving.grpc.arrivals import Arrivals, Arriving
from serving.grpc.service import SERVICE
from serving.http.body import Bodies
from serving.inference.loaded_model import LoadedModel
from serving.server import serve
from serving.settings import Limits
from serving.telemetry import Metrics
from tests.ports import free_port
from tests.serving.conftest import Endpoint
from tests.serving.parameters import Parameters
from tests.serving.park import SIZE, Park, photo

TIMEOUT_SECONDS = 60
GOOD = "127.0.0.1"
LIMITS = Limits(
    connections=40,
    peer_connections=8,
    probe_connections=4,
    header_seconds=4,
    keep_alive_seconds=6,
    answer_seconds=5,
    body_bytes=200_000,
    held_bytes=600_000,
    peer_held_bytes=300_000,
    body_seconds=4,
    queue=4,
    batch=3,
    peer_messages=2,
    peer_calls=4,
    calls=6,
    drain_notice_seconds=0,
    end_seconds=86_400,  # the process is the tests'
)
SLOW = photo("purple")
"""A photo whose processing the test can hold."""


class WatchedArrivals(Arrivals):
    """Arrivals of gRPC that say how many calls there were so far, whatever has become of them."""

    opened: ClassVar[list[Self]] = []

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.calls = 0
        self.opened.append(self)

    @override
    @asynccontextmanager
    async def of(self, host: str) -> AsyncGenerator[Arriving]:
        async with super().of(host) as arriving:
            self.calls += 1
            yield arriving


class WatchedBodies(Bodies):
    """Bodies that signal changes of the held bytes."""

    opened: ClassVar[list[Self]] = []

    def __init__(self, limits: Limits, *, shares: bool = True) -> None:
        super().__init__(limits, shares=shares)
        self.news = threading.Condition()
        self.opened.append(self)

    def _hold(self, size: int, peer: str | None) -> None:
        super()._hold(size, peer)
        with self.news:
            self.news.notify_all()

    def wait_for(self, size: int) -> None:
        with self.news:
            assert self.news.wait_for(lambda: self.held >= size, TIMEOUT_SECONDS), self.held


class GoodCaller:
    """Posts photos from its own address, one after the other, until stopped."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._began: list[float] = []
        """When each request that was answered began."""
        self.failed: list[object] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def is_answered(self) -> None:
        """Wait until a request that begins from now on is answered; none may have failed."""
        now = time.monotonic()
        with self._news:
            self._news.wait_for(lambda: self.failed or (self._began and self._began[-1] >= now), TIMEOUT_SECONDS)
            assert not self.failed
            assert self._began[-1] >= now

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        body = photo()
        while not self._stop.wait(0.02):
            began, got = time.monotonic(), None
            line = http.client.HTTPConnection(GOOD, self._port, TIMEOUT_SECONDS, source_address=(GOOD, 0))
            try:
                line.request("POST", "/v1/classify", body, {"Content-Type": "image/jpeg"})
                got = line.getresponse().status
            except OSError as error:
                got = error
            finally:
                line.close()
            with self._news:
                if got == 200:
                    self._began.append(began)
                else:
                    self.failed.append(got)
                self._news.notify_all()


class Limited:
    """The endpoint, running."""

    def __init__(self, park: Park, patch: pytest.MonkeyPatch) -> None:
        self.park, self.parameters, self.metrics = park, Parameters(), Metrics()
        park.release(park.certified())
        self._prepared = Endpoint(park, limits=LIMITS, parameters=self.parameters)
        assert self._prepared.follow()
        assert self._prepared.ring
        self.ring = self._prepared.ring
        self.port, self.grpc_port, self.health_port = free_ports(3)
        self.slow_began, self.go_on = threading.Semaphore(0), threading.Event()
        self._slow_down(patch)
        patch.setattr("serving.server.Bodies", WatchedBodies)
        patch.setattr("serving.grpc.service.Arrivals", WatchedArrivals)
        self._listening = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self.wait_until(self._answers)
        self.bodies, self.arrivals = WatchedBodies.opened[-1], WatchedArrivals.opened[-1]
        self.good = GoodCaller(self.port)

    def close(self) -> None:
        self.go_on.set()
        self.good.close()
        self._stop()
        self._thread.join()
        self._prepared.close()

    def wait_until(self, holds: Callable[[], object]) -> None:
        end = time.monotonic() + TIMEOUT_SECONDS
        while not holds():
            assert time.monotonic() < end
            assert self._thread.is_alive()
            time.sleep(0.01)

    def metric(self, name: str, /, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def closed(self, reason: str) -> float:
        return self.metric("petpark_connections_closed_total", reason=reason)

    @contextmanager
    def line(self, host: str, port: int = 0) -> Generator[socket.socket]:
        with socket.create_connection((GOOD, port or self.port), TIMEOUT_SECONDS, source_address=(host, 0)) as line:
            yield line

    def exchange(self, host: str, what: bytes, *, port: int = 0) -> tuple[int, bytes]:
        """Send it from `host`; the status (0: closed without one) and all that came back."""
        with self.line(host, port) as line:
            with suppress(ConnectionError):  # the answer may come before all is sent
                line.sendall(what)
            answer = everything(line)
        return int(answer[9:12] or 0) if answer.startswith(b"HTTP/1") else 0, answer

    @contextmanager
    def many(self, hosts: list[str], port: int = 0) -> Generator[list[socket.socket]]:
        """An idle connection from each of these addresses."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.line(host, port)) for host in hosts]

    @contextmanager
    def channel(self, host: str) -> Generator[grpc.Channel]:
        """A connection of gRPC that comes from `host`, which gRPC itself cannot choose."""
        with (
            Forwarder(host, self.grpc_port) as forwarder,
            grpc.insecure_channel(
                f"{GOOD}:{forwarder.port}", options=[("grpc.use_local_subchannel_pool", 1)]
            ) as channel,
        ):
            yield channel

    def infer(self, channel: grpc.Channel, batch: int = 1, **metadata: str) -> grpc.StatusCode:
        """Call ModelInfer once."""
        ask = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        try:
            ask(infer_request(batch), timeout=TIMEOUT_SECONDS, metadata=tuple(metadata.items()))
        except grpc.RpcError as error:
            return cast(grpc.Call, error).code()
        return grpc.StatusCode.OK

    def half_sent(self, channel: grpc.Channel, count: int, **metadata: str) -> list[Any]:
        """Calls whose message does not come, when the endpoint has all of them."""
        before, never = self.arrivals.calls, threading.Event()

        def message() -> Generator[bytes]:
            never.wait(TIMEOUT_SECONDS)
            yield b""

        ask = channel.stream_unary(f"/{SERVICE}/ModelInfer")
        calls = [ask.future(message(), metadata=tuple(metadata.items())) for _ in range(count)]
        for call in calls:
            call.add_done_callback(lambda _: never.set())
        if not metadata:
            self.wait_until(lambda: self.arrivals.calls >= before + count or any(call.done() for call in calls))
        return calls

    async def _serve(self) -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(stop.set)
        settings = replace(
            self._prepared.settings,
            host=GOOD,
            port=self.port,
            grpc_port=self.grpc_port,
            health_port=self.health_port,
        )
        await serve(
            settings,
            followers=(),
            live=self._prepared.live,
            metrics=self.metrics,
            ring=self.ring,
            open_promotion_service=_no_promotion_service,
            stop=stop,
        )

    def _answers(self) -> bool:
        for port in (self.port, self.grpc_port, self.health_port):
            try:
                socket.create_connection((GOOD, port), TIMEOUT_SECONDS).close()
            except OSError:
                return False
        return True

    def _slow_down(self, patch: pytest.MonkeyPatch) -> None:
        classify = LoadedModel.classify

        def slow(model: LoadedModel, data: bytes, *, explain: bool, record: bool):
            if data == SLOW:
                self.slow_began.release()
                self.go_on.wait(TIMEOUT_SECONDS)
            return classify(model, data, explain=explain, record=record)

        patch.setattr(LoadedModel, "classify", slow)


class Forwarder:
    """Passes connections on from another address of this machine."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._to = host, port
        self._stack = ExitStack()
        self._server = self._stack.enter_context(socket.create_server((GOOD, 0)))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Forwarder":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._stack.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._server.accept()
                there = socket.create_connection((GOOD, self._to), TIMEOUT_SECONDS, source_address=(self._host, 0))
                there.settimeout(None)
                for one in (caller, there):
                    self._stack.enter_context(one)
                for source, to in ((caller, there), (there, caller)):
                    threading.Thread(target=_pump, args=(source, to), daemon=True).start()


def _no_promotion_service(credentials: object) -> NoReturn:
    pytest.fail("nobody gets as far as this")


def _pump(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
    with suppress(OSError):
        to.shutdown(socket.SHUT_RDWR)


def free_ports(count: int) -> list[int]:
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port(GOOD))
    return sorted(found)


def everything(line: socket.socket) -> bytes:
    """What comes until the other side closes."""
    got = b""
    with suppress(ConnectionError):
        while more := line.recv(65536):
            got += more
    return got


def is_closed(line: socket.socket) -> bool:
    """Whether the other side has closed it; what came before is skipped."""
    line.setblocking(False)
    try:
        while line.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


def infer_request(batch: int) -> bytes:
    pixels = np.zeros((batch, SIZE, SIZE, 3), dtype=np.uint8)
    tensor = pb.ModelInferRequest.InferInputTensor(name="image", datatype="UINT8", shape=pixels.shape)
    return pb.ModelInferRequest(
        model_name="pets", inputs=[tensor], raw_input_contents=[pixels.tobytes()]
    ).SerializeToString()


def png(width: int, height: int, *, colour: int = 0, depth: int = 8) -> bytes:
    """The header of a PNG with this size, without image data. PNG, section 11.2."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99)))


def form(parts: int, *, photos: int) -> tuple[str, bytes]:
    """A form of so many parts, the first of which are photos: its type and its bytes."""
    names = ['; filename="x"' if number < photos else "" for number in range(parts)]
    body = b"".join(
        f'--b\r\nContent-Disposition: form-data; name="p"{name}\r\n\r\n'.encode() + photo() + b"\r\n" for name in names
    )
    return "multipart/form-data; boundary=b", body + b"--b--\r\n"


def folder(path: Path) -> Path:
    path.mkdir()
    return path
