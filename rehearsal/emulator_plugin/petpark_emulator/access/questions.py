"""What a request asks for, in IAM's terms: actions, resources, condition keys.

Source:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from collections.abc import Callable, Iterator, Mapping

from petpark_emulator.access import launches, storage
from petpark_emulator.access.asked import Asked
from petpark_emulator.access.policy import Question

# Actions that have no resource: a policy allows them on `*` or not at all.
WITHOUT_RESOURCE = (
    "autoscaling:Describe",
    "cloudwatch:GetMetric",
    "cloudwatch:ListMetrics",
    "cloudwatch:PutMetricData",
    "ec2:Describe",
    "elasticloadbalancing:Describe",
)
PREFIXES = {"monitoring": "cloudwatch"}


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


def _kms(asked: Asked) -> Iterator[Question]:
    values = asked.values
    context = {f"kms:encryptioncontext:{k.lower()}": v for k, v in (values.get("EncryptionContext") or {}).items()}
    for member in ("MessageType", "SigningAlgorithm"):
        if values.get(member):
            context[f"kms:{member.lower()}"] = values[member]
    if identifier := values.get("KeyId"):
        resource = asked.key_arn(identifier)
    else:
        resource = None if asked.operation == "Decrypt" else "*"  # a ciphertext names its key by itself
    yield asked.question(resource, context=context)


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
    session = asked.values.get("RoleSessionName")
    yield asked.question(asked.values.get("RoleArn"), context={"sts:rolesessionname": session} if session else {})


def _ec2(asked: Asked) -> Iterator[Question]:
    from moto.ec2.models import ec2_backends

    if asked.operation == "RunInstances":
        yield from launches.questions(asked)
        return
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
    "s3": storage.questions,
    "ssm": _ssm,
    "sts": _sts,
}
"""Services whose resources are worked out; every other action is allowed or refused as such."""
