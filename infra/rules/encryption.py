"""Encryption at rest."""

from collections.abc import Iterator

from infra.rules.resource import Resource, value
from infra.rules.rule import Context, Rule

_ALGORITHMS = ("AES256", "aws:kms", "aws:kms:dsse")
_SYMMETRIC = (None, "SYMMETRIC_DEFAULT")
_KEYS = ("kmsMasterKeyId", "kmsKeyId")


def _disks(resource: Resource, _context: Context) -> Iterator[str]:
    match resource.kind:
        case "ebs.Volume":
            disks = {"the volume": resource.properties}
        case "ec2.LaunchTemplate":
            entries = resource.items("blockDeviceMappings")
            disks = {value(entry, "deviceName"): value(entry, "ebs") for entry in entries}
            if not entries:
                yield "states no disk, so that the image decides whether it is encrypted"
        case _:
            root = resource.get("rootBlockDevice")
            disks = {value(entry, "deviceName"): entry for entry in resource.items("ebsBlockDevices")}
            if root is not None:
                disks["the root disk"] = root
            elif resource.get("launchTemplate") is None:
                yield "states no root disk, so that the image decides whether it is encrypted"
    for name, disk in disks.items():
        # A launch template takes the text, an instance the truth value.
        if disk is not None and str(value(disk, "encrypted")).lower() != "true":
            yield f"{name} is not encrypted"


def _bucket(resource: Resource, context: Context) -> Iterator[str]:
    if not context.stack.about(resource, "s3.BucketServerSideEncryptionConfiguration", "bucket"):
        yield "has no BucketServerSideEncryptionConfiguration"


def _algorithm(resource: Resource, _context: Context) -> Iterator[str]:
    for rule in resource.items("rules"):
        algorithm = value(rule, "applyServerSideEncryptionByDefault", "sseAlgorithm")
        if algorithm not in _ALGORITHMS:
            yield f"encrypts with {algorithm}; expected one of {', '.join(_ALGORITHMS)}"


def _rotates(resource: Resource, _context: Context) -> Iterator[str]:
    symmetric = resource.get("customerMasterKeySpec") in _SYMMETRIC
    encrypts = resource.get("keyUsage") in (None, "ENCRYPT_DECRYPT")
    if symmetric and encrypts and resource.get("enableKeyRotation") is not True:
        yield "does not rotate"


def _own_keys(resource: Resource, _context: Context) -> Iterator[str]:
    for name in _KEYS:
        key = resource.get(name)
        if isinstance(key, str) and "alias/aws/" in key:
            yield f"{name} is {key}, an AWS managed key, whose policy cannot be changed"


RULES = (
    Rule(
        name="disk-encrypted",
        demands="Every disk of an instance is encrypted.",
        why="Disks hold photos, models and logs; a snapshot of a plain disk can be shared and read.",
        source="https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption.html",
        kinds=frozenset({"ec2.Instance", "ec2.LaunchTemplate", "ebs.Volume"}),
        each=_disks,
    ),
    Rule(
        name="bucket-states-encryption",
        demands="Each bucket states how it encrypts.",
        why="S3 encrypts in any case; stated, the key cannot change unseen.",
        source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-encryption.html",
        kinds=frozenset({"s3.Bucket"}),
        each=_bucket,
        alone=False,
    ),
    Rule(
        name="bucket-encryption-algorithm",
        demands="Buckets encrypt with S3's keys or a KMS key.",
        why="Every other value is a mistake that S3 may accept for one object and refuse for the next.",
        source="https://docs.aws.amazon.com/AmazonS3/latest/API/API_ServerSideEncryptionByDefault.html",
        kinds=frozenset({"s3.BucketServerSideEncryptionConfiguration"}),
        each=_algorithm,
    ),
    Rule(
        name="key-rotates",
        demands="Symmetric KMS keys rotate; others cannot.",
        why="Rotation limits how much one key material encrypts, and changes nothing for callers.",
        source="https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html",
        kinds=frozenset({"kms.Key"}),
        each=_rotates,
    ),
    Rule(
        name="named-keys-are-own",
        demands="Where a topic, log group, disk or bucket names a KMS key, it is one of our own.",
        why="CloudWatch cannot publish alarms to a topic encrypted with AWS's key, nor other accounts read with it.",
        source="https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html",
        kinds=frozenset({"sns.Topic", "cloudwatch.LogGroup", "ebs.Volume", "sqs.Queue"}),
        each=_own_keys,
    ),
)
