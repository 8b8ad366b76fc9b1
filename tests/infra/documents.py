"""Every policy that the program writes, as the real YAML and the largest settings make it, and those that it prints."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from infra import policies
from registry.layout import Role
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
