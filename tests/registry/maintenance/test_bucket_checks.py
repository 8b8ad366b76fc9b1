"""Whether a bucket holds what the registry leans on, asked of S3 itself."""

import copy
import itertools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pytest

from infra.policies import write_once_bucket
from registry.errors import BucketUnguarded, StoreRefused
from registry.maintenance.bucket_checks import BucketCheck, examine
from tests.registry.conftest import REGION

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
COLLECTOR = "arn:aws:iam::123456789012:role/collector"
NAMES = ["versions", "create only", "deletion", "plain HTTP", "encryption", "privacy"]

_buckets = itertools.count(1)


def policy(bucket: str) -> dict[str, Any]:
    return write_once_bucket(
        bucket, encryption_key=KEY, collector=COLLECTOR, promoter_id="AROA1", model="pets", channels={}
    )


@pytest.fixture
def bucket(s3: "S3Client") -> str:
    """A bucket as infra makes it."""
    name = f"guarded-{next(_buckets)}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy(name)))
    encrypt(s3, name, "aws:kms", KEY)
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=blocks())
    return name


def blocks(**changes: bool) -> Any:
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    return {**dict.fromkeys(names, True), **changes}


def encrypt(s3: "S3Client", bucket: str, algorithm: Literal["aws:kms", "AES256"], key: str | None = None) -> None:
    default: Any = {"SSEAlgorithm": algorithm} | ({"KMSMasterKeyID": key} if key else {})
    rules: Any = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)


def wrong(guards: list[BucketCheck]) -> dict[str, str]:
    """What is not as it should be, and what is there instead."""
    return {guard.name: guard.error.actual for guard in guards if guard.error is not None}


def looked(s3: "S3Client", bucket: str) -> dict[str, str]:
    return wrong(examine(s3, bucket, encryption_key=KEY, collector=COLLECTOR))


def test_the_bucket_that_infra_declares_is_guarded(s3: "S3Client", bucket: str) -> None:
    guards = examine(s3, bucket, encryption_key=KEY, collector=COLLECTOR)
    assert [guard.name for guard in guards] == NAMES
    assert wrong(guards) == {}
    assert wrong(examine(s3, bucket)) == {}


def test_of_a_bare_bucket_everything_is_said(s3: "S3Client") -> None:
    name = f"bare-{next(_buckets)}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    guards = examine(s3, name)
    assert [guard.name for guard in guards if not guard.ok] == NAMES
    for guard in guards:
        assert isinstance(guard.error, BucketUnguarded)
        assert name in guard.error.expected
        assert "pulumi up" in guard.error.next


def test_suspended_versioning_is_none(s3: "S3Client", bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert looked(s3, bucket) == {"versions": "versioning suspended"}


@pytest.mark.parametrize(("algorithm", "key"), [("AES256", None), ("aws:kms", None), ("aws:kms", KEY + "2")])
def test_any_other_encryption_than_by_our_key_is_found(
    s3: "S3Client", bucket: str, algorithm: Literal["aws:kms", "AES256"], key: str | None
) -> None:
    encrypt(s3, bucket, algorithm, key)
    assert set(looked(s3, bucket)) == {"encryption"}
    assert ("encryption" in wrong(examine(s3, bucket))) == (algorithm == "AES256")


def test_one_open_door_to_the_public_is_named(s3: "S3Client", bucket: str) -> None:
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocks(IgnorePublicAcls=False))
    assert looked(s3, bucket) == {"privacy": "IgnorePublicAcls not set"}


def without(sid: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["Statement"] = [each for each in document["Statement"] if each["Sid"] != sid]

    return change


def altered(sid: str, **changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        next(each for each in document["Statement"] if each["Sid"] == sid).update(changes)

    return change


def narrowed(sid: str, operator: str, condition: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        next(each for each in document["Statement"] if each["Sid"] == sid)["Condition"][operator] = condition

    return change


SID = {"CreateOnly": "create only", "OnlyTheCollectorDeletes": "deletion", "NoPlainHttp": "plain HTTP"}
WEAKENED = [
    *((sid, without(sid)) for sid in SID),
    *((sid, altered(sid, Effect="Allow")) for sid in SID),
    *((sid, altered(sid, Principal={"AWS": "arn:aws:iam::1:user/ana"})) for sid in SID),
    *((sid, altered(sid, Resource=["arn:aws:s3:::BUCKET/pets/blobs/*"])) for sid in SID),
    *((sid, altered(sid, Action=["s3:GetObjectAcl"])) for sid in SID),
    *((sid, narrowed(sid, "StringEquals", {"aws:PrincipalTag/team": "park"})) for sid in SID),
    ("CreateOnly", narrowed("CreateOnly", "Null", {"s3:if-none-match": "false"})),
    ("OnlyTheCollectorDeletes", altered("OnlyTheCollectorDeletes", Action="s3:DeleteObject")),
    ("OnlyTheCollectorDeletes", narrowed("OnlyTheCollectorDeletes", "ArnNotEquals", {"aws:PrincipalArn": "other"})),
]


@pytest.mark.parametrize(("sid", "change"), WEAKENED)
def test_a_policy_that_was_weakened_anywhere_is_no_guard(
    s3: "S3Client", bucket: str, sid: str, change: Callable[[dict[str, Any]], None]
) -> None:
    document = copy.deepcopy(policy(bucket))
    change(document)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document).replace("BUCKET", bucket))
    assert set(looked(s3, bucket)) == {SID[sid]}


STRONGER = [
    altered("OnlyTheCollectorDeletes", Condition={}),
    altered("OnlyTheCollectorDeletes", Action="s3:Delete*", Resource="*"),
    altered("CreateOnly", Condition={"Null": {"S3:If-None-Match": True}}, Principal={"AWS": "*"}),
    altered("NoPlainHttp", Condition={"Bool": {"aws:SecureTransport": ["false"]}}),
]


@pytest.mark.parametrize("change", STRONGER)
def test_the_same_refusal_in_other_words_is_a_guard_too(
    s3: "S3Client", bucket: str, change: Callable[[dict[str, Any]], None]
) -> None:
    document = policy(bucket)
    change(document)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    assert looked(s3, bucket) == {}


def test_without_a_name_the_policy_may_spare_any_one_role_but_no_crowd(s3: "S3Client", bucket: str) -> None:
    for spared, found in (("arn:aws:iam::1:role/x", set[str]()), ("arn:aws:iam::1:role/*", {"deletion"})):
        document = policy(bucket)
        narrowed("OnlyTheCollectorDeletes", "ArnNotEquals", {"aws:PrincipalArn": spared})(document)
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
        assert set(wrong(examine(s3, bucket))) == found


def test_what_may_not_be_read_is_said_and_counts_as_unguarded(
    s3: "S3Client", bucket: str, fault: Callable[..., None]
) -> None:
    fault("GET", status="403 Forbidden", code="AccessDenied", query="versioning")
    assert looked(s3, bucket) == {"versions": "nothing that this role may see (get_bucket_versioning was refused)"}


def test_a_bucket_that_does_not_exist_is_not_called_unguarded(s3: "S3Client") -> None:
    with pytest.raises(StoreRefused, match="NoSuchBucket"):
        examine(s3, "nowhere")
