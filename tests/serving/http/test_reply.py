"""A request gets one answer, from the thread that made it or from the event loop, and ends soon after it."""

import asyncio
import logging
import threading
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from serving.http.reply import Reply
from serving.http.workers import Workers
from serving.release.live import Live
from serving.server import drain
from serving.settings import Limits
from serving.telemetry import Metrics
from tests.examples import examples

START = {"type": "http.response.start", "status": 503, "headers": []}
BODY = {"type": "http.response.body", "body": b"late"}


class Acted:
    """The result of a `send` that has acted already."""

    def __await__(self) -> Generator[None]:
        yield from ()


class Server:
    """What a server was given to send, by a `send` that acts when it is called."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.counted: list[int] = []
        self.reply = Reply(self._send, common_headers=lambda: [(b"x-request-id", b"7")], sending=self._sending)

    def _send(self, message: Any) -> Any:
        self.sent.append(message)
        return Acted()

    def _sending(self, status: int) -> None:
        assert not self.sent, "whoever reads the metrics after an answer finds it counted"
        self.counted.append(status)

    async def answer_from_the_loop(self) -> None:
        await self.reply.send(dict(START))
        await self.reply.send(dict(BODY))

    async def answer_from_a_thread(self) -> bool:
        return await asyncio.to_thread(self.reply.send_now, 200, {"content-type": "text/plain"}, b"cat")


def test_an_answer_of_a_thread_is_the_only_one():
    server = Server()

    async def both() -> None:
        assert await server.answer_from_a_thread()
        await server.answer_from_the_loop()

    asyncio.run(both())
    start, body = server.sent
    assert (start["status"], body["body"], server.reply.status, server.counted) == (200, b"cat", 200, [200])
    assert start["headers"] == [(b"content-type", b"text/plain"), (b"content-length", b"3"), (b"x-request-id", b"7")]


def test_a_thread_that_comes_after_the_loops_answer_sends_nothing():
    server = Server()

    async def both() -> None:
        await server.answer_from_the_loop()
        assert not await server.answer_from_a_thread()

    asyncio.run(both())
    start, body = server.sent
    assert (start["status"], body["body"], server.reply.status, server.counted) == (503, b"late", 503, [])
    assert start["headers"] == [(b"x-request-id", b"7")]


@settings(max_examples=examples(30), phases=[Phase.explicit, Phase.generate])
@given(st.lists(st.sampled_from(["answers", "waits", "fails"]), min_size=1, max_size=12), st.integers(1, 3))
def test_all_work_ends_whether_it_answers_by_itself_or_is_waited_for(kinds: list[str], threads: int):
    workers = Workers(threads=threads, queue=len(kinds))

    def work(kind: str) -> Any:
        if kind == "fails":
            raise ValueError(kind)
        return kind

    async def run() -> list[object]:
        calls: list[Any] = [(workers.run if kind == "waits" else workers.answer)("", work, kind) for kind in kinds]
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)

    ended = asyncio.run(run())
    workers.close()
    assert workers.taken == 0
    assert [type(end) if isinstance(end, ValueError) else end for end in ended] == [
        {"fails": ValueError, "waits": "waits", "answers": None}[kind] for kind in kinds
    ]


class Gate:
    """Work that says when it is done by a thread, and continues when it is told to."""

    def __init__(self) -> None:
        self._inside, self.go_on = threading.Event(), threading.Event()

    def work(self) -> None:
        self._inside.set()
        assert self.go_on.wait(30)

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._inside.wait, 30)


def test_a_request_that_a_thread_answered_ends_though_another_thread_works():
    workers, held = Workers(threads=2, queue=0), Gate()

    async def run() -> None:
        other = asyncio.create_task(workers.answer("", held.work))
        await held.entered()
        await asyncio.wait_for(workers.answer("", lambda: None), 30)
        assert not other.done()
        held.go_on.set()
        await asyncio.wait_for(other, 30)

    asyncio.run(run())
    workers.close()


def test_who_was_answered_is_not_counted_as_cut_off_while_threads_work(caplog):
    live, metrics, workers = Live(), Metrics(), Workers(threads=2, queue=1)
    first, second, third = Gate(), Gate(), Gate()

    async def request(gate: Gate) -> None:
        metrics.running += 1
        try:
            await workers.answer("", gate.work)
        finally:
            metrics.running -= 1

    async def run() -> None:
        requests = [asyncio.create_task(request(gate)) for gate in (first, second, third)]
        await first.entered()
        await second.entered()
        first.go_on.set()
        await third.entered()
        assert not any(one.done() for one in requests), "the third waited, so nobody was told of the first"
        await drain(live, metrics, Limits(drain_notice_seconds=0, drain_seconds=0.1), workers=workers)
        second.go_on.set()
        third.go_on.set()
        await asyncio.gather(*requests)

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    workers.close()
    (drained,) = (record for record in caplog.records if record.getMessage() == "drained")
    assert (drained.cut_off, drained.unfinished_work) == (2, 2)  # pyright: ignore[reportAttributeAccessIssue]


async def posted(endpoint: Any, headers: list[tuple[bytes, bytes]], messages: list[Any]) -> list[int]:
    """The statuses sent to a caller whose server has these messages and then none any more."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/classify",
        "raw_path": b"/v1/classify",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"park"), (b"content-type", b"image/jpeg"), *headers],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 80),
    }
    statuses: list[int] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else await asyncio.Event().wait()

    def send(message: Any) -> Any:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
        return Acted()

    await asyncio.wait_for(endpoint.app(scope, receive, send), 30)
    return statuses


def pieces(*parts: bytes) -> list[Any]:
    return [{"type": "http.request", "body": part, "more_body": True} for part in parts]


@pytest.mark.parametrize("zeros", ["", "0" * 30])
def test_a_body_ends_with_the_last_byte_that_was_announced(endpoint, zeros):
    photo = endpoint.photo
    length = [(b"content-length", f"{zeros}{len(photo)}".encode())]
    assert asyncio.run(posted(endpoint, length, pieces(photo[:50], photo[50:]))) == [200]


def test_a_body_in_chunks_ends_where_the_server_says_so_whatever_length_was_announced(endpoint):
    photo = endpoint.photo
    headers = [(b"content-length", b"50"), (b"transfer-encoding", b"chunked")]
    last = {"type": "http.request", "body": b"", "more_body": False}
    assert asyncio.run(posted(endpoint, headers, [*pieces(photo[:50], photo[50:]), last])) == [200]
