"""An endpoint in an account of its own, against an owner's buckets and keys, where both sides are enforced."""

import uuid
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from infra import policies
from infra.policies import ResourceNames
from registry.layout.data_lake import event_key
from registry.layout.model_store import api_keys_key, api_keys_prefix, version_key
from registry.layout.workspace import code_key
from rehearsal.emulator import Emulator
from tests.rehearsal.emulator.conftest import ACCOUNT, TRUST_EC2, refusal, session_client

pytestmark = pytest.mark.rehearsal

PROD = "000000000002"
ACCOUNTS = {"prod": PROD}
VERSION = version_key("pets", 1)


@dataclass(frozen=True, kw_only=True)
class Two:
    """The owner's buckets, and S3 and KMS as a role of the other account sees them."""

    places: ResourceNames
    s3: Any
    kms: Any
    other_s3: Any
    """As a role of the other account that is no endpoint's."""


@pytest.fixture(scope="module")
def two(emulator: Emulator) -> Two:
    mark = uuid.uuid4().hex[:6]
    s3, kms = emulator.client("s3"), emulator.client("kms")
    encryption = kms.create_key(Policy=policies.as_json(policies.encryption_key(ACCOUNT, ACCOUNTS)))
    signing = kms.create_key(
        KeyUsage="SIGN_VERIFY",
        KeySpec="ECC_NIST_P256",
        Policy=policies.as_json(policies.signing_key(ACCOUNT, "arn:aws:iam::1:role/c", ACCOUNTS)),
    )
    places = ResourceNames(
        model="pets",
        model_store=f"store-{mark}",
        data_lake=f"lake-{mark}",
        workspace=f"work-{mark}",
        encryption_key=encryption["KeyMetadata"]["Arn"],
        signing_key=signing["KeyMetadata"]["Arn"],
    )
    store = policies.write_once_bucket(
        places.model_store, places.encryption_key, "arn:aws:iam::1:role/c", "AROA1", "pets", {}, ACCOUNTS
    )
    documents = {
        places.model_store: store,
        places.data_lake: policies.lake_bucket(places.data_lake, ACCOUNTS),
        places.workspace: policies.workspace_bucket(places.workspace, ACCOUNTS),
    }
    for bucket, document in documents.items():
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": emulator.region})
        s3.put_bucket_policy(Bucket=bucket, Policy=policies.as_json(document))
    by_key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": places.encryption_key}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": by_key}]}
    s3.put_bucket_encryption(Bucket=places.model_store, ServerSideEncryptionConfiguration=rules)
    s3.put_object(Bucket=places.model_store, Key=VERSION, Body=b"{}", IfNoneMatch="*")
    for stack in ("prod", "test"):
        s3.put_object(Bucket=places.model_store, Key=api_keys(stack, 1), Body=b"{}", IfNoneMatch="*")
    s3.put_object(Bucket=places.workspace, Key=code_key("prod", "f" * 64), Body=b"zip")
    granted = policies.as_json(policies.endpoint(places, f"arn:aws:logs:eu-west-1:{PROD}:log-group:/x", "prod"))
    endpoint, other = (take(emulator, f"{name}-{mark}", granted) for name in ("endpoint-machine-role", "batch"))
    return Two(
        places=places,
        s3=session_client(emulator, "s3", endpoint),
        kms=session_client(emulator, "kms", endpoint),
        other_s3=session_client(emulator, "s3", other),
    )


def api_keys(stack: str, number: int) -> str:
    return api_keys_key(api_keys_prefix(stack), number)


def take(emulator: Emulator, name: str, granted: str) -> Any:
    """A session of a new role of the other account."""

    def client(service: str) -> Any:
        signed_in = {"aws_access_key_id": PROD, "aws_secret_access_key": "test", "region_name": emulator.region}
        return boto3.client(service, endpoint_url=emulator.url, **signed_in)  # pyright: ignore[reportCallIssue, reportArgumentType]

    iam = client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_EC2)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=granted)
    return client("sts").assume_role(RoleArn=role, RoleSessionName="i-0123456789abcdef0")["Credentials"]


def test_an_endpoint_of_the_other_account_reads_models_and_code_and_verifies(two: Two) -> None:
    places = two.places
    assert refusal(two.s3.get_object, Bucket=places.model_store, Key=VERSION) == ""
    assert refusal(two.s3.list_objects_v2, Bucket=places.model_store) == ""
    assert refusal(two.s3.get_object, Bucket=places.model_store, Key=version_key("pets", 2)) == "NoSuchKey"
    assert refusal(two.s3.get_object, Bucket=places.workspace, Key=code_key("prod", "f" * 64)) == ""
    assert refusal(two.kms.get_public_key, KeyId=places.signing_key) == ""


def test_it_reads_the_api_keys_of_its_own_stack_in_the_owners_store_and_writes_none(two: Two) -> None:
    store = two.places.model_store
    assert refusal(two.s3.get_object, Bucket=store, Key=api_keys("prod", 1)) == ""
    assert refusal(two.s3.get_object, Bucket=store, Key=api_keys("prod", 2)) == "NoSuchKey"
    assert refusal(two.s3.get_object, Bucket=store, Key=api_keys("test", 1)) == "AccessDenied"
    written = {"Bucket": store, "Key": api_keys("prod", 2), "Body": b"{}", "IfNoneMatch": "*"}
    assert refusal(two.s3.put_object, **written) == "AccessDenied"


def test_it_adds_events_and_writes_nothing_else(two: Two) -> None:
    event = event_key("gate", "2030-01-02", "f" * 32)
    assert refusal(two.s3.put_object, Bucket=two.places.data_lake, Key=event, Body=b"{}") == "AccessDenied"
    assert refusal(two.s3.put_object, Bucket=two.places.data_lake, Key=event, Body=b"{}", IfNoneMatch="*") == ""
    asked = {"Bucket": two.places.model_store, "Key": version_key("pets", 2), "Body": b"{}", "IfNoneMatch": "*"}
    assert refusal(two.s3.put_object, **asked) == "AccessDenied"


def test_another_role_of_that_account_with_the_same_rights_at_home_is_not_let_in(two: Two) -> None:
    assert refusal(two.other_s3.get_object, Bucket=two.places.model_store, Key=VERSION) == "AccessDenied"
    assert refusal(two.other_s3.list_objects_v2, Bucket=two.places.model_store) == "AccessDenied"
