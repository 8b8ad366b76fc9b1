"""The page as a pull request's comment, with `tests.petpark.github_api`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from petpark.errors import CommentRefused, PullRequestUnknown, SettingsWrong
from petpark.preview.github import GitHub
from petpark.preview.page import MARK
from tests.petpark.github_api import Api

HEAD = "a" * 40
BODY = f"{MARK}\n## What this change would do"


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
