"""What the policies of buckets and keys refuse, whoever asks, and the lengths that AWS takes."""

import fnmatch
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import policies
from infra.policies import ResourceNames
from registry.layout.roles import Role
from tests.infra.policies.roles import PLACES, all_documents, in_store

# --- the model store's own rules ---

COLLECTOR = "arn:aws:iam::1:role/collector"
STORE = policies.write_once_bucket("store", PLACES.encryption_key, COLLECTOR, "AROA1", "pets", {})
KEY_HEADER = "s3:x-amz-server-side-encryption-aws-kms-key-id"
ENCRYPTION_HEADER = "s3:x-amz-server-side-encryption"


def refuses(document: dict[str, Any], action: str, resource: str, **context: str) -> bool:
    """Evaluate Deny statements as AWS does: absent keys satisfy negated operators, and `Null` asks for absence."""
    context = {
        "aws:SecureTransport": "true",
        **{key.replace("__", ":").replace("_", "-"): v for key, v in context.items()},
    }
    return any(
        statement["Effect"] == "Deny"
        and any(fnmatch.fnmatchcase(action, pattern) for pattern in statement["Action"])
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        and all(
            _holds(operator, key, value, context)
            for operator, keys in statement["Condition"].items()
            for key, value in keys.items()
        )
        for statement in document["Statement"]
    )


def _holds(operator: str, key: str, expected: str, context: dict[str, str]) -> bool:
    present = context.get(key.replace("_", "-"))
    match operator:
        case "Null":
            return (present is None) == (expected == "true")
        case "Bool":
            return present == expected
        case "StringNotEquals" | "ArnNotEquals":
            return present != expected
        case _:
            raise AssertionError(operator)


def _put(**context: str) -> bool:
    return not refuses(
        STORE, "s3:PutObject", in_store("pets/blobs/x"), **{"s3__ObjectCreationOperation": "true", **context}
    )


def test_the_store_takes_a_conditional_write_and_refuses_a_plain_one():
    assert _put(s3__if_none_match="*")
    assert not _put()


def test_the_parts_of_a_multipart_upload_need_no_condition_but_its_completion_does():
    assert _put(s3__ObjectCreationOperation="false")
    assert not _put(s3__ObjectCreationOperation="true")


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({}, True),
        ({ENCRYPTION_HEADER: "aws:kms"}, True),
        ({ENCRYPTION_HEADER: "aws:kms", KEY_HEADER: PLACES.encryption_key}, True),
        ({ENCRYPTION_HEADER: "aws:kms", KEY_HEADER: "arn:aws:kms:eu-west-1:2:key/foreign"}, False),
        ({ENCRYPTION_HEADER: "AES256"}, False),
    ],
)
def test_the_store_takes_its_own_key_and_no_other(headers, taken):
    context = {key.replace(":", "__").replace("-", "_"): value for key, value in headers.items()}
    assert _put(s3__if_none_match="*", **context) is taken


def test_only_the_collector_deletes_even_where_a_policy_allows_it():
    for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
        assert refuses(STORE, action, in_store("pets/blobs/x"), aws__PrincipalArn="arn:aws:iam::1:role/admin")
        assert not refuses(STORE, action, in_store("pets/blobs/x"), aws__PrincipalArn=COLLECTOR)


@given(st.sampled_from(["s3:GetObject", "s3:ListBucket", "s3:PutObject"]))
def test_no_bucket_speaks_plain_http(action):
    for document in (STORE, policies.lake_bucket("store", {}), policies.workspace_bucket("store", {})):
        assert refuses(document, action, in_store("pets/blobs/x"), aws__SecureTransport="false")
    assert not refuses(policies.lake_bucket("store", {}), action, in_store("pets/blobs/x"))


def test_signing_is_refused_to_everybody_else_by_the_key_itself():
    document = policies.signing_key("1", "arn:aws:iam::1:role/certifier", {})
    assert refuses(document, "kms:Sign", "*", aws__PrincipalArn="arn:aws:iam::1:role/admin")
    assert not refuses(document, "kms:Sign", "*", aws__PrincipalArn="arn:aws:iam::1:role/certifier")
    assert not refuses(document, "kms:Verify", "*", aws__PrincipalArn="arn:aws:iam::1:role/admin")


def test_policies_stay_below_the_limits_of_aws():
    """Inline role policies: 10,240 characters; bucket policies: 20 KB."""
    assert all(len(policies.as_json(document)) < 10_240 for document in all_documents())
    longest = ResourceNames(**{name: name[:1] * 63 for name in vars(PLACES)})
    most = [f"{number:03}/{'x' * 46}" for number in range(20)]  # as many and as long as settings take
    assert len(policies.as_json(policies.operator(Role.PUBLISHER, longest, most))) < 10_240
    assert len(json.dumps(STORE)) < 20_000
