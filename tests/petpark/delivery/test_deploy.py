"""`petpark deploy`: applies the plan that was reviewed, and looks at what answers afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petpark.delivery import read_back
from petpark.delivery.read_back import Seen, State
from petpark.delivery.repository import Repository, bound
from petpark.errors import ReviewMissing
from petpark.preview.page import MARK
from tests.petpark.delivery.conftest import COMMIT, Checkout
from tests.petpark.github_api import Api

URN = "urn:pulumi:test::petpark::petpark:infra:ModelStore$aws:s3/bucket:Bucket::models-store-bucket"
STEP = {"op": "update", "urn": URN, "oldState": {"inputs": {"a": 1}}, "newState": {"inputs": {"a": 2}}}
MOVED = {"op": "update", "urn": URN, "oldState": {"inputs": {"a": 1}}, "newState": {"inputs": {"a": 3}}}
BINDING = f"{'d' * 64}:{'e' * 40}:7"
END = "<details><summary>What this page is bound to</summary>"
UP = {"events": [{"op": "update", "urn": URN}]}


@pytest.fixture
def deploy(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run the command; what answers afterwards is as declared."""
    seen = [Seen(what="endpoint", state=State.FINE, found="serves 1")]
    monkeypatch.setattr(read_back, "read_back", lambda _target: seen)
    return lambda *words: checkout.run("deploy", *words, target=lambda _kind, _stack: None)


def reviewed(checkout: Checkout) -> str:
    checkout.says(preview={"steps": [STEP]})
    return json.loads(checkout.run("preview", "--json").output)["bindings"]["test"]


def test_the_reviewed_plan_is_applied_with_the_rules(checkout: Checkout, deploy: Callable[..., Any]) -> None:
    expected = reviewed(checkout)
    checkout.says(preview={"steps": [STEP]}, up=UP)
    done = deploy("--expect", expected, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["changes"] == [f"update {URN}"]
    (words,) = checkout.called("up")
    assert words[words.index("--policy-pack") + 1] == "infra/crossguard"


def test_a_plan_that_has_moved_is_not_applied(checkout: Checkout, deploy: Callable[..., Any]) -> None:
    expected = reviewed(checkout)
    checkout.says(preview={"steps": [MOVED]}, up=UP)
    done = deploy("--expect", expected)
    assert done.exit_code == 1
    assert "this is not what was reviewed: the plan is" in " ".join(done.output.split())
    assert checkout.called("up") == []


def test_a_program_that_has_moved_is_not_applied(checkout: Checkout, deploy: Callable[..., Any]) -> None:
    expected = reviewed(checkout)
    (checkout.root / "other.py").write_text("")
    checkout.commit()
    done = deploy("--expect", expected)
    assert done.exit_code == 1
    assert "the program's tree is" in " ".join(done.output.split())
    assert checkout.called("up") == []


def test_a_state_that_has_moved_is_not_applied(checkout: Checkout, deploy: Callable[..., Any]) -> None:
    expected = reviewed(checkout)
    checkout.says(preview={"steps": [STEP]}, up=UP)
    assert deploy("--expect", expected).exit_code == 0, "somebody else deploys it first"
    done = deploy("--expect", expected)
    assert done.exit_code == 1
    assert "the state is 1, reviewed was none" in " ".join(done.output.split())
    assert len(checkout.called("up")) == 1


def test_the_saved_plan_of_another_stack_is_refused(checkout: Checkout, deploy: Callable[..., Any]) -> None:
    checkout.says(preview={"steps": [STEP]}, up=UP)
    plan = str(checkout.root.parent / "plan.json")
    checkout.run("preview", "--save", plan)
    refused = deploy("--expect", plan, "--stack", "prod")
    assert refused.exit_code == 1
    assert deploy("--expect", plan).exit_code == 0


def page(checkout: Checkout) -> str:
    checkout.says(preview={"steps": [STEP]}, up=UP)
    return checkout.run("preview").output


def test_the_plan_on_the_merged_pull_requests_page_is_applied(
    checkout: Checkout, deploy: Callable[..., Any], workflow: Callable[[], Api]
) -> None:
    api = workflow()
    api.merged = [{"number": 7, "merged_at": "2026-11-30T10:00:00Z", "merge_commit_sha": COMMIT}]
    api.comments = [{"id": 1, "user": {"type": "Bot"}, "body": page(checkout)}]
    assert api.comments[0]["body"].startswith(MARK)
    done = deploy("--reviewed")
    assert done.exit_code == 0, done.output
    assert len(checkout.called("up")) == 1


@pytest.mark.parametrize("missing", ["pull request", "comment", "person", "stack", "unmerged"])
def test_without_a_reviewed_plan_there_is_no_digest(api: Api, missing: str) -> None:
    stack = "other" if missing == "stack" else "test"
    text = f"{MARK}\n{END}\n  - before `pulumi up`: `petpark preview --stack {stack} --expect {BINDING}`\n"
    merged = None if missing == "unmerged" else "2026-11-30T10:00:00Z"
    api.merged = [] if missing == "pull request" else [{"number": 7, "merged_at": merged, "merge_commit_sha": COMMIT}]
    kind = "User" if missing == "person" else "Bot"
    api.comments = [] if missing == "comment" else [{"id": 1, "user": {"type": kind}, "body": text}]
    repository = Repository(url=api.url, repository="park/pets", token="t", sleep=api.slept.append)
    with repository, pytest.raises(ReviewMissing) as refused:
        repository.reviewed(COMMIT, "test")
    assert "--expect REVIEWED" in refused.value.next_step


def test_only_the_pages_own_last_lines_say_what_it_is_bound_to() -> None:
    line = f"  - before `pulumi up`: `petpark preview --stack test --expect {BINDING}`"
    assert bound(f"{MARK}\n{END}\n{line}\n", "test") == BINDING
    assert bound(f"{MARK}\n{END}\n{line}\n{END}\n", "test") == "", "what stands above is a plan's, not the page's"
    assert bound(f"{MARK}\n{END}\n  - program: commit `x{line}`\n", "test") == ""
    assert bound(f"{MARK}\n{END}\n{line}\n", "tes") == ""
    assert bound(f"{MARK}\n{END}\n{line}\n", "te.t") == ""


def test_somebody_has_to_say_what_was_reviewed(deploy: Callable[..., Any]) -> None:
    assert deploy().exit_code == 2
    assert deploy("--expect", "abc").exit_code == 2


def test_an_update_that_fails_is_not_looked_at(checkout: Checkout, deploy: Callable[..., Any]) -> None:
    expected = reviewed(checkout)
    checkout.says(preview={"steps": [STEP]}, up={"errors": ["no capacity"]})
    done = deploy("--expect", expected)
    assert done.exit_code == 2
    assert "no capacity" in done.output


def test_the_plan_of_prod_is_shown_where_its_approval_is_given(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    refused = checkout.run("preview", "--summary")
    assert refused.exit_code == 2
    assert "GITHUB_STEP_SUMMARY" in refused.output
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    checkout.says(preview={"steps": [STEP]})
    assert checkout.run("preview", "--summary").exit_code == 0
    assert summary.read_text().startswith(f"before\n{MARK}")
    assert "models-store-bucket" in summary.read_text()
