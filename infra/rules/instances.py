"""Instances: which, how many, how their metadata is guarded, and that each has an end."""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from infra.configuration.instance_types import InstanceTypeUnsupported, instance_type
from infra.rules.resource import Resource
from infra.rules.rule import Context, Rule

_TEMPLATE, _INSTANCE, _GROUP = "ec2.LaunchTemplate", "ec2.Instance", "autoscaling.Group"

_WATCHDOG = re.compile(r"^shutdown -h \+(?P<minutes>[0-9]+)$", re.MULTILINE)
"""A line of the user data by itself, so that no condition and no error before it can prevent it."""


def _imdsv2(resource: Resource, _context: Context) -> Iterator[str]:
    if resource.kind == _INSTANCE and resource.get("launchTemplate") and resource.get("metadataOptions") is None:
        return  # the template decides
    if resource.get("metadataOptions", "httpEndpoint") == "disabled":
        return
    if resource.get("metadataOptions", "httpTokens") != "required":
        yield "answers metadata requests without a token; set metadataOptions.httpTokens to required"


def _gpu_type(resource: Resource, context: Context) -> Iterator[str]:
    name = resource.get("instanceType")
    if name is not None:
        yield from _not_allowed(str(name), context)


def _training_types(context: Context) -> Iterator[str]:
    for name in context.limits.training.instance_types if context.limits.training else ():
        for message in _not_allowed(name, context):
            yield f"training {message}"


def _not_allowed(name: str, context: Context) -> Iterator[str]:
    allowed = context.limits.gpu_types
    try:
        gpu = instance_type(name).gpu
    except InstanceTypeUnsupported as problem:
        yield str(problem)
        return
    if gpu and name not in allowed:
        known = ", ".join(sorted(allowed)) or "none"
        yield f"uses {name}, which has a GPU ({gpu}); petpark:allowed_gpu_types is {known}"


@dataclass(frozen=True, kw_only=True)
class Running:
    """Instances that may run at once."""

    types: tuple[str, ...]
    """One of these; none if the type is stated nowhere."""
    most: int


def running(context: Context) -> Iterator[Running]:
    """Everything in the stack that runs instances. Raises `NotKnown`."""
    stack, training = context.stack, context.limits.training
    for instance in stack.of(_INSTANCE):
        yield Running(types=_type(instance), most=1)
    for group in stack.of(_GROUP):
        templates = (one for one in stack.of(_TEMPLATE) if _launches(group, one))
        types = next((_type(template) for template in templates), ())
        yield Running(types=types, most=int(group.get("maxSize") or 0))
    if training:
        yield Running(types=training.instance_types, most=training.instances)


def _type(resource: Resource) -> tuple[str, ...]:
    name = resource.get("instanceType")
    return () if name is None else (str(name),)


def _launches(group: Resource, template: Resource) -> bool:
    named = group.properties.get("launchTemplate")
    own = template.properties.get("id")
    by_name = isinstance(named, dict) and own is not None and own == named.get("id")
    return by_name or template.urn in group.refers.get("launchTemplate", ())


def _count(context: Context) -> Iterator[str]:
    most = sum(each.most for each in running(context))
    if most > context.limits.instances:
        yield f"may run {most} instances at once; petpark:allowed_instances is {context.limits.instances}"


def _bounded(resource: Resource, context: Context) -> Iterator[str]:
    most = resource.get("maxSize")
    if most is None:
        yield "has no maxSize"
    elif int(most) > context.limits.instances:
        yield f"may grow to {int(most)} instances; petpark:allowed_instances is {context.limits.instances}"


def _terminates(resource: Resource, context: Context) -> Iterator[str]:
    if not _of_a_group(resource, context) and resource.get("instanceInitiatedShutdownBehavior") != "terminate":
        yield "an instance of it that shuts itself down would stop, and its disk be paid for, until somebody notices"


def _watchdog(resource: Resource, context: Context) -> Iterator[str]:
    if _of_a_group(resource, context):
        return
    found = _WATCHDOG.search(_script(resource.get("userData")))
    most = context.limits.training.max_minutes if context.limits.training else 0
    if found is None:
        yield "its user data has no line `shutdown -h +<minutes>` that ends an instance whose job hangs"
    elif int(found["minutes"]) > most:
        yield f"its watchdog waits {found['minutes']} minutes; petpark:training_max_minutes is {most}"


def _script(user_data: object) -> str:
    try:
        return base64.b64decode(str(user_data or ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _of_a_group(template: Resource, context: Context) -> bool:
    """An autoscaling group replaces and terminates its instances itself; others are started by a launcher."""
    return any(_launches(group, template) for group in context.stack.of(_GROUP))


_TYPES = "https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html"
_SHUTDOWN = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingInstanceInitiatedShutdownBehavior.html"

RULES = (
    Rule(
        name="imdsv2",
        demands="Instances answer metadata requests only with a token (IMDSv2).",
        why="Without it one request that a service can be tricked into fetches the role's credentials.",
        source="https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html",
        kinds=frozenset({_INSTANCE, _TEMPLATE, "ec2.LaunchConfiguration"}),
        each=_imdsv2,
    ),
    Rule(
        name="gpu-types",
        demands="Instances with a GPU are of the types in petpark:allowed_gpu_types.",
        why="GPU types cost from 0.5 to more than 100 USD an hour.",
        source=_TYPES,
        kinds=frozenset({_INSTANCE, _TEMPLATE, "ec2.LaunchConfiguration"}),
        each=_gpu_type,
    ),
    Rule(
        name="training-gpu-types",
        demands="Training uses a GPU only of the types in petpark:allowed_gpu_types.",
        why="A launcher replaces the launch template's type by any in petpark:training_instance_types.",
        source=_TYPES,
        whole=_training_types,
    ),
    Rule(
        name="instance-count",
        demands="The stack never runs more instances at once than petpark:allowed_instances.",
        why="A limit that was typed with one digit too many is found in review, and not on the bill.",
        source="https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html",
        whole=_count,
    ),
    Rule(
        name="group-bounded",
        demands="Each autoscaling group has a largest size within petpark:allowed_instances.",
        why="Load, or a wrong metric, must not start instances without end.",
        source="https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-capacity-limits.html",
        kinds=frozenset({_GROUP}),
        each=_bounded,
    ),
    Rule(
        name="training-terminates",
        demands="An instance of a launch template without a group terminates when it shuts down.",
        why="A stopped instance stays forever, and its disk is paid for.",
        source=_SHUTDOWN,
        kinds=frozenset({_TEMPLATE}),
        each=_terminates,
        alone=False,
    ),
    Rule(
        name="training-watchdog",
        demands="Such an instance shuts itself down after at most petpark:training_max_minutes.",
        why="A job that hangs would cost until somebody notices; nothing outside of the instance watches it.",
        source=_SHUTDOWN,
        kinds=frozenset({_TEMPLATE}),
        each=_watchdog,
        alone=False,
    ),
)
