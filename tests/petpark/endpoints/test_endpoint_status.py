"""What really answers, compared with what the channel says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from petpark.endpoints import endpoint_status
from petpark.endpoints.endpoint_status import Verdict
from registry.version import Version
from tests.petpark.conftest import Place, Run, Serve, outputs

type Publish = Callable[..., Version]


@pytest.fixture
def in_test(run: Run, publish: Publish) -> Version:
    """A version that channel `test` is at."""
    version = publish()
    run("promote", "1", "--channel", "test", "--why", "x")
    return version


def says(version: int | None, digest: str | None, **more: Any) -> dict[str, Any]:
    return {
        "name": "pets",
        "version": version,
        "digest": digest,
        "channel": "test",
        "entry": 1,
        "refused": None,
        **more,
    }


def only_test(place: Place, url: str) -> None:
    del place.exported["prod"]
    place.urls["test"] = url


def test_an_endpoint_that_serves_what_its_channel_says_is_fine(
    run: Run, place: Place, serve: Serve, in_test: Version
) -> None:
    only_test(place, serve(says(1, in_test.digest)))
    said = run("endpoints", "status", "--json")
    (told,) = json.loads(said.stdout)["endpoints"]
    assert said.exit_code == 0
    assert (told["verdict"], told["version"], told["wanted"], told["alarming"]) == ("serves", 1, 1, False)
    assert "serves" in run("endpoints", "status").stdout


def test_an_endpoint_that_goes_on_serving_a_revoked_version_is_shown_with_the_command_that_helps(
    run: Run, place: Place, serve: Serve, in_test: Version
) -> None:
    only_test(place, serve(says(1, in_test.digest)))
    assert run("certify", "1", "--decision", "revoked", "--note", "misses cats", "--yes").exit_code == 0
    said = run("endpoints", "status", "--json")
    (told,) = json.loads(said.stdout)["endpoints"]
    assert (said.exit_code, told["verdict"], told["alarming"]) == (1, "revoked", True)
    assert "revoked by vera" in told["reason"]
    assert "petpark rollback --channel test" in told["reason"]


@pytest.mark.parametrize(("version", "digest"), [(2, None), (1, "sha256:" + "0" * 64), (None, None)])
def test_an_endpoint_that_serves_something_else_ends_with_1(
    run: Run, place: Place, serve: Serve, in_test: Version, version: int | None, digest: str | None
) -> None:
    only_test(place, serve(says(version, digest or (in_test.digest if version else None))))
    said = run("endpoints", "status")
    assert said.exit_code == 1
    assert "differs" in said.stdout


def test_an_endpoint_that_follows_another_channel_than_was_declared_ends_with_1(
    run: Run, place: Place, serve: Serve, in_test: Version
) -> None:
    only_test(place, serve(says(1, in_test.digest, channel="prod")))
    said = run("endpoints", "status")
    assert said.exit_code == 1
    assert "follows channel prod; `up` declared test" in said.stdout


def test_an_endpoint_that_refuses_a_version_says_why(run: Run, place: Place, serve: Serve, in_test: Version) -> None:
    only_test(place, serve(says(None, None, refused={"outcome": "NotCertified", "message": "nobody signed"})))
    said = run("endpoints", "status")
    assert said.exit_code == 1
    assert "refused: nobody signed" in said.stdout


@pytest.mark.parametrize("kind", ["nobody", "503", "no json", "a list"])
def test_an_endpoint_that_says_nothing_useful_ends_with_1(
    run: Run, place: Place, serve: Serve, in_test: Version, kind: str
) -> None:
    urls = {
        "nobody": lambda: "http://127.0.0.1:1",
        "503": lambda: serve({}, 503),
        "no json": lambda: serve(b"<html>"),
        "a list": lambda: serve([1, 2]),
    }
    only_test(place, urls[kind]())
    said = run("endpoints", "status", "--json")
    (told,) = json.loads(said.stdout)["endpoints"]
    assert (said.exit_code, told["verdict"]) == (1, "silent")
    assert told["reason"]


def test_before_the_first_release_nothing_is_to_be_served(run: Run, place: Place, serve: Serve) -> None:
    only_test(place, serve(says(None, None)))
    said = run("endpoints", "status", "--json")
    assert (said.exit_code, json.loads(said.stdout)["endpoints"][0]["verdict"]) == (0, "empty")


def test_a_load_balancer_without_anything_to_serve_is_not_silent(run: Run, place: Place, serve: Serve) -> None:
    only_test(place, serve({}, 503))
    said = run("endpoints", "status", "--json")
    assert (said.exit_code, json.loads(said.stdout)["endpoints"][0]["verdict"]) == (0, "empty")


def test_every_stack_is_asked(run: Run, place: Place, serve: Serve, in_test: Version) -> None:
    place.urls["test"] = serve(says(1, in_test.digest))
    place.urls["prod"] = serve(says(1, in_test.digest))
    said = run("endpoints", "status", "--json")
    told = {entry["stack"]: entry["verdict"] for entry in json.loads(said.stdout)["endpoints"]}
    assert told == {"test": "serves", "prod": "differs"}
    assert said.exit_code == 1


@pytest.mark.parametrize(("scheme", "told"), [("https", "127.0.0.1 needs a CNAME to lb.example"), ("http", "")])
def test_a_name_that_does_not_answer_is_told_with_the_cname_that_it_needs(
    run: Run, place: Place, in_test: Version, scheme: str, told: str
) -> None:
    place.exported["test"] = outputs("test", kind="autoscaled", load_balancer_name="lb.example")
    only_test(place, f"{scheme}://127.0.0.1:1")
    answer = json.loads(run("endpoints", "status", "--json").stdout)["endpoints"][0]
    assert answer["verdict"] == "silent"
    assert told in answer["reason"]
    assert ("CNAME" in answer["reason"]) == bool(told)


def test_instances_behind_a_load_balancer_are_asked_one_by_one(
    place: Place, serve: Serve, in_test: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.exported["test"] = outputs("test", kind="autoscaled", target_group="tg")
    place.urls["test"] = serve(says(1, in_test.digest))
    stale, gone = serve(says(2, in_test.digest)), "http://127.0.0.1:1"
    addresses = {"10.0.0.1": stale, "10.0.0.2": gone}
    monkeypatch.setattr(
        endpoint_status, "_instances", lambda _target, _group: [("i-1", "10.0.0.1", 80), ("i-2", "10.0.0.2", 80)]
    )
    monkeypatch.setattr(type(place.target()), "instance_url", lambda _self, _id, address, _port: addresses[address])
    told = {answer.where: answer.verdict for answer in endpoint_status.status(place.target())}
    assert told == {"load balancer": Verdict.SERVES, "i-1": Verdict.DIFFERS, "i-2": Verdict.UNSEEN}
    assert not Verdict.UNSEEN.alarming
    assert endpoint_status.instances(place.target()) == [("i-1", stale), ("i-2", gone)]


def test_an_endpoint_of_one_instance_runs_on_that_one(place: Place) -> None:
    place.exported["test"] = outputs("test", instance_id="i-7")
    place.urls["test"] = "http://127.10.0.7:8080"
    assert endpoint_status.instances(place.target()) == [("i-7", "http://127.10.0.7:8080")]
