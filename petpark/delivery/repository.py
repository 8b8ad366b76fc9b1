"""GitHub's API for delivery: the reviewed plan of a commit, and the issue about drift.

https://docs.github.com/en/rest/commits/commits#list-pull-requests-associated-with-a-commit,
https://docs.github.com/en/rest/issues/issues
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from petpark.errors import ReviewMissing
from petpark.preview.github import GitHub
from petpark.preview.page import MARK


def mark(stack: str) -> str:
    """Returns the first line of a stack's issue, by which it is found again."""
    return f"<!-- petpark drift {stack} -->"


class Repository(GitHub):
    """One repository's API, as delivery uses it."""

    writes = "the issue"
    needs = "The job needs `permissions: issues: write` and, for the reviewed plan, `pull-requests: read`."

    def reviewed(self, commit: str, stack: str) -> str:
        """Returns what the page of the pull request merged as `commit` is bound to, for `binding.Reviewed.read`.

        Raises `ReviewMissing`, `CommentRefused`.
        """
        merged = [pull for pull in self._listed(f"commits/{commit}/pulls") if pull.get("merged_at")]
        merged = [pull for pull in merged if pull.get("merge_commit_sha") == commit] or merged
        if len(merged) != 1:
            raise _missing(stack, f"{len(merged)} merged pull requests belong to commit {commit}")
        number = int(merged[0]["number"])
        pages = [str(each.get("body", "")) for each in self._listed(f"issues/{number}/comments") if _of_a_bot(each)]
        for page in (each for each in pages if each.startswith(MARK)):
            if found := bound(page, stack):
                return found
        raise _missing(stack, f"pull request {number} has no page with a plan of the stack")

    def report_drift(self, stack: str, body: str | None) -> str:
        """Open or update the stack's issue with `body`, or close it if that is None. Returns its URL.

        Only a bot's issue is changed. Raises `CommentRefused`.
        """
        known = self._issue(stack)
        if body is None:
            if known is None:
                return ""
            closed = {"state": "closed", "state_reason": "completed"}
            return str(self._request("PATCH", f"issues/{known}", closed)["html_url"])
        if known is not None:
            return str(self._request("PATCH", f"issues/{known}", {"body": body})["html_url"])
        opened = {"title": f"Stack {stack} differs from what was deployed", "body": body}
        made = self._request("POST", "issues", opened, done=lambda: self._issue(stack) is not None)
        return str(made.get("html_url", ""))

    def _issue(self, stack: str) -> int | None:
        """The number of the open issue about a stack."""
        listed = self._listed("issues", state="open")
        mine = (each["number"] for each in listed if _of_a_bot(each) and _begins(each, mark(stack)))
        return next(mine, None)


def bound(page: str, stack: str) -> str:
    """Returns what a page is bound to for a stack; empty if it does not say. Pure.

    Names and values of a plan stay on their line, so none of them can be mistaken for this line.
    """
    end = page.rpartition("<summary>What this page is bound to</summary>")[2]
    line = rf"  - before `pulumi up`: `petpark preview --stack {re.escape(stack)} --expect ([0-9A-Za-z:.-]+)`"
    found = re.search(rf"^{line}$", end, re.MULTILINE)
    return found[1] if found else ""


def _missing(stack: str, why: str) -> ReviewMissing:
    return ReviewMissing(
        f"There is no reviewed plan of stack {stack}: {why}.",
        next_step=f"Review it (petpark preview --stack {stack}) and pass the value at its end: --expect REVIEWED",
    )


def _of_a_bot(entry: Mapping[str, Any]) -> bool:
    user = entry.get("user")
    return isinstance(user, Mapping) and user.get("type") == "Bot"


def _begins(entry: Mapping[str, Any], text: str) -> bool:
    return str(entry.get("body") or "").startswith(text) and "pull_request" not in entry
