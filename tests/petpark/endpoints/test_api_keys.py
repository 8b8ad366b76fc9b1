"""`petpark keys`: what operators do with the keys of an endpoint."""

import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from registry.encoding import canonical
from registry.layout.model_store import api_keys_prefix
from registry.layout.roles import Role
from registry.store.memory_store import MemoryStore
from serving.auth.key_log import KeyLog
from serving.auth.key_polling import KeyRing
from serving.auth.key_record import KeyScope, hash_of, new_key
from serving.telemetry import Metrics


@pytest.fixture
def ssm(place, monkeypatch):
    """SSM by moto, where keys were kept before."""
    with mock_aws():
        client = boto3.client("ssm", region_name="eu-west-1")

        def opened(_target, service, *, role=None):
            assert (service, role) == ("ssm", None), "no role of petpark reaches parameters"
            return client

        monkeypatch.setattr(type(place.target()), "client", opened)
        yield client


@pytest.fixture
def tell(run):
    """Run a command and give what it tells programs, and how it ended."""

    def do(*words: str):
        result = run("keys", *words, "--json")
        return json.loads(result.stdout), result.exit_code

    return do


def log(place, stack: str = "test") -> KeyLog:
    return KeyLog(place.buckets.setdefault("models", MemoryStore()), api_keys_prefix(stack))


@pytest.fixture
def ring(place):
    """The keys as a stack's endpoint sees them."""

    def read(stack: str = "test") -> KeyRing:
        opened = KeyRing(log(place, stack), metrics=Metrics())
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


def test_what_is_stored_is_the_hash_and_who_made_it_and_never_the_key(tell, place):
    made, _ = tell("create", "gate")
    (key,) = place.buckets["models"].keys("")
    body = place.buckets["models"].get(key)
    assert (key, made["key"].encode() in body) == ("api_keys/test/00000001.json", False)
    stored = json.loads(body)
    assert stored["keys"]["gate"]["hash"] == hash_of(made["key"])
    assert (stored["change"], stored["by"].rpartition("/")[2]) == ("create gate", "mia")


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


def test_what_is_no_record_is_listed_as_such_and_can_be_revoked(tell, run, place):
    tell("create", "gate")
    key = "api_keys/test/{:08d}.json"
    stored = json.loads(place.buckets["models"].get(key.format(1)))
    spoiled = {**stored, "number": 2, "keys": {**stored["keys"], "junk": "junk"}}
    place.buckets["models"].create(key.format(2), canonical(spoiled))
    listed = tell("list")[0]["keys"]
    assert [key["name"] for key in listed] == ["gate", "junk"]
    assert listed[1]["problem"]
    assert "not a key record" in run("keys", "list").stdout
    assert tell("rotate", "junk")[0]["error"]["outcome"] == "KeyRefused"
    assert tell("revoke", "junk")[1] == 0
    assert [key["name"] for key in tell("list")[0]["keys"]] == ["gate"]


def test_the_promoter_makes_keys_and_the_reader_lists_them(run, monkeypatch, place):
    asked: list[str | None] = []
    store = type(place.target()).store

    def noting(target, bucket, *, role=None):
        asked.append(role)
        return store(target, bucket, role=role)

    monkeypatch.setattr(type(place.target()), "store", noting)
    for words in (("create", "gate"), ("rotate", "gate"), ("revoke", "gate"), ("list",)):
        assert run("keys", *words).exit_code == 0
    assert asked[-1] == Role.READER
    assert set(asked[:-1]) == {Role.PROMOTER}


def test_a_key_is_known_by_the_beginning_of_its_name_unless_others_begin_so(tell):
    for name in ("gate", "gate-camera", "ops"):
        tell("create", name)
    assert tell("revoke", "op")[0]["revoked"] == "ops"
    told, code = tell("revoke", "gat")
    assert (told["error"]["outcome"], code) == ("IdAmbiguous", 2)
    assert told["error"]["candidates"] == ["gate", "gate-camera"]
    assert tell("revoke", "gate")[0]["revoked"] == "gate", "what is one name is no beginning of another"


# --- keys of an earlier petpark ------------------------------------------------------------------------------------


def keep(ssm, name: str, text: str) -> None:
    ssm.put_parameter(Name=f"/petpark/test/api-keys/{name}", Value=text, Type="String")


@pytest.fixture
def old(ssm) -> dict[str, str]:
    """Twelve keys as parameters (they come ten a page), and a parameter that is none."""
    keys = {f"gate-{number}": new_key() for number in range(12)}
    for name, key in keys.items():
        made = {"hash": hash_of(key), "rate": 5.0, "burst": 9, "created": "2026-01-01T00:00:00+00:00"}
        keep(ssm, name, json.dumps({**made, "expires": None, "scopes": ["classify"]}))
    keep(ssm, "junk", "junk")
    return keys


def test_keys_that_were_parameters_open_their_endpoint_after_a_migration(tell, ring, old, ssm):
    told, code = tell("migrate")
    assert (told["copied"], told["malformed"], code) == (sorted(old), ["junk"], 0)
    known = ring()
    assert {name: known.find(key).name for name, key in old.items()} == {name: name for name in old}
    assert len(ssm.describe_parameters()["Parameters"]) > 0, "endpoints that were not updated yet read them"
    told, code = tell("migrate", "--delete")
    assert (len(told["deleted"]), code, ssm.describe_parameters()["Parameters"]) == (13, 0, [])


def test_a_migration_brings_back_no_key_that_was_revoked_since(tell, ring, old):
    tell("migrate")
    tell("revoke", "gate-3")
    told, code = tell("migrate")
    assert (told["error"]["outcome"], code) == ("KeysMigrated", 1)
    assert ring().find(old["gate-3"]) is None


def test_parameters_are_not_deleted_before_they_were_copied(tell, old, ssm):
    told, code = tell("migrate", "--delete")
    assert (told["error"]["outcome"], code) == ("KeyUnknown", 1)
    assert ssm.describe_parameters()["Parameters"]


def test_where_nothing_is_to_be_migrated_nothing_is_written(tell, place, ssm):
    told, code = tell("migrate")
    assert (told["copied"], code, place.buckets.get("models")) == ([], 0, None)
