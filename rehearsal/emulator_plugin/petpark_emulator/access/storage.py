"""What S3 asks for, the silent parts included.

- A key that does not exist is "not found" only to those who may list the bucket, and "denied" to all others.
- Reading an object that is encrypted with a customer's key takes `kms:Decrypt`, writing one `kms:GenerateDataKey`, and
  a multipart upload both; S3 uses the key in the caller's name.
"""

from collections.abc import Iterator
from typing import Any

from petpark_emulator.access.asked import Asked
from petpark_emulator.access.policy import Question

# Operations whose permission has another name.
ACTIONS = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject",
    "GetBucketEncryption": "GetEncryptionConfiguration",
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


def questions(asked: Asked) -> Iterator[Question]:
    """All that must be allowed for an S3 request to be."""
    name = asked.values.get("Bucket")
    if name is None:
        yield asked.question("*", action=ACTIONS.get(asked.operation))
    elif asked.operation == "DeleteObjects":
        yield from _deletions(asked, name)
    else:
        yield from _permission(asked, name, asked.values.get("Key"))
        yield from _silent(asked, name, asked.values.get("Key"))


def _deletions(asked: Asked, bucket: str) -> Iterator[Question]:
    for deleted in asked.values["Delete"]["Objects"]:
        action = "DeleteObjectVersion" if deleted.get("VersionId") else "DeleteObject"
        yield asked.question(f"arn:aws:s3:::{bucket}/{deleted['Key']}", action=action)


def _permission(asked: Asked, bucket: str, key: str | None) -> Iterator[Question]:
    values, operation = asked.values, asked.operation
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
    yield asked.question(arn, action=action, context={k: v for k, v in context.items() if v is not None})


def _silent(asked: Asked, bucket: str, key: str | None) -> Iterator[Question]:
    read_from = (bucket, key)
    if source := asked.values.get("CopySource"):
        path = source if isinstance(source, str) else f"{source['Bucket']}/{source['Key']}"
        read_from = tuple(path.lstrip("/").partition("?")[0].split("/", 1))
        yield asked.question(f"arn:aws:s3:::{'/'.join(read_from)}", action="GetObject")
    if key is None:
        return
    stored = _object(asked, *read_from)
    if stored is None and asked.operation in ("GetObject", "HeadObject"):
        yield asked.question(f"arn:aws:s3:::{bucket}", action="ListBucket")
    if asked.operation in READS and stored is not None:
        yield from _use_key(asked, "Decrypt", getattr(stored, "kms_key_id", None))
    if asked.operation in ENCRYPTS:
        yield from _use_key(asked, "GenerateDataKey", asked.values.get("SSEKMSKeyId") or _default_key(asked, bucket))
    if asked.operation in DECRYPTS:
        yield from _use_key(asked, "Decrypt", _default_key(asked, bucket))


def owner(asked: Asked, bucket: str) -> str:
    """The account that has a bucket; of one that does not exist, the account that made the request."""
    return _store(asked, asked.account).global_bucket_map.get(bucket, asked.account)


def find_bucket(asked: Asked, bucket: str) -> Any:
    """A bucket of any account; None if there is none of that name."""
    return _store(asked, owner(asked, bucket)).buckets.get(bucket)


def _store(asked: Asked, account: str) -> Any:
    from localstack.services.s3.models import s3_stores

    return s3_stores[account][asked.region]


def _object(asked: Asked, bucket: str, key: str) -> Any:
    found = find_bucket(asked, bucket)
    return found.objects.get(key) if found else None


def _default_key(asked: Asked, bucket: str) -> str | None:
    found = find_bucket(asked, bucket)
    rule = (found.encryption_rule or {}).get("ApplyServerSideEncryptionByDefault", {}) if found else {}
    return rule.get("KMSMasterKeyID") if rule.get("SSEAlgorithm") == "aws:kms" else None


def _use_key(asked: Asked, action: str, key: str | None) -> Iterator[Question]:
    if key is None or key == _store(asked, asked.account).aws_managed_kms_key_id:  # S3's own key needs no permission
        return
    context = {"kms:viaservice": f"s3.{asked.region}.amazonaws.com"}
    yield Question(action=f"kms:{action}", resource=asked.key_arn(key), context=context)
