"""`petpark state drift`: what was changed by hand, and the one issue about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petpark.delivery import drift
from petpark.delivery.drift import Drift
from petpark.delivery.engine_events import Done, read
from petpark.delivery.repository import Repository, mark
from petpark.errors import CommentRefused, PulumiFailed
from petpark.preview.page import LIMIT
from petpark.preview.plan import PropertyChange
from tests.petpark.delivery.conftest import Checkout
from tests.petpark.github_api import Api

URN = "urn:pulumi:test::petpark::petpark:infra:Network$aws:ec2/vpc:Vpc::network-vpc"
CHANGED = {
    "op": "update",
    "urn": URN,
    "old": {"outputs": {"tags": {"Name": "park"}, "cidrBlock": "10.20.0.0/16"}},
    "new": {"outputs": {"tags": {"Name": "mine"}, "cidrBlock": "10.20.0.0/16"}},
}
SAME = {"op": "same", "urn": URN.replace("network-vpc", "other"), "old": {}, "new": {}}


def client(api: Api) -> Repository:
    return Repository(url=api.url, repository="park/pets", token="t", sleep=api.slept.append)


def test_what_was_changed_by_hand_is_named_and_ends_with_1(checkout: Checkout) -> None:
    checkout.says(refresh={"events": [CHANGED, SAME]})
    found = checkout.run("state", "drift", "--stack", "test", "--json")
    assert found.exit_code == 1, found.output
    (resource,) = json.loads(found.output)["resources"]
    assert resource == {"op": "update", "urn": URN, "properties": ["tags.Name"]}
    (words,) = checkout.called("refresh")
    assert "--preview-only" in words, "a check changes nothing, not even the state"
    assert "--yes" not in words


def test_a_stack_as_it_was_deployed_ends_with_0(checkout: Checkout) -> None:
    checkout.says(refresh={"events": [SAME]})
    found = checkout.run("state", "drift", "--stack", "test")
    assert found.exit_code == 0, found.output
    assert "is as it was deployed" in found.output


def test_one_issue_opens_follows_and_closes(checkout: Checkout, workflow: Callable[[], Api]) -> None:
    api = workflow()
    checkout.says(refresh={"events": [CHANGED]})
    assert checkout.run("state", "drift", "--issue").exit_code == 0, (
        "the issue says it; a red run every day would say no more"
    )
    assert checkout.run("state", "drift", "--issue").exit_code == 0
    (issue,) = api.issues
    assert issue["state"] == "open"
    assert "`tags.Name`: `park` → `mine`" in issue["body"]
    checkout.says(refresh={"events": [{**CHANGED, "op": "delete", "new": None}]})
    checkout.run("state", "drift", "--issue")
    assert "was deleted" in api.issues[0]["body"]
    checkout.says(refresh={"events": []})
    assert checkout.run("state", "drift", "--issue").exit_code == 0
    assert [each["state"] for each in api.issues] == ["closed"]
    assert checkout.run("state", "drift", "--issue").exit_code == 0
    assert len(api.issues) == 1
    checkout.says(refresh={"events": [CHANGED]})
    checkout.run("state", "drift", "--issue")
    assert [each["state"] for each in api.issues] == ["closed", "open"]


def test_each_stack_has_its_own_issue_and_a_persons_stays(api: Api) -> None:
    text = f"{mark('test')}\nmine"
    api.issues = [{"number": 1, "user": {"type": "User"}, "body": text, "state": "open", "html_url": "x"}]
    with client(api) as repository:
        repository.report_drift("test", f"{mark('test')}\nbody")
        repository.report_drift("prod", f"{mark('prod')}\nbody")
        repository.report_drift("test", None)
    assert [each["state"] for each in api.issues] == ["open", "closed", "open"]
    assert api.issues[0]["body"] == text


@pytest.mark.parametrize("fault", [500, 429, "before", "after"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_failure_that_passes_leaves_one_issue(api: Api, method: str, fault: int | str) -> None:
    api.faults = [(method, fault), (method, fault)]
    with client(api) as repository:
        repository.report_drift("test", f"{mark('test')}\nbody")
    assert len(api.issues) == 1


def test_a_refusal_says_what_the_job_needs(api: Api) -> None:
    api.faults = [("POST", 422)]
    with client(api) as repository, pytest.raises(CommentRefused, match="the issue: HTTP 422") as refused:
        repository.report_drift("test", f"{mark('test')}\nbody")
    assert "issues: write" in refused.value.next_step


def test_an_event_log_in_another_form_is_refused() -> None:
    for text in ("{", "[]", '{"resOutputsEvent": {}}', '{"resOutputsEvent": {"metadata": {"op": "update"}}}'):
        with pytest.raises(PulumiFailed, match="unknown format"):
            list(read(text))


TEXT = st.text(min_size=0, max_size=3_000)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(TEXT, st.lists(st.tuples(TEXT, st.none() | TEXT, st.none() | TEXT), max_size=3)), max_size=4),
    st.integers(1, 200),
)
def test_the_issue_always_fits_and_begins_with_its_mark(resources: list[Any], times: int) -> None:
    made = tuple(
        Done(
            op="update",
            urn=f"{URN}{name}",
            properties=tuple(PropertyChange(path=path, before=old, after=new) for path, old, new in properties),
        )
        for name, properties in resources
    )
    text = drift.body(Drift(stack="test", resources=made * times), mark("test"))
    assert len(text) <= LIMIT
    assert text.startswith(mark("test"))
