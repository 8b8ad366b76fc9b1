"""More work than an endpoint can take on is refused at once, and what it took on is answered."""

import asyncio
import threading

import httpx
import pytest

from serving.http.workers import Workers
from serving.problems import Problem
from serving.release.live import Live
from serving.server import drain, end_in_time
from serving.settings import Limits
from serving.telemetry import Metrics
from tests.serving.eager import EagerTransport


@pytest.fixture
def full(park, open_endpoint):
    """An endpoint with one thread and room for two more requests."""
    park.release(park.certified())
    endpoint = open_endpoint(threads=1, limits=Limits(queue=2))
    endpoint.follow()
    return endpoint


def test_beyond_the_queue_callers_are_told_to_come_back_and_the_others_are_answered(full, monkeypatch):
    go_on = threading.Event()
    classify = type(full.live.deployed.model).classify

    def held(model, *arguments, **options):
        assert go_on.wait(30)
        return classify(model, *arguments, **options)

    monkeypatch.setattr(type(full.live.deployed.model), "classify", held)
    refused = asyncio.Event()

    async def call(client) -> httpx.Response:
        answer = await client.post("/v1/classify", content=full.photo, headers={"content-type": "image/jpeg"})
        if answer.status_code == 503:
            refused.set()
        return answer

    async def fill() -> list[httpx.Response]:
        transport = EagerTransport(full.app)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://park") as client,
            asyncio.TaskGroup() as group,
        ):
            tasks = [group.create_task(call(client)) for _ in range(4)]
            await asyncio.wait_for(refused.wait(), 30)
            health = await client.get("/healthz/live")
            go_on.set()
        return [health, *(task.result() for task in tasks)]

    health, *answers = asyncio.run(fill())
    assert health.status_code == 200, "health answers under full load"
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 503]
    late = next(answer for answer in answers if answer.status_code == 503)
    assert late.headers["retry-after"] == "1"
    assert late.json()["type"] == "/docs#overloaded"
    assert full.workers.taken == 0


def ended(workers: Workers) -> None:
    """Wait until the threads have done what they began."""
    workers.close()
    for thread in workers._threads:
        thread.join(30)


def test_a_caller_that_leaves_gives_its_place_back():
    workers = Workers(threads=1, queue=1)
    started, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        assert go_on.wait(30)

    async def leave() -> None:
        running = asyncio.create_task(workers.run("", hold))
        await asyncio.to_thread(started.wait, 30)
        waiting = asyncio.create_task(workers.run("", hold))
        await asyncio.sleep(0)
        with pytest.raises(Problem):
            await workers.run("", hold)
        waiting.cancel()
        running.cancel()
        await asyncio.wait({running, waiting})
        assert workers.taken == 1, "what runs keeps its place until it ends"
        go_on.set()

    asyncio.run(leave())
    ended(workers)
    assert workers.taken == 0


def test_large_bodies_together_are_bounded(park, open_endpoint):
    park.release(park.certified())
    endpoint = open_endpoint(limits=Limits(body_bytes=1000, held_bytes=1500))
    endpoint.follow()
    half_sent = asyncio.Event()
    go_on = asyncio.Event()

    async def slow():
        yield b"x" * 900
        half_sent.set()
        await go_on.wait()

    async def both() -> tuple[int, int]:
        transport = EagerTransport(endpoint.app)
        headers = {"content-type": "image/jpeg"}
        async with httpx.AsyncClient(transport=transport, base_url="http://park") as client:
            first = asyncio.create_task(client.post("/v1/classify", content=slow(), headers=headers))
            await asyncio.wait_for(half_sent.wait(), 30)
            second = await client.post("/v1/classify", content=b"x" * 900, headers=headers)
            go_on.set()
            return (await first).status_code, second.status_code

    assert asyncio.run(both()) == (422, 503)
    assert endpoint.classify(b"x" * 900).status_code == 422, "the room is free again"


def test_a_body_that_dawdles_is_cut_off(park, open_endpoint):
    park.release(park.certified())
    endpoint = open_endpoint(limits=Limits(body_seconds=0.05))
    endpoint.follow()

    async def never():
        yield b"x"
        await asyncio.Event().wait()

    answer = endpoint.http.post("/v1/classify", content=never(), headers={"content-type": "image/jpeg"})
    assert (answer.status_code, answer.json()["type"]) == (408, "/docs#body-too-slow")


def test_while_draining_requests_are_answered_but_new_ones_are_not_invited(endpoint):
    endpoint.live.draining = True
    unready = endpoint.http.get("/healthz/ready")
    assert (unready.status_code, unready.headers["retry-after"]) == (503, "2")
    assert endpoint.http.get("/healthz/live").status_code == 200
    answer = endpoint.classify()
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"


def test_draining_waits_for_what_is_running_but_not_for_ever():
    live, metrics, workers = Live(), Metrics(), Workers(threads=1, queue=0)
    patient = Limits(drain_notice_seconds=0, drain_seconds=30)

    async def end_when_done() -> None:
        metrics.running = 1
        draining = asyncio.create_task(drain(live, metrics, patient, workers=workers))
        done, _ = await asyncio.wait({draining}, timeout=0.2)
        assert not done
        assert live.draining
        metrics.running = 0
        await asyncio.wait_for(draining, 30)

    async def end_on_timeout() -> None:
        metrics.running = 1
        impatient = Limits(drain_notice_seconds=0, drain_seconds=0.1)
        await asyncio.wait_for(drain(live, metrics, impatient, workers=workers), 30)

    asyncio.run(end_when_done())
    asyncio.run(end_on_timeout())


def test_the_end_waits_for_no_thread():
    workers = Workers(threads=1, queue=1)
    started, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        assert go_on.wait(30)

    async def leave() -> None:
        running = asyncio.create_task(workers.run("", hold))
        await asyncio.to_thread(started.wait, 30)
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(leave())
    workers.close()
    assert workers.taken == 1, "the thread still works"
    end_in_time(0, end_process=lambda code: ended.set() if code == 0 else None)
    assert ended.wait(30)
    go_on.set()


def test_work_that_takes_too_long_is_answered_without_its_result():
    workers = Workers(threads=1, queue=1, seconds=0.05)
    go_on = threading.Event()

    async def ask() -> None:
        with pytest.raises(Problem) as late:
            await workers.run("", go_on.wait, 30)
        assert (late.value.kind.status, late.value.headers["retry-after"]) == (503, "1")
        with workers.place(""), pytest.raises(Problem, match=r"within 0\.05 seconds"):
            await workers.run_in_place("", go_on.wait, 30)
        assert workers.taken == 1, "what runs keeps its place until it ends"
        go_on.set()

    asyncio.run(ask())
    ended(workers)
    assert workers.taken == 0


class Held:
    """Workers whose first piece of work keeps the one thread until it is told to go on; then work notes its name."""

    def __init__(self, queue: int) -> None:
        self.workers = Workers(threads=1, queue=queue)
        self.go_on, self.began, self.done = threading.Event(), threading.Event(), list[str]()

    def hold(self) -> None:
        self.began.set()
        assert self.go_on.wait(30)

    async def begin(self) -> asyncio.Task[None]:
        first = asyncio.create_task(self.workers.run("first", self.hold))
        await asyncio.to_thread(self.began.wait, 30)
        return first

    async def ask(self, peer: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self.workers.run(peer, self.done.append, peer))
        await asyncio.sleep(0)
        return task


def test_callers_have_their_turns_whoever_came_first():
    held = Held(queue=5)

    async def run() -> None:
        tasks = [await held.begin(), *[await held.ask(peer) for peer in ("many", "many", "many", "few", "other")]]
        held.go_on.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)

    asyncio.run(run())
    held.workers.close()
    assert held.done == ["many", "few", "other", "many", "many"]


def test_a_full_queue_refuses_the_newest_request_of_who_has_most_places():
    held = Held(queue=4)

    async def run() -> list[object]:
        tasks = [await held.begin(), *[await held.ask(peer) for peer in ("many", "many", "many", "two")]]
        tasks += [await held.ask("two"), await held.ask("two"), await held.ask("many")]
        held.go_on.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = asyncio.run(run())
    held.workers.close()
    assert first is None
    # The third of "many" makes room for the second of "two"; then nobody has two places more than who asks.
    assert [isinstance(one, Problem) for one in others] == [False, False, True, False, False, True, True]
    assert held.workers.taken == 0


def test_a_place_that_several_pieces_of_work_share_is_not_taken_away():
    held = Held(queue=3)

    async def run() -> None:
        first = await held.begin()
        with held.workers.place("many"), held.workers.place("many"), held.workers.place("many"):
            batch = asyncio.create_task(held.workers.run_in_place("many", held.done.append, "photo"))
            await asyncio.sleep(0)
            with pytest.raises(Problem):
                await held.workers.run("other", held.done.append, "other")
            held.go_on.set()
            await asyncio.wait_for(asyncio.gather(first, batch), 30)

    asyncio.run(run())
    held.workers.close()
    assert held.done == ["photo"]
    assert held.workers.taken == 0


def test_an_endpoint_without_a_version_says_when_to_ask_again(open_endpoint):
    endpoint = open_endpoint()
    get = endpoint.http.get
    answers = [get("/healthz/ready"), get("/healthz/in-service"), get("/v2/health/ready"), endpoint.classify()]
    assert {(answer.status_code, answer.headers.get("retry-after")) for answer in answers} == {(503, "2")}
