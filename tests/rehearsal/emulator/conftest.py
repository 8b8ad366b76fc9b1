"""The contract of every emulator: each test is a behaviour of AWS, or of the process, that petpark relies on.

`--emulator` says which emulator is tested. What one is known to lack (`Product.lacks`) is expected to fail, and a test
that passes against expectation fails the suite. The default emulator lacks nothing.
"""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from rehearsal.emulator import Emulator
from rehearsal.emulators import EMULATORS

CONTRACT = Path(__file__).resolve().parent
QUICK = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1})
CLIENTS: dict[tuple[str, str, str], Any] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    lacks = EMULATORS[str(config.getoption("--emulator"))].lacks
    reasons = {test: lacking.behaviour for lacking in lacks for test in lacking.tests}
    for item in items:
        if item.path.parent == CONTRACT:
            name = f"{item.path.name}::{item.name}"
            reason = reasons.get(name) or reasons.get(name.partition("[")[0])
            if reason is not None:
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def client(emulator: Emulator) -> Callable[[str], Any]:
    """Clients of the administrator, one a service."""

    def get(service: str) -> Any:
        key = (emulator.url, service, "test")
        if key not in CLIENTS:
            CLIENTS[key] = emulator.client(service)
        return CLIENTS[key]

    return get


def allow(action: str | Sequence[str], resource: str | Sequence[str] = "*", **more: Any) -> dict[str, Any]:
    """A statement."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str | Sequence[str], resource: str | Sequence[str] = "*", **more: Any) -> dict[str, Any]:
    """A statement."""
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def document(*statements: Mapping[str, Any]) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(**principal: str) -> str:
    """A trust policy."""
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


ACCOUNT = "000000000000"
TRUST_ACCOUNT = trust(AWS=f"arn:aws:iam::{ACCOUNT}:root")
TRUST_EC2 = trust(Service="ec2.amazonaws.com")


def session_client(emulator: Emulator, service: str, credentials: Mapping[str, str]) -> Any:
    """A client with the credentials of a role's session."""
    create: Any = boto3.session.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials.get("SessionToken"),
        region_name=emulator.region,
    ).client
    return create(service, endpoint_url=emulator.url, config=QUICK)


Assume = Callable[..., Callable[[str], Any]]


@pytest.fixture
def assume(emulator: Emulator, client: Callable[[str], Any], name: str) -> Assume:
    """`assume(statement, …)` makes a role with these statements and returns clients of a session of it.

    The role has the test's `name`, and `suffix` behind it.
    """

    def assume(*statements: Mapping[str, Any], trusting: str = TRUST_ACCOUNT, suffix: str = "") -> Callable[[str], Any]:
        role = client("iam").create_role(RoleName=name + suffix, AssumeRolePolicyDocument=trusting)["Role"]["Arn"]
        if statements:
            client("iam").put_role_policy(RoleName=name + suffix, PolicyName="p", PolicyDocument=document(*statements))
        credentials = client("sts").assume_role(RoleArn=role, RoleSessionName="tester")["Credentials"]
        return lambda service: session_client(emulator, service, credentials)

    return assume


@pytest.fixture
def bucket(client: Callable[[str], Any], name: str, emulator: Emulator) -> str:
    """An empty bucket."""
    client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": emulator.region})
    return name


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    """The code with which a call is refused; "" when it is not."""
    try:
        call(**arguments)
    except ClientError as error:
        response: Any = error.response
        return str(response["Error"]["Code"])
    return ""
