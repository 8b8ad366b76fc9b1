"""What happens around every request: its id, its Host header, its count, and what is sent with every answer."""

import asyncio
import json
import logging
from types import SimpleNamespace

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from serving.http.request_middleware import RequestMiddleware, request_id_of, wrong_host

MISSING = "The Host header is missing."
INVALID = "The Host header is invalid; send a name or an address, optionally with a port."


def scope_of(*headers: tuple[bytes, bytes], http_version: object = "1.1", **more):
    return dict[str, object](
        type="http", method="GET", path="/x", headers=[*headers], http_version=http_version, **more
    )


@pytest.mark.parametrize(
    ("hosts", "version", "wrong"),
    [
        ([b"park.example"], "1.1", None),
        ([b"park.example:8080"], "1.1", None),
        ([b"[2001:db8::1]:80"], "2", None),
        ([], "1.1", MISSING),
        ([b""], "1.1", MISSING),
        ([], "1.0", None),
        ([b""], "1.0", None),
        ([], "2", None),
        ([b"a b"], "1.1", INVALID),
        ([b"a/b"], "1.0", INVALID),
        ([b"a@b"], "2", INVALID),
        ([b"a", b"a"], "1.1", "The request has 2 Host headers; send exactly one."),
        ([b"a", b"", b"b"], "2", "The request has 3 Host headers; send exactly one."),
    ],
)
def test_a_host_header_is_one_and_valid_and_may_be_missing_before_http_1_1_and_in_http_2(hosts, version, wrong):
    headers = [(b"x-host", b"a b"), *((b"host", host) for host in hosts)]
    assert wrong_host(scope_of(*headers, http_version=version)) == wrong


@pytest.mark.parametrize("given", ["a", "0-._Z", "x" * 64])
def test_a_callers_id_is_kept_where_it_is_harmless(given):
    assert request_id_of(given) == given


@pytest.mark.parametrize("given", [None, "", "a b", "a\n", "é", "x" * 1000])
def test_any_other_request_has_a_new_id_of_128_bits(given):
    made = {request_id_of(given) for _ in range(20)}
    assert len(made) == 20
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in made)


class Answered:
    """A middleware around an application, what it sent, and what was counted."""

    def __init__(self, app, *, draining=False, connections=None):
        self.counted, self.sent, self.running = [], [], []
        self.metrics = SimpleNamespace(running=0, count=lambda *what: self.counted.append(what))

        async def noting(scope, receive, send):
            self.running.append(self.metrics.running)
            await app(scope, receive, send)

        live = SimpleNamespace(draining=draining)
        self.middleware = RequestMiddleware(noting, live=live, metrics=self.metrics, connections=connections)  # pyright: ignore[reportArgumentType]

    def request(self, scope):
        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            self.sent.append(message)

        asyncio.run(self.middleware(scope, receive, send))
        return self

    @property
    def headers(self):
        return self.sent[0]["headers"]


HOST = (b"host", b"park")


def test_every_answer_has_the_requests_id_and_says_how_to_read_it():
    answered = Answered(PlainTextResponse("hi")).request(scope_of(HOST, (b"x-request-id", b"mine")))
    assert (b"x-request-id", b"mine") in answered.headers
    assert (b"x-content-type-options", b"nosniff") in answered.headers
    assert (b"referrer-policy", b"no-referrer") in answered.headers
    assert (b"connection", b"close") not in answered.headers
    assert answered.sent[0]["status"] == 200


def test_while_it_shuts_down_every_answer_ends_its_connection():
    answered = Answered(PlainTextResponse("hi"), draining=True).request(scope_of(HOST))
    assert (b"connection", b"close") in answered.headers


def test_a_request_is_counted_once_by_its_route_and_status_and_runs_until_it_ends():
    async def endpoint(request):
        return PlainTextResponse("no", 418)

    route = Route("/v1/{thing}", endpoint)
    for more, name in (({"route": route}, "/v1/{thing}"), ({"route": None}, "none"), ({}, "none")):
        answered = Answered(PlainTextResponse("no", 418)).request(scope_of(HOST, **more))
        ((route_name, status, seconds),) = answered.counted
        assert (route_name, status) == (name, 418)
        assert 0 <= seconds < 60
        assert (answered.running, answered.metrics.running) == ([1], 0)


def test_a_wrong_host_is_refused_before_the_application_sees_it():
    answered = Answered(PlainTextResponse("hi")).request(scope_of((b"x-request-id", b"mine")))
    assert answered.running == []
    assert [status for _, status, _ in answered.counted] == [400]
    problem = json.loads(answered.sent[1]["body"])
    assert (problem["detail"], problem["request_id"], problem["status"]) == (MISSING, "mine", 400)


def test_an_application_that_fails_is_logged_with_the_requests_id_and_counted(caplog):
    async def failing(scope, receive, send):
        await PlainTextResponse("sorry", 500)(scope, receive, send)
        raise RuntimeError("broken")

    answered = Answered(failing).request(scope_of(HOST, (b"x-request-id", b"mine")))
    (record,) = [record for record in caplog.records if record.getMessage() == "request failed"]
    assert (record.levelno, record.request_id, record.path) == (logging.ERROR, "mine", "/x")
    assert record.exc_info is not None
    assert [status for _, status, _ in answered.counted] == [500]
    assert answered.metrics.running == 0


def test_the_connection_of_a_request_is_watched_from_its_begin_to_its_end():
    seen = []
    connections = SimpleNamespace(
        begin=lambda line: seen.append(("begin", line)), end=lambda line: seen.append(("end", line))
    )
    ends = {"client": ("10.0.0.1", 4000), "server": ("10.0.0.2", 80)}
    Answered(PlainTextResponse("hi"), connections=connections).request(scope_of(HOST, **ends))
    assert seen == [("begin", ("10.0.0.1", "4000", "80")), ("end", ("10.0.0.1", "4000", "80"))]
    for missing in ends:
        Answered(PlainTextResponse("hi"), connections=connections).request(scope_of(HOST, **(ends | {missing: None})))
    assert len(seen) == 2


def test_what_is_no_http_request_passes_untouched():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    answered = Answered(app).request({"type": "lifespan"})
    assert seen == [{"type": "lifespan"}]
    assert answered.counted == answered.sent == []
