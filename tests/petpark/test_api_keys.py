"""`petpark keys`: what operators do with the keys of an endpoint, against SSM by moto."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from registry.layout import Role
from serving.keys.record import ApiKey, KeyScope, hash_of
from serving.keys.ring import KeyRing
from serving.telemetry import Metrics


@pytest.fixture(scope="module")
def ssm():
    """SSM by moto; one client for the module, because making one takes its time."""
    with mock_aws():
        yield boto3.client("ssm", region_name="eu-west-1")


@pytest.fixture(autouse=True)
def asked(ssm, place, monkeypatch) -> Iterator[list[tuple[str, str | None]]]:
    """Which services were asked for, in which roles. Whether a role suffices is shown where roles are enforced."""
    seen: list[tuple[str, str | None]] = []

    def client(_target, service, *, role=None):
        seen.append((service, role))
        return ssm

    monkeypatch.setattr(type(place.target()), "client", client)
    yield seen
    for page in ssm.get_paginator("get_parameters_by_path").paginate(Path="/", Recursive=True):
        for parameter in page["Parameters"]:
            ssm.delete_parameter(Name=parameter["Name"])


@pytest.fixture
def tell(run):
    """Run a command and give what it tells programs, and how it ended."""

    def do(*words: str):
        result = run("keys", *words, "--json")
        return json.loads(result.stdout), result.exit_code

    return do


@pytest.fixture
def ring(ssm):
    """The keys as a stack's endpoint sees them."""

    def read(stack: str = "test") -> KeyRing:
        opened = KeyRing(ssm, f"/petpark/{stack}/api-keys", metrics=Metrics())
        assert opened.refresh()
        return opened

    return read


def test_a_made_key_opens_its_own_endpoint_and_no_other(tell, ring):
    made, code = tell("create", "gate", "--rate", "5", "--burst", "9", "--expires", "30d", "--scope", "admin")
    assert code == 0
    record = ring("test").find(made["key"])
    assert record is not None
    assert (record.name, record.rate, record.burst, record.scopes) == ("gate", 5, 9, {KeyScope.ADMIN})
    assert record.expires is not None
    assert abs(record.expires - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=1)
    assert ring("prod").find(made["key"]) is None


def test_what_is_stored_is_a_plain_parameter_with_the_hash_and_never_the_key(tell, ssm):
    made, _ = tell("create", "gate")
    (stored,) = ssm.get_parameters_by_path(Path="/petpark/test/api-keys")["Parameters"]
    assert stored.get("Type") == "String"
    assert stored.get("Name") == "/petpark/test/api-keys/gate"
    assert made["key"] not in json.dumps(stored, default=str)
    assert ApiKey.from_json("gate", stored.get("Value", "")).hash == hash_of(made["key"])


def test_a_key_is_shown_to_people_once_and_not_in_the_list(run, ring):
    shown = run("keys", "create", "gate").stdout
    key = next(word for word in shown.split() if word.startswith("pp_"))
    assert ring().find(key) is not None
    assert "will not be shown again" in shown
    listed = run("keys", "list").stdout
    assert "gate" in listed
    assert "good" in listed
    assert key not in listed


def test_a_name_is_taken_once(tell, ring):
    first, _ = tell("create", "gate")
    again, code = tell("create", "gate")
    assert (again["error"]["outcome"], code) == ("KeyExists", 1)
    assert ring().find(first["key"]) is not None


def test_a_rotation_keeps_the_old_key_for_its_grace(tell, ring):
    old, _ = tell("create", "gate", "--rate", "7")
    new, code = tell("rotate", "gate", "--grace", "2h")
    assert code == 0
    known = ring()
    assert known.find(old["key"]) is known.find(new["key"]) is not None
    assert new["rate"] == 7
    at_once, _ = tell("rotate", "gate", "--grace", "0m")
    known = ring()
    assert [known.find(key["key"]) is not None for key in (old, new, at_once)] == [False, False, True]


def test_a_revoked_key_is_gone_with_the_one_before_it(tell, ring):
    old, _ = tell("create", "gate")
    new, _ = tell("rotate", "gate")
    told, code = tell("revoke", "gate")
    assert (told["revoked"], code) == ("gate", 0)
    known = ring()
    assert known.find(old["key"]) is known.find(new["key"]) is None


@pytest.mark.parametrize("words", [("rotate", "nobody"), ("revoke", "nobody"), ("revoke", "../prod"), ("rotate", "X")])
def test_a_name_that_nobody_has_is_said(tell, words):
    told, code = tell(*words)
    assert (told["error"]["outcome"], code) == ("KeyUnknown", 1)


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        (("create", "Gate"), "KeyRefused"),
        (("create", "gate", "--rate", "0"), "KeyRefused"),
        (("create", "gate", "--burst", "0"), "KeyRefused"),
        (("create", "gate", "--expires", "soon"), "Usage"),
        (("create", "gate", "--scope", "everything"), "Usage"),
        (("rotate", "gate", "--grace", "1w"), "Usage"),
    ],
)
def test_what_can_be_no_key_is_refused_before_anything_is_written(tell, words, outcome):
    told, code = tell(*words)
    assert (told["error"]["outcome"], code) == (outcome, 2)
    assert tell("list")[0]["keys"] == []


def test_a_key_may_be_for_ever_and_an_expired_one_shows_as_such(tell, run):
    made, _ = tell("create", "gate", "--expires", "never")
    assert made["expires"] is None
    tell("create", "old", "--expires", "0m")
    assert "expired" in run("keys", "list").stdout


def test_a_parameter_that_is_no_record_is_listed_as_such_and_can_be_revoked(tell, run, ssm):
    ssm.put_parameter(Name="/petpark/test/api-keys/junk", Value="junk", Type="String")
    tell("create", "gate")
    listed = tell("list")[0]["keys"]
    assert [key["name"] for key in listed] == ["gate", "junk"]
    assert listed[1]["problem"]
    assert "no record" in run("keys", "list").stdout
    assert tell("rotate", "junk")[0]["error"]["outcome"] == "KeyRefused"
    assert tell("revoke", "junk")[1] == 0


def test_the_promoter_makes_keys_and_the_reader_lists_them(run, asked):
    for words in (("create", "gate"), ("rotate", "gate"), ("revoke", "gate"), ("list",)):
        assert run("keys", *words).exit_code == 0
    assert asked[-1] == ("ssm", Role.READER)
    assert set(asked[:-1]) == {("ssm", Role.PROMOTER)}


def test_a_key_is_known_by_the_beginning_of_its_name_unless_others_begin_so(tell):
    for name in ("gate", "gate-camera", "ops"):
        tell("create", name)
    assert tell("revoke", "op")[0]["revoked"] == "ops"
    told, code = tell("revoke", "gat")
    assert (told["error"]["outcome"], code) == ("IdAmbiguous", 2)
    assert told["error"]["candidates"] == ["gate", "gate-camera"]
    assert tell("revoke", "gate")[0]["revoked"] == "gate", "what is one name is no beginning of another"
