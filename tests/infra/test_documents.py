"""Every JSON document and input that the program writes is complete: no value is missing where one was meant."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.infra.conftest import Deployment
from tests.infra.documents import Written, unknown_names, written


@pytest.fixture(scope="module")
def all_deployments(deployments, apart, largest) -> tuple[Deployment, ...]:
    return (*deployments.values(), *apart.values(), *largest.values())


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that has no parts, with where it stands; JSON in texts is read."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:
            yield path, value  # such as the pattern of a log filter
            return
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, f"{path}.{key}")
    elif isinstance(value, list):
        for position, part in enumerate(value):
            yield from leaves(part, f"{path}[{position}]")
    else:
        yield path, value


def test_no_input_of_a_resource_and_no_document_in_one_has_a_value_of_nothing(all_deployments):
    """A machine without its job's ARN, a dashboard or a policy with a null: AWS would refuse it, or run without it."""
    missing = {
        f"{deployment.stack}/{resource.name}: {path}"
        for deployment in all_deployments
        for resource in deployment.resources
        for path, value in leaves(dict(resource.inputs))
        if value is None or value == "None" or (isinstance(value, str) and ("/None" in value or ":None" in value))
    }
    assert missing == set()


def test_every_statement_has_the_elements_that_aws_knows_and_an_id_is_unique_in_its_policy(all_deployments):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html"""
    wrong: set[str] = set()
    for each in written(all_deployments):
        if each.kind != "key":  # has the text of AWS's own default
            wrong |= {f"{each}: {problem}" for problem in problems(each)}
    assert wrong == set()


ELEMENTS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}


def problems(policy: Written) -> Iterator[str]:
    """What AWS would not take of a policy, or would not tell apart."""
    if policy.document["Version"] != "2012-10-17" or set(policy.document) != {"Version", "Statement"}:
        yield f"elements {sorted(policy.document)} of version {policy.document['Version']}"
    ids = [statement["Sid"] for statement in policy.document["Statement"] if "Sid" in statement]
    for sid in ids:
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_sid.html
        if not isinstance(sid, str) or not sid.isalnum() or not sid.isascii() or ids.count(sid) > 1:
            yield f"Sid {sid!r}"
    for statement in policy.document["Statement"]:
        if not {"Effect", "Action"} <= statement.keys() <= ELEMENTS or statement["Effect"] not in ("Allow", "Deny"):
            yield f"statement {statement.get('Sid')} with {sorted(statement)}"


def test_every_part_of_an_input_has_a_name_that_the_provider_knows(all_deployments):
    """The provider would ignore or refuse any other: a target without its value, a subscriber without its address."""
    assert set().union(*map(unknown_names, all_deployments)) == set()


def test_a_name_that_the_provider_does_not_know_is_found(deployments):
    policy = deployments["prod"].named("endpoint-scaling", "aws:autoscaling/policy:Policy")
    wrong = replace(
        policy, inputs={"targetTrackingConfiguration": {"targetvalue": 1, "predefinedMetricSpecification": {}}}
    )
    found = unknown_names(replace(deployments["prod"], resources=(policy, wrong)))
    assert found == {f"{policy.type} {policy.name}: targetTrackingConfiguration.targetvalue"}
