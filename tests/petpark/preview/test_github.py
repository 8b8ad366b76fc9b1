"""The page as a pull request's comment: GitHub's API is a server on loopback that fails as networks do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, override
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from petpark.errors import CommentRefused, PullRequestUnknown, SettingsWrong
from petpark.preview.github import GitHub
from petpark.preview.page import MARK

HEAD = "a" * 40
BODY = f"{MARK}\n## What this change would do"


@dataclass
class Api:
    """What the server holds, and how it fails: `faults` are taken one a request, first those of its method."""

    comments: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    pulls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    faults: list[tuple[str, int | str]] = field(default_factory=list[tuple[str, int | str]])
    requests: list[str] = field(default_factory=list[str])
    slept: list[float] = field(default_factory=list[float])
    url: str = ""

    def client(self) -> GitHub:
        return GitHub(url=self.url, repository="park/pets", token="t", sleep=self.slept.append)

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        if method == "PATCH":
            (mine,) = (each for each in self.comments if path.endswith(f"/comments/{each['id']}"))
            mine["body"] = body["body"]
            return mine
        if method == "POST":
            self.comments.append({"id": len(self.comments) + 1, "user": {"type": "Bot"}, "html_url": "x", **body})
            return self.comments[-1]
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


def event(folder: Path, **content: Any) -> Path:
    file = folder / "event.json"
    file.write_text(json.dumps(content))
    return file


def test_the_second_page_replaces_the_first(api: Api) -> None:
    with api.client() as github:
        github.comment(7, BODY)
        github.comment(7, f"{BODY} again")
    assert [each["body"] for each in api.comments] == [f"{BODY} again"]


def test_what_a_person_wrote_stays_even_if_it_begins_alike(api: Api) -> None:
    api.comments = [{"id": 1, "user": {"type": "User"}, "body": BODY}]
    with api.client() as github:
        github.comment(7, f"{BODY} mine")
    assert [each["body"] for each in api.comments] == [BODY, f"{BODY} mine"]


def test_the_comment_is_found_behind_hundreds_of_others(api: Api) -> None:
    others = [{"id": number, "user": {"type": "Bot"}, "body": "coverage"} for number in range(1, 251)]
    api.comments = [*others, {"id": 251, "user": {"type": "Bot"}, "body": BODY, "html_url": "x"}]
    with api.client() as github:
        github.comment(7, f"{BODY} new")
    assert len(api.comments) == 251
    assert api.comments[-1]["body"] == f"{BODY} new"


@pytest.mark.parametrize("fault", [500, 502, 429, "before", "after"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_failure_that_passes_leaves_one_comment(api: Api, method: str, fault: int | str) -> None:
    api.faults = [(method, fault), (method, fault)]
    with api.client() as github:
        github.comment(7, BODY)
    assert [each["body"] for each in api.comments] == [BODY]
    if isinstance(fault, int):
        assert api.slept == [7.0, 7.0]


def test_a_refusal_is_not_repeated_and_says_what_the_job_needs(api: Api) -> None:
    api.faults = [("POST", 422)]
    with api.client() as github, pytest.raises(CommentRefused, match="HTTP 422: no"):
        github.comment(7, BODY)
    assert api.requests.count("POST") == 1


def test_an_api_that_stays_away_ends_after_five_tries(api: Api) -> None:
    api.faults = [("GET", 503)] * 9
    with api.client() as github, pytest.raises(CommentRefused, match="503"):
        github.comment(7, BODY)
    assert len(api.requests) == 5


def test_a_pull_request_is_known_by_its_event(api: Api, tmp_path: Path) -> None:
    with api.client() as github:
        assert github.pull_request(event(tmp_path, pull_request={"number": 12})) == 12
    assert not api.requests


def test_a_forks_pull_request_is_found_by_its_head_commit(api: Api, tmp_path: Path) -> None:
    api.pulls = [{"number": number, "head": {"sha": f"{number:040x}"}} for number in range(1, 140)]
    api.pulls.append({"number": 200, "head": {"sha": HEAD}})
    with api.client() as github:
        assert github.pull_request(event(tmp_path, workflow_run={"head_sha": HEAD, "pull_requests": []})) == 200


@pytest.mark.parametrize(
    "content", [{}, {"workflow_run": {}}, {"workflow_run": {"head_sha": "main"}}, {"workflow_run": {"head_sha": HEAD}}]
)
def test_a_run_without_an_open_pull_request_makes_no_comment(api: Api, tmp_path: Path, content: Any) -> None:
    with api.client() as github, pytest.raises(PullRequestUnknown):
        github.pull_request(event(tmp_path, **content))


@pytest.mark.parametrize("missing", ["GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_EVENT_PATH"])
def test_outside_of_a_workflow_the_missing_variable_is_named(missing: str) -> None:
    environment = {"GITHUB_TOKEN": "t", "GITHUB_REPOSITORY": "park/pets", "GITHUB_EVENT_PATH": "e"}
    with pytest.raises(SettingsWrong, match=missing):
        GitHub.from_environment({name: value for name, value in environment.items() if name != missing})


@pytest.mark.parametrize("name", ["pets", "a/b/c", "../x", "a/b?c"])
def test_a_repository_is_owner_and_name(name: str) -> None:
    with pytest.raises(SettingsWrong, match="GITHUB_REPOSITORY"):
        GitHub(url="http://127.0.0.1:1", repository=name, token="t")


def test_a_comment_of_a_person_who_is_gone_is_nobodys(api: Api) -> None:
    api.comments.append({"id": 1, "user": None, "body": BODY})
    with api.client() as github:
        github.comment(7, BODY)
    assert len(api.comments) == 2


@pytest.mark.parametrize(
    "event", [{"pull_request": None}, {"pull_request": {"number": "7"}}, {"workflow_run": None}, {"workflow_run": 1}]
)
def test_an_event_with_nothing_where_a_number_should_be_is_refused(
    api: Api, tmp_path: Path, event: dict[str, Any]
) -> None:
    (tmp_path / "event.json").write_text(json.dumps(event))
    with api.client() as github, pytest.raises(PullRequestUnknown):
        github.pull_request(tmp_path / "event.json")


def test_an_answer_that_is_no_json_is_no_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    page = httpx.Response(200, text="<html>sign in</html>")
    monkeypatch.setattr(httpx.Client, "request", lambda *_, **__: page)
    with api.client() as github, pytest.raises(CommentRefused, match="HTTP 200: <html>sign in"):
        github.comment(7, BODY)


@pytest.mark.parametrize("token", ["ghs_secret\n", "ghs secret", "ghs_sécret"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(SettingsWrong) as refused:
        GitHub(url="https://api.github.com", repository="park/pets", token=token)
    assert "cret" not in str(refused.value)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsWrong, match="GITHUB_API_URL"):
        GitHub(url="api.github.com", repository="park/pets", token="t")
