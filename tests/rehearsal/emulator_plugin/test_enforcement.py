"""What the plugin does not evaluate, it refuses when it is written: a rehearsal must not be laxer without a word.

Not part of the contract: AWS, and an emulator that evaluates all of IAM, take these policies.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.rehearsal.emulator.conftest import ACCOUNT, allow, document

Client = Callable[[str], Any]


@pytest.mark.parametrize(
    "statement",
    [
        allow("s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        allow("s3:GetObject", Condition={"StringEquals": {"aws:UserAgent": "x"}}),
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
        allow("s3:GetObject", "arn:aws:s3:::bucket/${aws:username}/*"),
    ],
    ids=["operator", "key", "element", "variable"],
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
