"""GitHub's API as a server on loopback, which fails as networks do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override
from urllib.parse import parse_qs, urlsplit

import pytest

from petpark.preview.github import GitHub


@dataclass
class Api:
    """What the server holds, and how it fails: `faults` are taken one a request, first those of its method."""

    comments: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    pulls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    faults: list[tuple[str, int | str]] = field(default_factory=list[tuple[str, int | str]])
    issues: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    merged: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    requests: list[str] = field(default_factory=list[str])
    slept: list[float] = field(default_factory=list[float])
    url: str = ""

    def client(self) -> GitHub:
        return GitHub(url=self.url, repository="park/pets", token="t", sleep=self.slept.append)

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        if method == "PATCH" and "/issues/comments/" not in path:
            (issue,) = (each for each in self.issues if path.endswith(f"/issues/{each['number']}"))
            issue |= body
            return issue
        if method == "PATCH":
            (mine,) = (each for each in self.comments if path.endswith(f"/comments/{each['id']}"))
            mine["body"] = body["body"]
            return mine
        if method == "POST" and path.endswith("/issues"):
            number = len(self.issues) + 1
            made = {"number": number, "user": {"type": "Bot"}, "html_url": f"issue {number}", "state": "open", **body}
            self.issues.append(made)
            return made
        if method == "POST":
            self.comments.append({"id": len(self.comments) + 1, "user": {"type": "Bot"}, "html_url": "x", **body})
            return self.comments[-1]
        if path.endswith("/issues"):
            listed = [each for each in self.issues if each["state"] in query["state"]]
        elif "/commits/" in path:
            listed = self.merged
        else:
            listed = self.pulls if path.endswith("/pulls") else self.comments
        page, size = int(query["page"][0]), int(query["per_page"][0])
        return listed[(page - 1) * size : page * size]


@pytest.fixture
def api() -> Iterator[Api]:
    state = Api()

    class Handler(BaseHTTPRequestHandler):
        def serve(self) -> None:
            state.requests.append(self.command)
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            fault = next((each for each in state.faults if each[0] == self.command), None)
            if fault is not None:
                state.faults.remove(fault)
                if isinstance(fault[1], int):
                    self.send_response(fault[1])
                    self.send_header("retry-after", "7")
                    self.send_header("content-length", "17")
                    self.end_headers()
                    self.wfile.write(b'{"message": "no"}')
                    return
                if fault[1] == "before":
                    self.close_connection = True
                    return
            target = urlsplit(self.path)
            answer = json.dumps(state.answer(self.command, target.path, parse_qs(target.query), body)).encode()
            if fault is not None:  # carried out, and the answer is lost
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PATCH = serve

        @override
        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()
