"""A caller that hangs up in the middle is no failure of the endpoint."""

import asyncio
import logging
from typing import Any

import pytest

PATHS = {
    "/v1/classify": b"image/jpeg",
    "/v1/classify/batch": b"multipart/form-data; boundary=edge",
    "/v2/models/pets/infer": b"application/json",
}


async def leave(endpoint: Any, path: str) -> list[int]:
    """The statuses that were sent to somebody who is gone."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"park"), (b"content-type", PATHS[path]), (b"content-length", b"100000")],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 80),
    }
    messages = iter([{"type": "http.request", "body": b"x" * 5_000, "more_body": True}, {"type": "http.disconnect"}])
    statuses: list[int] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await endpoint.app(scope, receive, send)
    return statuses


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_ends_early_counts_as_left_and_not_as_failed(endpoint, path, caplog):
    with caplog.at_level(logging.INFO):
        assert asyncio.run(leave(endpoint, path)) == [499]
    assert "request failed" not in caplog.text
    metrics = endpoint.http.get("/metrics").text
    assert 'status="499"' in metrics
    assert 'status="500"' not in metrics
    assert endpoint.bodies.held == 0
