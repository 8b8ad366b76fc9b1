"""Every policy that the program writes, as the real YAML and the largest settings make it, and those that it prints."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from infra import policies
from registry.layout.roles import Role
from tests.infra.conftest import ACCOUNT, Deployment


@dataclass(frozen=True)
class Written:
    """A policy, and what it belongs to: `identity`, `trust`, `bucket` or `key`."""

    kind: str
    name: str
    document: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} policy {self.name}"

    @property
    def text(self) -> str:
        """As AWS stores it."""
        return policies.as_json(self.document)


_KINDS = {"aws:iam/rolePolicy:RolePolicy": "identity", "aws:s3/bucketPolicy:BucketPolicy": "bucket"}


def written(deployments: Iterable[Deployment]) -> Iterator[Written]:
    """The policies of these deployments, and one for people."""
    for deployment in deployments:
        for resource in deployment.resources:
            name = f"{deployment.stack}/{resource.name}"
            if trust := resource.inputs.get("assumeRolePolicy"):
                yield Written("trust", name, json.loads(trust))
            if (policy := resource.inputs.get("policy")) and resource.type.startswith("aws:"):
                kind = "key" if resource.type == "aws:kms/key:Key" else _KINDS[resource.type]
                yield Written(kind, name, json.loads(policy))
    to = policies.Deploying(account=ACCOUNT, region="eu-west-1", stack="test", owner=True, state_bucket="state")
    for area, granted in policies.deploy(to).items():
        yield Written("identity", f"deploy/{area}", granted)
    yield Written("identity", "preview", policies.preview(ACCOUNT, "eu-west-1", "state"))
    yield Written("identity", "start-nothing", policies.start_nothing())
    yield Written(
        "identity",
        "budget",
        policies.apply_policy(f"arn:aws:iam::{ACCOUNT}:policy/p", [f"arn:aws:iam::{ACCOUNT}:role/r"]),
    )
    yield Written("identity", "person", policies.person(f"arn:aws:iam::{ACCOUNT}:role/{role}" for role in Role))


def as_list(value: Any) -> list[Any]:
    """What a policy may write without its brackets."""
    return value if isinstance(value, list) else [value]


_FREE = {"tags", "dimensions", "parameters"}
"""Inputs whose keys are ours to choose."""


def _names_within(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The name of each part of an input, below its own name, with where it stands."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"{path}.{key}", key
            if key not in _FREE:
                yield from _names_within(part, f"{path}.{key}")
    elif isinstance(value, list):
        for part in value:
            yield from _names_within(part, path)


@cache
def _names_of(package: str) -> frozenset[str]:
    """The names of all parts of inputs of a package of the AWS provider, such as `s3`, as its schema has them."""
    inputs = import_module(f"pulumi_aws.{package}._inputs")
    kinds = [each for name, each in vars(inputs).items() if name.endswith("Args")]
    return frozenset(name for kind in kinds for name in _pulumi_names(kind))


def _pulumi_names(kind: type) -> Iterator[str]:
    """The names of one type of input."""
    for each in vars(kind).values():
        name = getattr(getattr(each, "fget", None), "_pulumi_name", None)
        if name is not None:
            yield name


def unknown_names(deployment: Deployment) -> set[str]:
    """The parts of inputs whose names the provider's schema does not have, with their resources."""
    return {
        f"{resource.type} {resource.name}: {name}{path}"
        for resource in deployment.resources
        if resource.type.startswith("aws:")
        for name, value in resource.inputs.items()
        if name not in _FREE
        for path, part in _names_within(value)
        if part not in _names_of(resource.type.split(":")[1].partition("/")[0])
    }
