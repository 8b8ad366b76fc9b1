import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from rehearsal.load_balancer import LoadBalancer, NotRehearsed, PortInUse

TIMEOUT_SECONDS = 60.0


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=TIMEOUT_SECONDS) as http:
        yield http


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {TIMEOUT_SECONDS:.0f} s"
        time.sleep(0.01)


def healths(balancer: LoadBalancer) -> dict[str, str]:
    return {status.instance_id: status.health for status in balancer.targets()}


def start(balancer: LoadBalancer, *healthy: str) -> None:
    balancer.start()
    wait_until(lambda: all(healths(balancer).get(name) == "healthy" for name in healthy), "health")


def test_healthy_targets_take_turns(balancer: LoadBalancer, declared: Any, target: Any, client: httpx.Client) -> None:
    declared.groups = {"g": (1, [target("a"), target("b")])}
    start(balancer, "a", "b")
    answers = Counter(client.get(balancer.url).text.split()[0] for _ in range(10))
    assert answers == {"a": 5, "b": 5}


def test_groups_get_requests_by_weight(
    balancer: LoadBalancer, declared: Any, target: Any, client: httpx.Client
) -> None:
    declared.groups = {"old": (3, [target("a")]), "new": (1, [target("b")]), "off": (0, [target("c")])}
    start(balancer, "a", "b", "c")
    answers = Counter(client.get(balancer.url).text.split()[0] for _ in range(16))
    assert answers == {"a": 12, "b": 4}


def test_without_a_healthy_target_the_answer_is_503(
    balancer: LoadBalancer, declared: Any, target: Any, client: httpx.Client
) -> None:
    sick = target("sick")
    sick.healthy = False
    declared.groups = {"g": (1, [sick])}
    start(balancer)
    wait_until(lambda: healths(balancer) == {"sick": "unhealthy"}, "the verdict")
    assert client.get(balancer.url).status_code == HTTPStatus.SERVICE_UNAVAILABLE
    sick.healthy = True
    wait_until(lambda: healths(balancer) == {"sick": "healthy"}, "recovery")
    assert client.get(balancer.url).status_code == HTTPStatus.OK


def test_a_target_without_an_address_yet_waits(declared: Any, target: Any, client: httpx.Client) -> None:
    addresses: dict[str, str] = {}
    declared.groups = {"g": (1, [target("late")])}
    with LoadBalancer(
        declared, load_balancer_arn="arn:park", resolve=lambda name: addresses[name], refresh_seconds=0.05
    ) as balancer:
        assert client.get(balancer.url).status_code == HTTPStatus.SERVICE_UNAVAILABLE
        addresses["late"] = "127.0.0.1"
        wait_until(lambda: healths(balancer) == {"late": "healthy"}, "health")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_could_not_be_sent_goes_to_another_target(
    balancer: LoadBalancer, declared: Any, target: Any, client: httpx.Client, method: str
) -> None:
    gone, stays = target("gone"), target("stays")
    declared.groups = {"g": (1, [gone, stays])}
    start(balancer, "gone", "stays")
    gone.stop()
    answers = [client.request(method, balancer.url, content=b"photo") for _ in range(6)]
    assert {(answer.status_code, answer.text.split()[0]) for answer in answers} == {(200, "stays")}


def test_only_a_request_that_may_be_repeated_is_repeated(
    balancer: LoadBalancer, declared: Any, target: Any, client: httpx.Client
) -> None:
    rude, polite = target("rude"), target("polite")
    declared.groups = {"g": (1, [rude, polite])}
    start(balancer, "rude", "polite")
    rude.rude = True
    gets = [client.get(balancer.url) for _ in range(4)]
    posts = [client.post(balancer.url, content=b"photo") for _ in range(4)]
    assert {answer.status_code for answer in gets} == {200}
    assert Counter(answer.status_code for answer in posts) == {200: 2, 502: 2}


def test_bodies_pass_whole_in_either_framing_and_connections_are_kept(
    balancer: LoadBalancer, declared: Any, target: Any, client: httpx.Client
) -> None:
    declared.groups = {"g": (1, [target("a")])}
    start(balancer, "a")
    photo = bytes(1_000_000)
    assert client.post(balancer.url, content=photo).text == "a POST 127.0.0.1 1000000"
    assert client.post(balancer.url, content=iter([photo, b"more"])).text == "a POST 127.0.0.1 1000004"
    assert len(client.get(f"{balancer.url}/chunks").content) > 200_000
    assert client.head(balancer.url).headers["content-length"] == "18"
    assert client.get(balancer.url, headers={"X-Forwarded-For": "9.9.9.9"}).text == "a GET 9.9.9.9, 127.0.0.1 0"
    with socket.create_connection(("127.0.0.1", int(balancer.url.rsplit(":", 1)[1]))) as raw:
        raw.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200" in raw.makefile("rb").read()


def test_a_drained_instance_finishes_what_it_has_and_gets_nothing_new(
    balancer: LoadBalancer, declared: Any, target: Any, client: httpx.Client
) -> None:
    old, new = target("old"), target("new")
    declared.groups = {"g": (1, [old])}
    start(balancer, "old")
    old.free.clear()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(httpx.get, balancer.url, trust_env=False, timeout=TIMEOUT_SECONDS)
        assert old.arrived.acquire(timeout=TIMEOUT_SECONDS)
        declared.groups = {"g": (1, [old, new])}
        wait_until(lambda: healths(balancer).get("new") == "healthy", "health")
        drained = pool.submit(balancer.drain, "old")
        wait_until(lambda: healths(balancer)["old"] == "draining", "draining")
        assert {client.get(balancer.url).text.split()[0] for _ in range(4)} == {"new"}
        assert not drained.done()
        old.free.set()
        drained.result(TIMEOUT_SECONDS)
        assert answer.result(TIMEOUT_SECONDS).text.startswith("old")


def test_a_deregistered_instance_is_waited_for_like_any_other(
    balancer: LoadBalancer, declared: Any, target: Any
) -> None:
    old = target("old")
    declared.groups = {"g": (1, [old])}
    start(balancer, "old")
    old.free.clear()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(httpx.get, balancer.url, trust_env=False, timeout=TIMEOUT_SECONDS)
        assert old.arrived.acquire(timeout=TIMEOUT_SECONDS)
        declared.groups = {"g": (1, [])}
        wait_until(lambda: healths(balancer) == {"old": "draining"}, "deregistration")
        drained = pool.submit(balancer.drain, "old")
        with pytest.raises(TimeoutError):
            drained.result(0.2)
        old.free.set()
        drained.result(TIMEOUT_SECONDS)
        assert answer.result(TIMEOUT_SECONDS).text.startswith("old")
    wait_until(lambda: healths(balancer) == {}, "forgetting")


def test_replacing_every_target_under_load_loses_no_request(balancer: LoadBalancer, declared: Any, target: Any) -> None:
    serving = [target("0"), target("1")]
    declared.groups = {"g": (1, list(serving))}
    start(balancer, "0", "1")
    done = threading.Event()

    def hammer(number: int) -> Counter[int]:
        seen: Counter[int] = Counter()
        with httpx.Client(trust_env=False, timeout=TIMEOUT_SECONDS) as http:
            while not done.is_set():
                seen[http.request("POST" if number % 2 else "GET", balancer.url, content=b"photo").status_code] += 1
        return seen

    with ThreadPoolExecutor(8) as pool:
        try:
            clients = [pool.submit(hammer, number) for number in range(8)]
            for number in range(2, 7):
                fresh = target(str(number))
                declared.groups = {"g": (1, [*serving, fresh])}
                wait_until(lambda name=fresh.name: healths(balancer).get(name) == "healthy", "health")
                leaving = serving.pop(0)
                serving.append(fresh)
                balancer.drain(leaving.name)
                leaving.stop()
                declared.groups = {"g": (1, list(serving))}
                wait_until(lambda name=leaving.name: name not in healths(balancer), "deregistration")
        finally:
            done.set()
        seen = sum((one.result(TIMEOUT_SECONDS) for one in clients), Counter[int]())
    assert set(seen) == {200}
    assert seen[200] >= 8


def test_what_cannot_be_rehearsed_or_listened_at_is_said_at_the_start(declared: Any, target: Any) -> None:
    def made(port: int = 0) -> LoadBalancer:
        return LoadBalancer(declared, load_balancer_arn="arn:park", resolve=lambda _: "127.0.0.1", port=port)

    declared.listeners = [{"Port": 80, "DefaultActions": [{"Type": "redirect"}]}]
    with pytest.raises(NotRehearsed, match="forwards by default"):
        made().start()
    declared.listeners = None
    declared.groups = {"g": (1, [target("a")])}
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortInUse, match="choose another port"):
        made(taken.getsockname()[1]).start()
