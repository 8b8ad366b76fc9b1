"""What a request asks for, in IAM's terms: actions, resources, condition keys.

Source:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from petpark_emulator.access.policy import Question

# Operations whose permission has another name.
S3_ACTIONS = {
    "CompleteMultipartUpload": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject",
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

# Actions that have no resource: a policy allows them on `*` or not at all.
WITHOUT_RESOURCE = ("autoscaling:Describe", "cloudwatch:", "ec2:Describe", "elasticloadbalancing:Describe")
PREFIXES = {"monitoring": "cloudwatch"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A parsed request. `values` has only members that were given."""

    service: str
    operation: str
    values: Mapping[str, Any]
    account: str
    region: str

    def arn(self, resource: str, *, service: str | None = None) -> str:
        """The ARN of a resource in the request's account and region."""
        return f"arn:aws:{service or self.service}:{self.region}:{self.account}:{resource}"

    def question(
        self, resource: str | None, *, action: str | None = None, context: Mapping[str, str] | None = None
    ) -> Question:
        """A question about this request's action, or another of its service."""
        return Question(action=f"{self.service}:{action or self.operation}", resource=resource, context=context or {})


def questions(asked: Asked) -> Iterator[Question]:
    """All that must be allowed for the request to be."""
    ask = SERVICES.get(asked.service, _any_resource)
    if f"{asked.service}:{asked.operation}".startswith(WITHOUT_RESOURCE):
        ask = _no_resource
    yield from ask(asked)


def _any_resource(asked: Asked) -> Iterator[Question]:
    yield asked.question(None)


def _no_resource(asked: Asked) -> Iterator[Question]:
    namespace = asked.values.get("Namespace")
    yield asked.question("*", context={"cloudwatch:namespace": namespace} if namespace else {})


def _s3(asked: Asked) -> Iterator[Question]:
    values, operation = asked.values, asked.operation
    bucket, key = values.get("Bucket"), values.get("Key")
    action = S3_ACTIONS.get(operation, operation)
    if bucket is None:
        yield asked.question("*", action=action)
        return
    arn = f"arn:aws:s3:::{bucket}"
    if operation == "DeleteObjects":
        for deleted in values["Delete"]["Objects"]:
            versioned = "DeleteObjectVersion" if deleted.get("VersionId") else "DeleteObject"
            yield asked.question(f"{arn}/{deleted['Key']}", action=versioned)
        return
    if source := values.get("CopySource"):
        path = source if isinstance(source, str) else f"{source['Bucket']}/{source['Key']}"
        yield asked.question(f"arn:aws:s3:::{path.lstrip('/').partition('?')[0]}", action="GetObject")
        action = "PutObject"
    elif values.get("VersionId"):
        action = VERSIONED.get(operation, action)
    context = {
        "s3:prefix": values.get("Prefix") if action in ("ListBucket", "ListBucketVersions") else None,
        "s3:if-none-match": values.get("IfNoneMatch") if operation in CREATES_OBJECT else None,
        "s3:objectcreationoperation": CREATES_OBJECT.get(operation),
        "s3:x-amz-server-side-encryption": values.get("ServerSideEncryption"),
        "s3:x-amz-server-side-encryption-aws-kms-key-id": values.get("SSEKMSKeyId"),
    }
    given = {name: value for name, value in context.items() if value is not None}
    yield asked.question(arn if key is None else f"{arn}/{key}", action=action, context=given)


def _kms(asked: Asked) -> Iterator[Question]:
    values = asked.values
    context = {f"kms:encryptioncontext:{k.lower()}": v for k, v in (values.get("EncryptionContext") or {}).items()}
    for member in ("MessageType", "SigningAlgorithm"):
        if values.get(member):
            context[f"kms:{member.lower()}"] = values[member]
    identifier = values.get("KeyId")
    if identifier is None:
        resource = None if asked.operation == "Decrypt" else "*"  # the ciphertext names the key
    else:
        resource = key_arn(identifier, asked.account, asked.region)
    yield asked.question(resource, context=context)


def key_arn(identifier: str, account: str, region: str) -> str:
    """The ARN of a KMS key given by id, ARN, alias or alias ARN."""
    from localstack.services.kms.models import kms_stores

    name = identifier.rpartition(":")[2]
    if name.startswith("alias/"):
        alias = kms_stores[account][region].aliases.get(name)
        name = f"key/{alias.metadata['TargetKeyId']}" if alias else name
    elif not name.startswith("key/"):
        name = f"key/{name}"
    return f"arn:aws:kms:{region}:{account}:{name}"


def _ssm(asked: Asked) -> Iterator[Question]:
    values = asked.values
    names = values.get("Names") or [n for n in (values.get("Name"), values.get("Path")) if n]
    if "Parameter" not in asked.operation or not names:
        yield from _any_resource(asked)
        return
    for name in names:
        # Public parameters belong to no account.
        owner = "" if name.startswith("/aws/service/") else asked.account
        yield asked.question(f"arn:aws:ssm:{asked.region}:{owner}:parameter/{name.lstrip('/')}")


def _logs(asked: Asked) -> Iterator[Question]:
    group = asked.values.get("logGroupName") or ""
    if identifier := asked.values.get("logGroupIdentifier"):
        group = identifier.partition(":log-group:")[2] or identifier
    stream = asked.values.get("logStreamName") or ""
    yield asked.question(asked.arn(f"log-group:{group.removesuffix(':*')}:log-stream:{stream}"))


def _sts(asked: Asked) -> Iterator[Question]:
    yield asked.question(asked.values.get("RoleArn"))


def _ec2(asked: Asked) -> Iterator[Question]:
    from moto.ec2.models import ec2_backends

    instances = asked.values.get("InstanceIds") or [i for i in (asked.values.get("InstanceId"),) if i]
    if not instances:
        yield from _any_resource(asked)
        return
    backend = ec2_backends[asked.account][asked.region]
    for identifier in instances:
        instance = backend.get_instance_by_id(identifier)
        tags = {tag["key"]: tag["value"] for tag in instance.get_tags()} if instance else {}
        context = {f"{family}:resourcetag/{k.lower()}": v for k, v in tags.items() for family in ("aws", "ec2")}
        yield asked.question(asked.arn(f"instance/{identifier}"), context=context)


SERVICES: Mapping[str, Callable[[Asked], Iterator[Question]]] = {
    "ec2": _ec2,
    "kms": _kms,
    "logs": _logs,
    "s3": _s3,
    "ssm": _ssm,
    "sts": _sts,
}
"""Services whose resources are worked out; every other action is allowed or refused as such."""
