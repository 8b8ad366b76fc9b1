"""What S3 asks for, the silent parts included.

- A key that does not exist is "not found" only to those who may list the bucket, and "denied" to all others.
- Reading an object that is encrypted with a customer's key takes `kms:Decrypt`, writing one `kms:GenerateDataKey`, and
  a multipart upload both; S3 uses the key in the caller's name.
"""

from collections.abc import Iterator
from typing import Any

from petpark_emulator.access.api_call import ApiCall
from petpark_emulator.access.policy import Request

# Operations whose permission has another name.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
ACTIONS = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteObjects": "DeleteObject",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
}
CREATES_OBJECT = {
    "CompleteMultipartUpload": "true",
    "CopyObject": "true",
    "CreateMultipartUpload": "false",
    "PutObject": "true",
    "UploadPart": "false",
    "UploadPartCopy": "false",
}
VERSIONED = {"DeleteObject": "DeleteObjectVersion", "GetObject": "GetObjectVersion", "HeadObject": "GetObjectVersion"}

READS = frozenset({"CopyObject", "GetObject", "UploadPartCopy"})
ENCRYPTS = frozenset({"CopyObject", "CreateMultipartUpload", "PutObject", "UploadPart", "UploadPartCopy"})
DECRYPTS = frozenset({"CompleteMultipartUpload", "UploadPart", "UploadPartCopy"})
"""A part is checked against those before it."""


def required(call: ApiCall) -> Iterator[Request]:
    """All that must be allowed for an S3 request to be."""
    name = call.values.get("Bucket")
    if name is None:
        yield call.request("*", action=ACTIONS.get(call.operation))
    elif call.operation == "DeleteObjects":
        yield from _deletions(call, name)
    else:
        yield from _permission(call, name, call.values.get("Key"))
        yield from _silent(call, name, call.values.get("Key"))


def _deletions(call: ApiCall, bucket: str) -> Iterator[Request]:
    for deleted in call.values["Delete"]["Objects"]:
        action = "DeleteObjectVersion" if deleted.get("VersionId") else "DeleteObject"
        yield call.request(f"arn:aws:s3:::{bucket}/{deleted['Key']}", action=action)


def _permission(call: ApiCall, bucket: str, key: str | None) -> Iterator[Request]:
    values, operation = call.values, call.operation
    action = ACTIONS.get(operation, operation)
    if values.get("VersionId"):
        action = VERSIONED.get(operation, action)
    context = {
        "s3:prefix": values.get("Prefix") if action in ("ListBucket", "ListBucketVersions") else None,
        "s3:if-none-match": values.get("IfNoneMatch") if operation in CREATES_OBJECT else None,
        "s3:objectcreationoperation": CREATES_OBJECT.get(operation),
        "s3:x-amz-server-side-encryption": values.get("ServerSideEncryption"),
        "s3:x-amz-server-side-encryption-aws-kms-key-id": values.get("SSEKMSKeyId"),
    }
    arn = f"arn:aws:s3:::{bucket}" if key is None else f"arn:aws:s3:::{bucket}/{key}"
    yield call.request(arn, action=action, context={k: v for k, v in context.items() if v is not None})


def _silent(call: ApiCall, bucket: str, key: str | None) -> Iterator[Request]:
    read_from, read = bucket, key
    if source := call.values.get("CopySource"):
        path = source if isinstance(source, str) else f"{source['Bucket']}/{source['Key']}"
        read_from, _, read = path.lstrip("/").partition("?")[0].partition("/")
        yield call.request(f"arn:aws:s3:::{read_from}/{read}", action="GetObject")
    if key is None or read is None:
        return
    stored = _object(call, read_from, read)
    if stored is None and call.operation in ("GetObject", "HeadObject"):
        yield call.request(f"arn:aws:s3:::{bucket}", action="ListBucket")
    if call.operation in READS and stored is not None:
        yield from _use_key(call, "Decrypt", getattr(stored, "kms_key_id", None))
    if call.operation in ENCRYPTS:
        yield from _use_key(call, "GenerateDataKey", call.values.get("SSEKMSKeyId") or _default_key(call, bucket))
    if call.operation in DECRYPTS:
        yield from _use_key(call, "Decrypt", _default_key(call, bucket))


def owner(call: ApiCall, bucket: str) -> str:
    """The account that has a bucket; of one that does not exist, the account that made the request."""
    return _store(call, call.account).global_bucket_map.get(bucket, call.account)


def find_bucket(call: ApiCall, bucket: str) -> Any:
    """A bucket of any account; None if there is none of that name."""
    return _store(call, owner(call, bucket)).buckets.get(bucket)


def _store(call: ApiCall, account: str) -> Any:
    from localstack.services.s3.models import s3_stores

    return s3_stores[account][call.region]


def _object(call: ApiCall, bucket: str, key: str) -> Any:
    found = find_bucket(call, bucket)
    return found.objects.get(key) if found else None


def _default_key(call: ApiCall, bucket: str) -> str | None:
    found = find_bucket(call, bucket)
    rule = (found.encryption_rule or {}).get("ApplyServerSideEncryptionByDefault", {}) if found else {}
    return rule.get("KMSMasterKeyID") if rule.get("SSEAlgorithm") == "aws:kms" else None


def _use_key(call: ApiCall, action: str, key: str | None) -> Iterator[Request]:
    if key is None or key == _store(call, call.account).aws_managed_kms_key_id:  # S3's own key needs no permission
        return
    context = {"kms:viaservice": f"s3.{call.region}.amazonaws.com"}
    yield Request(action=f"kms:{action}", resource=call.key_arn(key), context=context)
