"""Resources of petpark left in an account after `pulumi destroy`, whether Pulumi knows them or not.

AWS's tag index answers for most services at once, but not for IAM roles and Auto Scaling groups, and it names what was
deleted for a while. So what holds data, costs money or lasts is listed by its own service, the rest by the index.
https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/supported-services.html
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from infra.configuration.stack_file import SettingsUnusable, read_stack
from petpark.account import identity
from petpark.account.cloud import Account, Unchecked
from petpark.doctor import Check, Health

PROJECT = "petpark"
_PROJECT_TAG, _STACK_TAG = "petpark:project", "petpark:stack"
_AT_ONCE = 8
_OWN_LISTS = (
    ":s3:::",
    ":kms:",
    ":instance/",
    ":log-group:",
    ":parameter/",
    ":autoScalingGroup:",
    ":instance-profile/",
    ":stateMachine:",
    ":glue:",
)
"""Parts of ARNs to skip in the tag index, because their own services list them."""


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something that exists. `goes` says when AWS deletes it by itself, empty if never; `fix` deletes it."""

    kind: str
    name: str
    stack: str
    goes: str = ""
    fix: str = ""

    def as_check(self) -> Check:
        """A check of the doctor: what AWS deletes by itself is not a fault."""
        command = self.fix or f"pulumi destroy --stack {self.stack}"
        where = f"{self.name} (stack {self.stack})" if self.stack else self.name
        if self.goes:
            return Check(name=self.kind, health=Health.ABSENT, found=f"{where}: {self.goes}", fix=self.fix)
        return Check(name=self.kind, health=Health.MISSING, found=where, fix=command)


def examine(root: Path, stack: str, *, session: boto3.Session | None = None) -> Iterator[Check]:
    """A check for each thing that any stack left in the region of `stack`; a single `fine` one if there is nothing.

    Where a service could not be asked, there is an `unchecked` one and no claim that nothing is left.
    """
    try:
        account = Account(session or boto3.Session(), read_stack(root, stack).region)
    except SettingsUnusable as error:
        yield Check(name="settings", health=Health.MISSING, found=str(error), fix=f"edit Pulumi.{stack}.yaml")
        return
    caller, first = identity.check(account)
    yield first
    if caller is None:
        return
    found, unchecked = gather(account)
    yield from (refused.as_check(name) for name, refused in unchecked.items())
    yield from (left.as_check() for left in found)
    if not unchecked and not any(not left.goes for left in found):
        sentence = f"no resources of {PROJECT} are left in account {caller.account}, {account.region}"
        yield Check(name="leftovers", health=Health.FINE, found=sentence)


def gather(account: Account) -> tuple[list[Leftover], Mapping[str, Unchecked]]:
    """All that is left of any stack, and what could not be looked for, by its kind."""
    found: list[Leftover] = []
    unchecked: dict[str, Unchecked] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        running = [(name, pool.submit(_gather, find, account)) for name, find in _FINDERS.items()]
        for name, answer in running:
            some, refused = answer.result()
            found += some
            if refused is not None:
                unchecked[name] = refused
    return found, unchecked


def _gather(find: Callable[[Account], Iterator[Leftover]], account: Account) -> tuple[list[Leftover], Unchecked | None]:
    """What a finder found, and why it may not have found all."""
    found: list[Leftover] = []
    try:
        found.extend(find(account))
    except Unchecked as error:
        return found, error
    return found, None


def _buckets(account: Account) -> Iterator[Leftover]:
    """Somebody else's bucket may refuse to show its tags: that is reported after all others were checked."""
    refused: Unchecked | None = None
    for bucket in account.pages("s3", "list_buckets", "Buckets"):
        name = bucket["Name"]
        # Buckets of other regions redirect; they are not ours.
        elsewhere = ("NoSuchTagSet", "NoSuchBucket", "PermanentRedirect", "AuthorizationHeaderMalformed")
        try:
            answer = account.call("s3", "get_bucket_tagging", absent=elsewhere, Bucket=name)
        except Unchecked as error:
            if not error.needs:  # nobody answers: the next bucket would only cost more time
                raise
            refused = refused or Unchecked(error.reason, needs=f"{error.needs} on {name}")
            continue
        tags = _tags(answer["TagSet"]) if answer else {}
        if tags.get(_PROJECT_TAG) == PROJECT:
            yield Leftover(kind="bucket", name=name, stack=tags.get(_STACK_TAG, ""))
    if refused is not None:
        raise refused


def _keys(account: Account) -> Iterator[Leftover]:
    """Keys are deleted after a waiting period of days, in which they cost nothing and could be brought back.

    https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html
    """
    for key in account.pages("kms", "list_keys", "Keys"):
        identifier = key["KeyId"]
        about = account.call("kms", "describe_key", absent=("NotFoundException",), KeyId=identifier)
        if about is None or about["KeyMetadata"].get("KeyManager") == "AWS":
            continue
        answer = account.call("kms", "list_resource_tags", absent=_HIDDEN, KeyId=identifier)
        tags = _tags(answer["Tags"], "TagKey", "TagValue") if answer else {}
        described = answer is None and PROJECT in about["KeyMetadata"].get("Description", "")
        if tags.get(_PROJECT_TAG) != PROJECT and not described:
            continue
        ends = about["KeyMetadata"].get("DeletionDate")
        goes = f"deleted on {ends:%Y-%m-%d}, costs nothing until then" if ends else ""
        yield Leftover(kind="key", name=identifier, stack=tags.get(_STACK_TAG, ""), goes=goes)


_HIDDEN = ("NotFoundException", "AccessDeniedException")
"""Who may not read a key's tags knows petpark's keys by their descriptions (`infra.storage.model_store`)."""


def _instances(account: Account) -> Iterator[Leftover]:
    filters = [
        {"Name": f"tag:{_PROJECT_TAG}", "Values": [PROJECT]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    for reservation in account.pages("ec2", "describe_instances", "Reservations", Filters=filters):
        for machine in reservation["Instances"]:
            identifier = machine["InstanceId"]
            end = f"aws ec2 terminate-instances --instance-ids {identifier} --region {account.region}"
            yield Leftover(kind="instance", name=identifier, stack=_tags(machine["Tags"]).get(_STACK_TAG, ""), fix=end)


def _groups(account: Account) -> Iterator[Leftover]:
    filters = [{"Name": f"tag:{_PROJECT_TAG}", "Values": [PROJECT]}]
    found = account.pages("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", Filters=filters)
    for group in found:
        tags = _tags(group["Tags"])
        yield Leftover(kind="Auto Scaling group", name=group["AutoScalingGroupName"], stack=tags.get(_STACK_TAG, ""))


def _balancers(account: Account) -> Iterator[Leftover]:
    arns = [one["LoadBalancerArn"] for one in account.pages("elbv2", "describe_load_balancers", "LoadBalancers")]
    for start in range(0, len(arns), 20):  # the most that one call takes
        answer = account.call(
            "elbv2", "describe_tags", absent=("LoadBalancerNotFound",), ResourceArns=arns[start : start + 20]
        )
        for one in answer["TagDescriptions"] if answer else ():
            tags = _tags(one["Tags"])
            if tags.get(_PROJECT_TAG) == PROJECT:
                name = one["ResourceArn"].rpartition("loadbalancer/")[2]
                yield Leftover(kind="load balancer", name=name, stack=tags.get(_STACK_TAG, ""))


def _roles(account: Account) -> Iterator[Leftover]:
    """Skips service-linked roles and those of IAM Identity Center, which petpark cannot have made."""
    for role in account.pages("iam", "list_roles", "Roles"):
        if role["Path"].startswith(("/aws-service-role/", "/aws-reserved/")):
            continue
        name = role["RoleName"]
        answer = account.call("iam", "list_role_tags", absent=("NoSuchEntity",), RoleName=name)
        tags = _tags(answer["Tags"]) if answer else {}
        if tags.get(_PROJECT_TAG) == PROJECT:
            yield Leftover(kind="role", name=name, stack=tags.get(_STACK_TAG, ""))


def _profiles(account: Account) -> Iterator[Leftover]:
    for profile in account.pages("iam", "list_instance_profiles", "InstanceProfiles"):
        name = profile["InstanceProfileName"]
        answer = account.call("iam", "get_instance_profile", absent=("NoSuchEntity",), InstanceProfileName=name)
        tags = _tags(answer["InstanceProfile"].get("Tags", ())) if answer else {}
        if tags.get(_PROJECT_TAG) == PROJECT:
            yield Leftover(kind="instance profile", name=name, stack=tags.get(_STACK_TAG, ""))


def _log_groups(account: Account) -> Iterator[Leftover]:
    for group in account.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=f"/{PROJECT}/"):
        name = group["logGroupName"]
        end = f"aws logs delete-log-group --log-group-name {name} --region {account.region}"
        yield Leftover(kind="log group", name=name, stack=name.split("/")[2], fix=end)


def _parameters(account: Account) -> Iterator[Leftover]:
    """API keys that an earlier petpark kept as parameters: no stack created them, so destroying one leaves them."""
    path = {"Key": "Path", "Option": "Recursive", "Values": [f"/{PROJECT}"]}
    for parameter in account.pages("ssm", "describe_parameters", "Parameters", ParameterFilters=[path]):
        name = parameter["Name"]
        end = f"aws ssm delete-parameter --name {name} --region {account.region}"
        yield Leftover(kind="API key", name=name, stack=name.split("/")[2], fix=end)


def _machines(account: Account) -> Iterator[Leftover]:
    """State machines; one that is being deleted goes when its executions have ended, within a minute.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_DeleteStateMachine.html
    """
    for machine in account.pages("stepfunctions", "list_state_machines", "stateMachines"):
        answer = account.call(
            "stepfunctions",
            "list_tags_for_resource",
            absent=("ResourceNotFound",),
            resourceArn=machine["stateMachineArn"],
        )
        tags = _tags(answer["tags"], "key", "value") if answer else {}
        if tags.get(_PROJECT_TAG) == PROJECT:
            yield Leftover(kind="state machine", name=machine["name"], stack=tags.get(_STACK_TAG, ""))


def _schedules(account: Account) -> Iterator[Leftover]:
    """A schedule has no tags: petpark's are known by their own names and those of what they start."""
    for schedule in account.pages("scheduler", "list_schedules", "Schedules", NamePrefix="pipeline-"):
        name = schedule["Name"]
        if ":stateMachine:pipeline-" in schedule["Target"]["Arn"]:
            end = f"aws scheduler delete-schedule --name {name} --region {account.region}"
            yield Leftover(kind="schedule", name=name, stack="", fix=end)


def _databases(account: Account) -> Iterator[Leftover]:
    """Databases of recorded predictions, by their names; the tables go with them."""
    for database in account.pages("glue", "get_databases", "DatabaseList"):
        name = database["Name"]
        if name.startswith(f"{PROJECT}_"):
            end = f"aws glue delete-database --name {name} --region {account.region}"
            yield Leftover(kind="Glue database", name=name, stack=name.removeprefix(f"{PROJECT}_"), fix=end)


def _indexed(account: Account) -> Iterator[Leftover]:
    """Everything else with the project's tag: networks, security groups, volumes, alarms, topics, rules."""
    wanted = [{"Key": _PROJECT_TAG, "Values": [PROJECT]}]
    found = account.pages("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=wanted)
    for entry in found:
        arn: str = entry["ResourceARN"]
        if any(part in arn for part in _OWN_LISTS) or ":loadbalancer/" in arn:
            continue
        service = arn.split(":")[2]
        name = arn.split(":", 5)[5]
        yield Leftover(kind=service, name=name, stack=_tags(entry["Tags"]).get(_STACK_TAG, ""))


def _tags(tags: Iterable[Any], key: str = "Key", value: str = "Value") -> Mapping[str, str]:
    return {tag[key]: tag[value] for tag in tags}


_FINDERS: Mapping[str, Callable[[Account], Iterator[Leftover]]] = {
    "buckets": _buckets,
    "keys": _keys,
    "instances": _instances,
    "Auto Scaling groups": _groups,
    "load balancers": _balancers,
    "roles": _roles,
    "instance profiles": _profiles,
    "log groups": _log_groups,
    "API keys": _parameters,
    "state machines": _machines,
    "schedules": _schedules,
    "Glue databases": _databases,
    "everything else with petpark's tag": _indexed,
}
