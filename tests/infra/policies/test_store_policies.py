"""Rules about names: who may move which channel, and under which name anybody takes a role."""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from infra import policies
from registry.channel_policy import ChannelPolicy
from registry.layout.model_store import blob_key, certificate_key, channel_entry_key, experiment_key, version_key
from tests.policy_evaluator import policy

ACCOUNT = "123456789012"
KEY = "arn:aws:kms:eu-west-1:1:key/encrypt"
PROMOTER, OTHER = "AROAPROMOTER", "AROAOTHER"

CHANNEL = st.sampled_from(["test", "prod", "prod-b", "p"])
PERSON = st.one_of(st.sampled_from(["ana", "mia", "ann"]), st.from_regex(r"[a-zA-Z0-9_+=,.@-]{2,64}", fullmatch=True))
MOVERS = st.dictionaries(CHANNEL, st.lists(PERSON, max_size=3))


def store(movers: Mapping[str, list[str]]) -> dict[str, Any]:
    channels = {name: ChannelPolicy(movers=tuple(people)) for name, people in movers.items()}
    return policies.write_once_bucket("store", KEY, f"arn:aws:iam::{ACCOUNT}:role/c", PROMOTER, "pets", channels)


def refuses(document: dict[str, Any], key: str, userid: str) -> bool:
    """Whether the bucket itself refuses a proper write of `key`."""
    context = {
        "aws:securetransport": "true",
        "aws:userid": userid,
        "s3:if-none-match": "*",
        "s3:objectcreationoperation": "true",
    }
    asked = policy.Request(action="s3:PutObject", resource=f"arn:aws:s3:::store/{key}", context=context)
    verdict = policy.evaluate(json.dumps(document), asked, policy.Principal(account=ACCOUNT, arns=frozenset({"a"})))
    return verdict is policy.Decision.EXPLICIT_DENY


@given(MOVERS, CHANNEL, st.sampled_from([PROMOTER, OTHER]), PERSON)
def test_a_channel_with_movers_takes_entries_and_experiments_from_promoters_of_these_names_alone(
    movers, channel, role, person
):
    named = movers.get(channel, [])
    for asked in {person, *named}:
        refused = bool(named) and not (role == PROMOTER and asked in named)
        for key in (channel_entry_key("pets", channel, 7), experiment_key("pets", channel, 7)):
            assert refuses(store(movers), key, f"{role}:{asked}") is refused


@given(MOVERS, PERSON)
def test_movers_change_nothing_for_the_rest_of_the_registry_nor_for_another_model(movers, person):
    document = store(movers)
    for key in (
        blob_key("pets", "f" * 64),
        version_key("pets", 1),
        certificate_key("pets", 1, 1),
        channel_entry_key("cars", "prod", 1),
    ):
        assert not refuses(document, key, f"{OTHER}:{person}")


@given(MOVERS)
def test_neither_a_user_nor_the_accounts_root_moves_a_channel_with_movers(movers):
    for channel in (name for name, people in movers.items() if people):
        for userid in ("AIDAUSER", ACCOUNT, "anonymous"):
            assert refuses(store(movers), channel_entry_key("pets", channel, 1), userid)


def takes(session: str, **caller: str) -> bool:
    """Whether an operator role lets itself be taken under the name `session`."""
    context = {"sts:rolesessionname": session} | {f"aws:{key}": value for key, value in caller.items()}
    role = f"arn:aws:iam::{ACCOUNT}:role/promoter"
    asked = policy.Request(action="sts:AssumeRole", resource=role, context=context)
    caller_arn = frozenset({f"arn:aws:iam::{ACCOUNT}:user/u"})
    document = json.dumps(policies.trust_people(ACCOUNT))
    return (
        policy.evaluate(document, asked, policy.Principal(account=ACCOUNT, arns=caller_arn))
        is policy.Decision.DELEGATED
    )


@given(PERSON, PERSON)
def test_a_user_takes_a_role_under_their_own_name_alone(user, other):
    assert takes(user, userid="AIDAUSER", username=user)
    assert takes(other, userid="AIDAUSER", username=user) is (user == other)


@given(PERSON, PERSON)
def test_whoever_is_in_a_role_already_keeps_the_name_of_that_session(person, other):
    assert takes(person, userid=f"{OTHER}:{person}")
    assert takes(other, userid=f"{OTHER}:{person}") is (person == other)


@given(PERSON)
def test_who_has_neither_name_takes_no_role(person):
    assert not takes(person, userid=ACCOUNT)
    assert not takes(person, userid="AIDAUSER")


def test_another_account_takes_no_role():
    context = {"sts:rolesessionname": "mia", "aws:userid": "AIDAUSER", "aws:username": "mia"}
    asked = policy.Request(action="sts:AssumeRole", resource="arn:aws:iam::1:role/promoter", context=context)
    stranger = policy.Principal(account="2", arns=frozenset({"arn:aws:iam::2:user/mia"}))
    assert policy.evaluate(json.dumps(policies.trust_people(ACCOUNT)), asked, stranger) is policy.Decision.IMPLICIT_DENY


def test_twenty_movers_a_channel_and_ten_channels_fit_into_a_bucket_policy():
    """AWS: 20 KB. https://docs.aws.amazon.com/general/latest/gr/s3.html"""
    people = [f"somebody.with.a.name{number}@park.example" for number in range(20)]
    role_id = "AROA" + "A" * 17
    channels = {f"channel-{number}": ChannelPolicy(movers=tuple(people)) for number in range(10)}
    document = policies.write_once_bucket("b" * 63, KEY * 2, KEY * 2, role_id, "pets", channels)
    assert len(policies.as_json(document)) < 20_000


def test_only_s3_puts_records_into_the_access_log_and_only_those_of_the_store():
    document = policies.access_log_bucket("log", "store", ACCOUNT)
    (delivery,) = (statement for statement in document["Statement"] if statement["Effect"] == "Allow")
    assert delivery["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert delivery["Action"] == ["s3:PutObject"]
    assert delivery["Resource"] == ["arn:aws:s3:::log/model-store/*"]
    assert delivery["Condition"] == {
        "ArnLike": {"aws:SourceArn": "arn:aws:s3:::store"},
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
    }


def test_the_rehearsal_can_evaluate_what_is_said_here():
    policy.check(json.dumps(store({"prod": ["mia"]})))
    policy.check(json.dumps(policies.trust_people(ACCOUNT)))
    policy.check(json.dumps(policies.access_log_bucket("log", "store", ACCOUNT)))
