"""The page as one comment of a pull request, updated in place. Uses GitHub's REST API with a workflow's token.

https://docs.github.com/en/rest/issues/comments, https://docs.github.com/en/rest/pulls/pulls#list-pull-requests
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import httpx

from petpark.errors import CommentRefused, PullRequestUnknown, SettingsWrong
from petpark.preview.page import MARK

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
_TRIES: Final = 5
_LONGEST_PAUSE: Final = 60.0
_A_PAGE: Final = 100
_PAGES: Final = 30
_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
_SLUG: Final = re.compile(r"(?!\.+/)[\w.-]+/(?!\.+$)[\w.-]+")
_VERSION: Final = "2022-11-28"

VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "GITHUB_TOKEN": "the job's token, `github.token`",
        "GITHUB_REPOSITORY": "owner/name",
        "GITHUB_EVENT_PATH": "the file with the event that started the workflow",
    }
)
"""Required variables of a workflow's environment. `GITHUB_API_URL` is optional; default: github.com's."""


class GitHub:
    """One repository's API, a context manager. `sleep` waits between attempts."""

    writes = "the comment"
    needs = "The job needs `permissions: pull-requests: write`; the page is in the run's artifacts."

    def __init__(self, *, url: str, repository: str, token: str, sleep: Callable[[float], None] = time.sleep) -> None:
        if not _SLUG.fullmatch(repository):
            raise SettingsWrong(f"GITHUB_REPOSITORY is {repository!r}.", next_step="Set it to owner/name.")
        if not token.isascii() or not token.isprintable() or " " in token:  # httpx would repeat it in an error
            raise SettingsWrong("GITHUB_TOKEN is not a token.", next_step="Set it without spaces and line breaks.")
        if not url.startswith(("https://", "http://")):
            raise SettingsWrong(f"GITHUB_API_URL is {url!r}.", next_step="Set it to an https address, or unset it.")
        self._sleep = sleep
        self._client = httpx.Client(
            base_url=f"{url.rstrip('/')}/repos/{repository}/",
            timeout=_TIMEOUT,
            headers={
                "accept": "application/vnd.github+json",
                "authorization": f"Bearer {token}",
                "x-github-api-version": _VERSION,
            },
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Returns the API for a workflow's environment. Raises `SettingsWrong`."""
        for name, meaning in VARIABLES.items():
            if not environment.get(name):
                raise SettingsWrong(
                    f"{name} is not set: {meaning}.", next_step="Run this in a GitHub workflow, or set it."
                )
        return cls(
            url=environment.get("GITHUB_API_URL") or "https://api.github.com",
            repository=environment["GITHUB_REPOSITORY"],
            token=environment["GITHUB_TOKEN"],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def pull_request(self, event_file: Path) -> int:
        """Returns the number of the pull request that started the workflow. Raises `PullRequestUnknown`.

        A `workflow_run` after a fork's pull request has no number: the open pull request with that head commit is
        used. Uploads of the fork's own run are not used, because they could name any other.
        """
        event = _event(event_file)
        number, head = (_member(event, *path) for path in (("pull_request", "number"), ("workflow_run", "head_sha")))
        if isinstance(number, int):
            return number
        if not isinstance(head, str) or not re.fullmatch(r"[0-9a-f]{40}", head):
            raise PullRequestUnknown(
                "The event is neither a pull request nor a run after one.",
                next_step="Run this under `pull_request`, or under `workflow_run` of a workflow that is.",
            )
        found = [pull["number"] for pull in self._listed("pulls", state="open") if _member(pull, "head", "sha") == head]
        if len(found) != 1:
            raise PullRequestUnknown(
                f"{len(found)} open pull requests have {head} as their head commit.",
                next_step="Nothing to do if it was closed, or has newer commits, whose own run makes the comment.",
            )
        return int(found[0])

    def comment(self, number: int, body: str) -> str:
        """Create or update the comment that begins with `MARK`, as `body` does. Returns its URL.

        Only a bot's comment is changed, never a person's. Raises `CommentRefused`.
        """
        earlier = self._earlier(number)
        if earlier is not None:
            return str(self._request("PATCH", f"issues/comments/{earlier}", {"body": body})["html_url"])
        return str(
            self._request(
                "POST", f"issues/{number}/comments", {"body": body}, done=lambda: self._earlier(number) is not None
            ).get("html_url", "")
        )

    def _earlier(self, number: int) -> int | None:
        mine = (
            each["id"]
            for each in self._listed(f"issues/{number}/comments")
            if _member(each, "user", "type") == "Bot" and str(each.get("body", "")).startswith(MARK)
        )
        return next(mine, None)

    def _listed(self, path: str, **query: str) -> Iterator[Mapping[str, Any]]:
        for page in range(1, _PAGES + 1):
            words = {**query, "per_page": str(_A_PAGE), "page": str(page)}
            items = self._request("GET", path, query=words)
            yield from items
            if len(items) < _A_PAGE:
                return

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        done: Callable[[], bool] | None = None,
    ) -> Any:
        """One request, repeated on transient failures. `done`: whether an attempt without response took effect."""
        problem = ""
        for attempt in range(_TRIES):
            if attempt and done is not None and done():
                return {}
            try:
                response = self._client.request(method, path, json=body, params=query)
            except httpx.HTTPError as error:
                problem, pause = f"{type(error).__name__}: {error}", 2.0**attempt
            else:
                if response.is_success and (found := _document(response)) is not None:
                    return found
                problem, pause = f"HTTP {response.status_code}: {_message(response)}", _pause(response, attempt)
                if response.status_code not in _AGAIN and not _limited(response):
                    break
            if attempt + 1 < _TRIES:
                self._sleep(min(pause, _LONGEST_PAUSE))
        raise CommentRefused(
            f"GitHub did not accept {self.writes}: {problem}",
            next_step=self.needs,
        )


def _member(value: Any, *path: str) -> Any:
    """Returns the value at a path of nested objects, or None. GitHub has null for a deleted user."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _document(response: httpx.Response) -> Any:
    """Returns the JSON of a response, or None for other content, such as a proxy's page."""
    try:
        return response.json()
    except ValueError:
        return None


def _event(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsWrong(f"GITHUB_EVENT_PATH: {error}", next_step="Run this in a GitHub workflow.") from None
    return found if isinstance(found, dict) else {}


def _limited(response: httpx.Response) -> bool:
    """https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api."""
    return response.status_code == 403 and (
        "retry-after" in response.headers or response.headers.get("x-ratelimit-remaining") == "0"
    )


def _pause(response: httpx.Response, attempt: int) -> float:
    told = response.headers.get("retry-after", "")
    return float(told) if told.isdecimal() else 2.0**attempt


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
