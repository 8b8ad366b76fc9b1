"""What the plugin does not evaluate, it refuses when it is written: a rehearsal must not be laxer without a word.

Not part of the contract: AWS, and an emulator that evaluates all of IAM, take these policies.
"""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rehearsal.emulator import Emulator
from tests.rehearsal.emulator.conftest import ACCOUNT, allow, document, session_client, trust

Client = Callable[[str], Any]


@pytest.mark.parametrize(
    "statement",
    [
        allow("s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        allow("s3:GetObject", Condition={"StringEquals": {"aws:UserAgent": "x"}}),
        {"Effect": "Deny", "NotPrincipal": {"AWS": "*"}, "Action": "s3:*", "Resource": "*"},
        allow("s3:GetObject", "arn:aws:s3:::bucket/${aws:PrincipalTag/team}/*"),
    ],
    ids=["address", "key", "element", "variable"],
)
def test_a_policy_that_cannot_be_evaluated_is_refused_when_it_is_written(
    client: Client, name: str, statement: dict[str, Any]
) -> None:
    iam = client("iam")
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException, match="does not evaluate"):
        iam.create_policy(PolicyName=name, PolicyDocument=document(statement))


def test_so_is_a_trust_policy(client: Client, name: str) -> None:
    iam = client("iam")
    trusting = document(
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Condition": {"StringEquals": {"sts:ExternalId": "x"}},
        }
    )
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException, match="does not evaluate"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting)


def test_a_permissions_boundary_limits_what_policies_allow(client: Client, emulator: Emulator, name: str) -> None:
    iam, user = client("iam"), f"{name}-user"
    reading = iam.create_policy(PolicyName=name, PolicyDocument=document(allow("s3:ListAllMyBuckets")))["Policy"]["Arn"]
    iam.create_user(UserName=user, PermissionsBoundary=reading)
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=document(allow(["s3:*", "sqs:*"])))
    keys = iam.create_access_key(UserName=user)["AccessKey"]
    session_client(emulator, "s3", keys).list_buckets()
    with pytest.raises(ClientError, match="because no permissions boundary allows it"):
        session_client(emulator, "sqs", keys).list_queues()


def test_a_session_policy_limits_the_session_it_was_given_for(client: Client, emulator: Emulator, name: str) -> None:
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust(AWS=ACCOUNT))["Role"]["Arn"]
    able = document(allow(["s3:ListAllMyBuckets", "sqs:ListQueues"]))
    client("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=able)
    limited = document(allow("s3:ListAllMyBuckets"))
    assume = client("sts").assume_role
    session = assume(RoleArn=role, RoleSessionName="tester", Policy=limited)["Credentials"]
    session_client(emulator, "s3", session).list_buckets()
    with pytest.raises(ClientError, match="because no session policy allows it"):
        session_client(emulator, "sqs", session).list_queues()
    whole = assume(RoleArn=role, RoleSessionName="tester")["Credentials"]
    session_client(emulator, "sqs", whole).list_queues()
