"""What a request asks for, in IAM's terms: actions, resources, condition keys.

Source:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from petpark_emulator.access import launches, storage
from petpark_emulator.access.api_call import ApiCall
from petpark_emulator.access.policy import Request

# Actions that have no resource: a policy allows them on `*` or not at all.
WITHOUT_RESOURCE = (
    "autoscaling:Describe",
    "cloudwatch:GetMetric",
    "cloudwatch:ListMetrics",
    "cloudwatch:PutMetricData",
    "ec2:Describe",
    "elasticloadbalancing:Describe",
)
WITH_RESOURCE = {"ec2:DescribeInstanceAttribute", "ec2:DescribeVpcAttribute"}
"""What has one, although its name begins like those above."""
PREFIXES = {"monitoring": "cloudwatch", "tagging": "tag"}


def required(call: ApiCall) -> Iterator[Request]:
    """All that must be allowed for the request to be."""
    ask = SERVICES.get(call.service, _any_resource)
    action = f"{call.service}:{call.operation}"
    if action.startswith(WITHOUT_RESOURCE) and action not in WITH_RESOURCE:
        ask = _no_resource
    yield from ask(call)


def _any_resource(call: ApiCall) -> Iterator[Request]:
    yield call.request(None)


def _no_resource(call: ApiCall) -> Iterator[Request]:
    namespace = call.values.get("Namespace")
    yield call.request("*", context={"cloudwatch:namespace": namespace} if namespace else {})


def _kms(call: ApiCall) -> Iterator[Request]:
    values = call.values
    context = {f"kms:encryptioncontext:{k.lower()}": v for k, v in (values.get("EncryptionContext") or {}).items()}
    for member in ("MessageType", "SigningAlgorithm"):
        if values.get(member):
            context[f"kms:{member.lower()}"] = values[member]
    if alias := values.get("AliasName") if call.operation.endswith("Alias") else None:
        yield call.request(call.arn(alias))
        yield call.request(call.key_arn(values.get("TargetKeyId") or alias))
        return
    if identifier := values.get("KeyId"):
        resource = call.key_arn(identifier)
    else:
        resource = None if call.operation == "Decrypt" else "*"  # a ciphertext names its key by itself
    yield call.request(resource, context=context)


def _ssm(call: ApiCall) -> Iterator[Request]:
    values = call.values
    names = values.get("Names") or [n for n in (values.get("Name"), values.get("Path")) if n]
    if "Parameter" not in call.operation or not names:
        yield from _any_resource(call)
        return
    for name in names:
        # Public parameters belong to no account.
        owner = "" if name.startswith("/aws/service/") else call.account
        yield call.request(f"arn:aws:ssm:{call.region}:{owner}:parameter/{name.lstrip('/')}")


def _logs(call: ApiCall) -> Iterator[Request]:
    group = call.values.get("logGroupName") or ""
    if identifier := call.values.get("logGroupIdentifier") or call.values.get("resourceArn"):
        group = identifier.partition(":log-group:")[2] or identifier
    stream = call.values.get("logStreamName") or ""
    yield call.request(call.arn(f"log-group:{group.removesuffix(':*')}:log-stream:{stream}"))


def _iam(call: ApiCall) -> Iterator[Request]:
    """Roles and instance profiles, by name."""
    values = call.values
    policy = values.get("PolicyArn")
    for kind, member in (("instance-profile", "InstanceProfileName"), ("role", "RoleName")):
        if name := values.get(member):
            arn = f"arn:aws:iam::{call.account}:{kind}/{name}"
            yield call.request(arn, context={"iam:policyarn": policy} if policy else {})
            return
    yield from _any_resource(call)


def _sts(call: ApiCall) -> Iterator[Request]:
    session = call.values.get("RoleSessionName")
    yield call.request(call.values.get("RoleArn"), context={"sts:rolesessionname": session} if session else {})


def _ec2(call: ApiCall) -> Iterator[Request]:
    from moto.ec2.models import ec2_backends

    if call.operation == "RunInstances":
        yield from launches.required(call)
        return
    instances = call.values.get("InstanceIds") or [i for i in (call.values.get("InstanceId"),) if i]
    if not instances:
        vpc = call.values.get("VpcId") if call.operation == "DescribeVpcAttribute" else None
        yield call.request(call.arn(f"vpc/{vpc}") if vpc else None)
        return
    backend = ec2_backends[call.account][call.region]
    for identifier in instances:
        instance = backend.get_instance_by_id(identifier)
        tags = {tag["key"]: tag["value"] for tag in instance.get_tags()} if instance else {}
        context = {f"{family}:resourcetag/{k.lower()}": v for k, v in tags.items() for family in ("aws", "ec2")}
        yield call.request(call.arn(f"instance/{identifier}"), context=context)


def _states(call: ApiCall) -> Iterator[Request]:
    """The role of a state machine is passed on to Step Functions."""
    yield call.request(None)
    yield from _passed_roles(call, [call.values.get("roleArn")])


def _scheduler(call: ApiCall) -> Iterator[Request]:
    """The role with which a schedule starts something is passed on to EventBridge Scheduler."""
    yield call.request(None)
    yield from _passed_roles(call, [(call.values.get("Target") or {}).get("RoleArn")])


def _events(call: ApiCall) -> Iterator[Request]:
    """The roles with which a rule starts something are passed on to EventBridge."""
    yield call.request(None)
    yield from _passed_roles(call, [target.get("RoleArn") for target in call.values.get("Targets") or ()])


def _passed_roles(call: ApiCall, roles: Iterable[str | None]) -> Iterator[Request]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html."""
    for role in filter(None, roles):
        yield Request(
            action="iam:PassRole", resource=role, context={"iam:passedtoservice": f"{call.service}.amazonaws.com"}
        )


SERVICES: Mapping[str, Callable[[ApiCall], Iterator[Request]]] = {
    "ec2": _ec2,
    "events": _events,
    "iam": _iam,
    "kms": _kms,
    "logs": _logs,
    "s3": storage.required,
    "scheduler": _scheduler,
    "ssm": _ssm,
    "states": _states,
    "sts": _sts,
}
"""Services whose resources are worked out; every other action is allowed or refused as such."""
