"""Who goes beyond a limit meets what docs/design/limits.md says, while a good caller goes on being answered.

One endpoint for all of them. Each test is the row of the page that names it.
"""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import grpc
import httpx
import pytest

from benchmarks.support.serving.abuse import http2, many_scans, post_in_chunks, said_to_be
from benchmarks.support.serving.bad_clients import head, post
from serving.auth.key_polling import LONGEST_SECONDS
from serving.auth.key_record import KeyScope
from serving.http.multipart import OTHER_PARTS
from serving.pages.rollback import BODY_BYTES
from tests.serving.limited import LIMITS, SLOW, TIMEOUT_SECONDS, Limited, folder, form, is_closed, png
from tests.serving.park import SIZE, Park, photo

BAD = "127.0.0.2"
OTHERS = [f"127.0.1.{number}" for number in range(1, 11)]
GET = b"GET /healthz/live HTTP/1.1\r\nHost: park\r\n"
RETRY = b"retry-after: 1\r\n"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        running = Limited(Park(folder(tmp_path_factory.mktemp("park") / "versions")), patch)
        yield running
        running.close()


@pytest.fixture(autouse=True)
def good_caller(endpoint):
    """Answered before, and after, and never otherwise than with 200 in between."""
    endpoint.good.is_answered()
    yield
    endpoint.good.is_answered()


@pytest.fixture(scope="module")
def lasting(endpoint):
    """Those whom only time ends, all at once, each from an address of its own: their answers when they come."""

    def never_comes() -> grpc.StatusCode:
        with endpoint.channel("127.0.0.14") as channel:
            (call,) = endpoint.half_sent(channel, 1)
            return call.code()

    def stuck() -> tuple[int, bytes]:
        answer = endpoint.exchange("127.0.0.15", post(SLOW))
        endpoint.go_on.set()  # the thread is free again
        return answer

    with ThreadPoolExecutor() as pool:
        yield {
            "header": pool.submit(endpoint.exchange, "127.0.0.11", GET + b"X-Never"),
            "next": pool.submit(endpoint.exchange, "127.0.0.12", GET + b"\r\n"),
            "body": pool.submit(
                endpoint.exchange, "127.0.0.13", head("Content-Type: image/jpeg", "Content-Length: 9") + b"x"
            ),
            "message": pool.submit(never_comes),
            "work": pool.submit(stuck),
        }


def request_bytes(path: str, *lines: str, body: bytes = b"") -> bytes:
    start = f"POST {path} HTTP/1.1"
    return (
        "\r\n".join((start, "Host: x", *lines, f"Content-Length: {len(body)}", "Connection: close", "", "")).encode()
        + body
    )


def refused(endpoint: Limited, what: bytes, *, host: str = BAD) -> tuple[int, str]:
    """The status and the detail of the problem that comes back."""
    status, answer = endpoint.exchange(host, what.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n", 1))
    _, _, body = answer.partition(b"\r\n\r\n")
    document: dict[str, Any] = json.loads(body)
    assert document["status"] == status
    return status, document["detail"]


# --- what only time ends; first, for they run side by side -----------------------------------------------------------


def test_header_lines_that_do_not_arrive_end_the_connection(endpoint, lasting):
    assert lasting["header"].result(TIMEOUT_SECONDS) == (0, b"")
    endpoint.wait_until(lambda: endpoint.closed("silent") >= 1)


def test_a_connection_without_a_next_request_is_closed(lasting):
    assert lasting["next"].result(TIMEOUT_SECONDS)[0] == 200  # and no more, to the end of the connection


def test_a_body_that_does_not_arrive_is_a_408(lasting):
    assert lasting["body"].result(TIMEOUT_SECONDS)[0] == 408


def test_a_message_that_does_not_arrive_is_deadline_exceeded(lasting):
    assert lasting["message"].result(TIMEOUT_SECONDS) is grpc.StatusCode.DEADLINE_EXCEEDED


def test_work_that_takes_too_long_is_a_503(lasting):
    status, answer = lasting["work"].result(TIMEOUT_SECONDS)
    assert (status, RETRY in answer, b"Not finished within" in answer) == (503, True, True)


# --- connections -----------------------------------------------------------------------------------------------------


def test_one_address_keeps_no_more_than_its_connections(endpoint):
    before = endpoint.closed("peer")
    with endpoint.many([BAD] * 20) as lines:
        endpoint.wait_until(lambda: endpoint.closed("peer") >= before + 20 - LIMITS.peer_connections)
        endpoint.wait_until(lambda: sum(map(is_closed, lines)) >= 20 - LIMITS.peer_connections)


def test_all_addresses_together_keep_no_more_than_all_connections(endpoint):
    before = endpoint.closed("all")
    with endpoint.many(OTHERS * 7) as lines:
        endpoint.wait_until(lambda: sum(map(is_closed, lines)) >= len(lines) - LIMITS.connections)
        assert endpoint.closed("all") > before


def test_the_health_port_keeps_no_more_than_its_connections_and_answers(endpoint):
    before = endpoint.closed("all")
    with endpoint.many(OTHERS, endpoint.health_port) as lines:
        for path in ("/healthz/ready", "/metrics"):
            assert (
                httpx.get(f"http://127.0.0.1:{endpoint.health_port}{path}", timeout=TIMEOUT_SECONDS).status_code == 200
            )
        endpoint.wait_until(lambda: sum(map(is_closed, lines)) >= len(lines) - LIMITS.probe_connections)
        assert endpoint.closed("all") > before


@pytest.mark.parametrize(
    "lines", [b"x: " + b"a" * 2 * LIMITS.header_bytes + b"\r\n", b"x: 1\r\n" * 101], ids=["bytes", "lines"]
)
def test_too_many_header_lines_are_a_431(endpoint, lines):
    assert endpoint.exchange(BAD, GET + lines + b"\r\n")[0] == 431


def test_http_2_is_closed(endpoint):
    status, answer = endpoint.exchange(BAD, http2())
    assert status in {0, 400}
    assert not answer.startswith(b"\0\0")


@pytest.mark.parametrize("hosts", [b"", b"Host: a\r\nHost: b\r\n", b"Host: a b\r\n"], ids=["none", "two", "no host"])
def test_not_exactly_one_valid_host_is_a_400(endpoint, hosts):
    assert endpoint.exchange(BAD, b"GET / HTTP/1.1\r\nConnection: close\r\n" + hosts + b"\r\n")[0] == 400


@pytest.mark.parametrize(
    "rest",
    [b"5;" + b"a" * 65_536 + b"\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n" + b"x-1: 1\r\n" * 30_000 + b"\r\n"],
    ids=["extension", "trailers"],
)
def test_long_extensions_and_trailers_are_a_400(endpoint, rest):
    assert endpoint.exchange(BAD, post_in_chunks() + rest)[0] == 400


# --- photos ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "what", "status", "expected"),
    [
        ("pixels", png(8000, 6251), 413, "50,000,000 pixels"),
        ("side", png(16_385, 1), 413, "16,384 pixels along one side"),
        ("scans", many_scans(48, 32), 413, "32 scans"),
        ("data", said_to_be(photo(size=(640, 480)), 1000, 1000), 422, "ends before its last line"),
        ("memory", png(6000, 6000, colour=6), 413, "256 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_a_photo_beyond_a_limit_is_refused(endpoint, name, what, status, expected):
    kind = "image/png" if what.startswith(b"\x89PNG") else "image/jpeg"
    got, detail = refused(endpoint, post(what, kind))
    assert got == status
    assert expected in detail


# --- bodies ----------------------------------------------------------------------------------------------------------


def test_a_large_body_is_a_413(endpoint):
    announced = head("Content-Type: image/jpeg", f"Content-Length: {LIMITS.body_bytes + 1}")
    assert refused(endpoint, announced)[0] == 413
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    assert endpoint.exchange(BAD, post_in_chunks() + chunk * 4)[0] == 413


def test_a_body_that_becomes_large_is_a_413(endpoint):
    bomb = gzip.compress(bytes(LIMITS.body_bytes + 1))
    lines = ("Content-Type: image/jpeg", "Content-Encoding: gzip", f"Content-Length: {len(bomb)}")
    assert refused(endpoint, head(*lines) + bomb)[0] == 413


def half_a_body(size: int) -> bytes:
    return head("Content-Type: image/jpeg", f"Content-Length: {size + 1}") + bytes(size)


def test_bodies_of_all_that_are_too_much_are_a_503(endpoint):
    size = 190_000
    with endpoint.many(OTHERS[:3]) as lines:
        for line in lines:
            line.sendall(half_a_body(size))
        endpoint.bodies.wait_for(3 * size)
        status, detail = refused(endpoint, half_a_body(size))
        assert (status, "your address" in detail) == (503, False)


def test_bodies_of_one_address_that_are_too_much_are_a_503(endpoint):
    size = 190_000
    with endpoint.many([BAD]) as (line,):
        line.sendall(half_a_body(size))
        endpoint.bodies.wait_for(size)
        status, detail = refused(endpoint, half_a_body(size))
        assert (status, "your address" in detail) == (503, True)


def test_a_form_of_too_many_parts_is_a_422(endpoint):
    kind, body = form(OTHER_PARTS + 1, photos=1)
    assert refused(endpoint, post(body, kind))[0] == 422
    kind, body = form(LIMITS.batch + OTHER_PARTS + 1, photos=1)
    assert refused(endpoint, request_bytes("/v1/classify/batch", f"Content-Type: {kind}", body=body))[0] == 422


def test_too_many_photos_in_a_form_or_a_tensor_are_a_413(endpoint):
    kind, body = form(LIMITS.batch + 1, photos=LIMITS.batch + 1)
    assert refused(endpoint, request_bytes("/v1/classify/batch", f"Content-Type: {kind}", body=body))[0] == 413
    shape = [LIMITS.batch + 1, SIZE, SIZE, 3]
    tensor = {"name": "image", "datatype": "UINT8", "shape": shape, "data": [0]}
    infer = request_bytes(
        "/v2/models/pets/infer", "Content-Type: application/json", body=json.dumps({"inputs": [tensor]}).encode()
    )
    assert refused(endpoint, infer)[0] == 413


def key_of(endpoint: Limited, name: str, **rights: Any) -> str:
    key = endpoint.parameters.create(name, **rights)
    endpoint.ring.refresh()
    return f"Authorization: Bearer {key}"


def test_a_large_roll_back_is_a_413(endpoint):
    key = key_of(endpoint, "otto", scopes=(KeyScope.ADMIN,))
    assert refused(endpoint, request_bytes("/v1/roll-back", key, body=bytes(BODY_BYTES + 1))) == (
        413,
        f"The body of a rollback is limited to {BODY_BYTES:,} bytes.",
    )


# --- work ------------------------------------------------------------------------------------------------------------


def test_who_fills_the_queue_is_refused_and_others_have_their_turn(endpoint):
    places = LIMITS.queue + 2
    endpoint.go_on.clear()
    with ThreadPoolExecutor() as pool:
        crowd = [
            pool.submit(endpoint.exchange, BAD, request_bytes("/v1/classify", "Content-Type: image/jpeg", body=SLOW))
            for _ in range(places + 2)
        ]
        endpoint.wait_until(lambda: sum(one.done() for one in crowd) >= 2)
        answered = pool.submit(
            endpoint.exchange, OTHERS[0], request_bytes("/v1/classify", "Content-Type: image/jpeg", body=photo())
        )
        endpoint.wait_until(lambda: sum(one.done() for one in crowd) >= 3)
        endpoint.go_on.set()
        answers = [one.result(TIMEOUT_SECONDS) for one in crowd]
        assert answered.result(TIMEOUT_SECONDS)[0] == 200
    refusals = [answer for status, answer in answers if status == 503]
    assert len(refusals) >= 3
    assert all(b"are running or waiting" in answer for answer in refusals)
    assert len(refusals) < len(answers)


def test_a_key_beyond_its_rate_is_a_429(endpoint):
    key = key_of(endpoint, "eager", rate=0.001, burst=2)
    ask = head("Content-Type: image/jpeg", key, f"Content-Length: {len(photo())}") + photo()
    (first, _), (second, _) = (
        endpoint.exchange(BAD, ask.replace(b"Host: x", b"Host: x\r\nConnection: close")) for _ in range(2)
    )
    assert (first, second) == (200, 200)
    status, detail = refused(endpoint, ask)
    assert (status, "Retry in" in detail) == (429, True)


def test_keys_that_could_not_be_read_for_a_day_are_a_503(endpoint):
    key = key_of(endpoint, "late")
    endpoint.parameters.away = True
    endpoint.park.seconds += LONGEST_SECONDS + 1
    ask = head("Content-Type: image/jpeg", key, f"Content-Length: {len(photo())}") + photo()
    status, detail = refused(endpoint, ask)
    assert (status, "the last known ones are too old" in detail) == (503, True)
    endpoint.parameters.away = False
    endpoint.ring.refresh()
    assert endpoint.exchange(BAD, ask.replace(b"Host: x", b"Host: x\r\nConnection: close"))[0] == 200


# --- gRPC ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def good_channel(endpoint):
    with endpoint.channel(OTHERS[-1]) as channel:
        assert endpoint.infer(channel) is grpc.StatusCode.OK
        yield channel


def test_one_address_keeps_no_more_than_its_connections_to_grpc(endpoint, good_channel):
    with endpoint.many([BAD] * 20, endpoint.grpc_port) as lines:
        endpoint.wait_until(lambda: sum(map(is_closed, lines)) >= 20 - LIMITS.peer_connections)
        assert endpoint.infer(good_channel) is grpc.StatusCode.OK


def test_a_call_with_a_key_that_is_not_known_ends_before_its_message(endpoint, good_channel):
    with endpoint.channel(BAD) as channel:
        (call,) = endpoint.half_sent(channel, 1, authorization="Bearer pp_guessed")
        assert call.code() is grpc.StatusCode.UNAUTHENTICATED
    assert endpoint.infer(good_channel) is grpc.StatusCode.OK


def test_a_large_message_is_resource_exhausted(endpoint, good_channel):
    with endpoint.channel(BAD) as channel:
        assert endpoint.infer(channel, batch=80) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert endpoint.infer(good_channel) is grpc.StatusCode.OK


def test_large_metadata_are_resource_exhausted(endpoint, good_channel):
    with endpoint.channel(BAD) as channel:
        assert endpoint.infer(channel, note="a" * LIMITS.metadata_bytes) is grpc.StatusCode.RESOURCE_EXHAUSTED
    with endpoint.channel(BAD) as channel:
        assert endpoint.infer(channel, note="a" * (LIMITS.metadata_bytes // 2)) is grpc.StatusCode.OK
    assert endpoint.infer(good_channel) is grpc.StatusCode.OK


def test_messages_of_one_address_that_do_not_come_hold_up_their_own_caller_only(endpoint, good_channel):
    with endpoint.channel(BAD) as channel:
        calls = endpoint.half_sent(channel, LIMITS.peer_messages)
        waits = channel.unary_unary("/inference.GRPCInferenceService/ServerLive").future(b"")
        assert endpoint.infer(good_channel) is grpc.StatusCode.OK
        assert not waits.done()
        calls[0].cancel()
        assert waits.code() is grpc.StatusCode.OK


def test_messages_of_all_wait_for_a_place(endpoint, good_channel):
    places = LIMITS.held_bytes // LIMITS.body_bytes
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        channels = [stack.enter_context(endpoint.channel(host)) for host in OTHERS[:places]]
        calls = [endpoint.half_sent(channel, 1)[0] for channel in channels]
        before = endpoint.arrivals.calls
        waits = pool.submit(endpoint.infer, good_channel)
        endpoint.wait_until(lambda: endpoint.arrivals.calls > before)
        assert not waits.done()
        calls[0].cancel()
        assert waits.result(TIMEOUT_SECONDS) is grpc.StatusCode.OK


def test_too_many_calls_of_one_address_are_unavailable(endpoint, good_channel):
    with endpoint.channel(BAD) as channel, endpoint.channel(BAD) as another:
        endpoint.half_sent(channel, LIMITS.peer_calls)
        assert endpoint.infer(another) is grpc.StatusCode.UNAVAILABLE
        assert endpoint.infer(good_channel) is grpc.StatusCode.OK


def test_too_many_calls_of_all_are_resource_exhausted(endpoint, good_channel):
    with endpoint.channel(BAD) as channel, endpoint.channel(OTHERS[0]) as another:
        endpoint.half_sent(channel, LIMITS.peer_calls)
        endpoint.half_sent(another, LIMITS.calls - LIMITS.peer_calls)
        with endpoint.channel(OTHERS[1]) as late:
            assert endpoint.infer(late) is grpc.StatusCode.RESOURCE_EXHAUSTED
