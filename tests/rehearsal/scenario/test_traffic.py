"""The requests that watch a release."""

import http.server
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from rehearsal.scenario.moves.traffic import Traffic

shown: set[str | None] = set()
"""What callers of the endpoint showed at its door."""


@contextmanager
def endpoint(answers) -> Generator[tuple[str, threading.Event]]:
    """Serves the given (status, body) pairs in a circle, and tells when each was requested at least once."""
    asked = threading.Event()
    count = 0
    shown.clear()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            nonlocal count
            self.rfile.read(int(self.headers["content-length"]))
            shown.add(self.headers["authorization"])
            status, body = answers[count % len(answers)]
            count += 1
            if count > len(answers):
                asked.set()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(version: int) -> tuple[int, bytes]:
    return 200, json.dumps({"model": {"version": version}}).encode()


def test_answers_are_counted_by_the_version_that_gave_them():
    with endpoint([answer(1), answer(2)]) as (url, asked), Traffic([url], [b"photo"]) as traffic:
        assert asked.wait(60)
    report = traffic.report()
    assert set(report.answered) == {1, 2}
    assert report.failures == ()
    assert report.requests == sum(report.answered.values())


@pytest.mark.parametrize("known", [True, False])
def test_a_key_is_shown_to_the_endpoint_that_asks_for_it_and_to_no_other(known):
    with endpoint([answer(1)]) as (url, asked):
        keys = {url if known else "http://127.0.0.1:1": "pp_x"}
        with Traffic([url], [b"photo"], keys=keys) as traffic:
            assert asked.wait(60)
    assert shown == {"Bearer pp_x" if known else None}
    assert "pp_x" not in repr(traffic)


@pytest.mark.parametrize("bad", [(503, b"draining"), (200, b"not json"), (200, b"{}")])
def test_an_answer_that_is_not_one_is_a_failure_and_names_the_endpoint(bad):
    with endpoint([answer(1), bad]) as (url, asked), Traffic([url], [b"photo"]) as traffic:
        assert asked.wait(60)
    assert traffic.report().failures
    assert all(url in failure for failure in traffic.report().failures)


def test_a_dead_endpoint_is_a_failure_not_an_exception():
    with endpoint([answer(1)]) as (url, _):
        pass
    failed = threading.Event()
    with Traffic([url], [b"photo"]) as traffic:
        while not traffic.report().failures:
            failed.wait(0.01)
    assert url in traffic.report().failures[0]
