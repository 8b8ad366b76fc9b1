import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from infra.configuration import prices
from infra.configuration.settings import read
from infra.rule_limits import rule_limits
from infra.rules import Finding, Limits, Resource, check
from tests.infra.conftest import Declared, Deployment, configuration

PRICES = prices.load()


def limits_of(stack: str, **changes: str) -> Limits:
    """The limits that the stack's settings say."""
    config = configuration(stack) | {f"petpark:{key}": value for key, value in changes.items()}
    settings = read(lambda key: config.get(f"petpark:{key}"), region=config["aws:region"], namespace="petpark")
    return rule_limits(settings, PRICES)


def as_resource(declared: Declared) -> Resource:
    """A resource that the program declared, as rules see it."""
    return Resource(
        type=declared.type,
        name=declared.name,
        urn=declared.urn,
        properties=declared.inputs,
        protect=declared.protect,
        retain=declared.retain,
        refers=declared.refers,
    )


def resources_of(deployment: Deployment) -> tuple[Resource, ...]:
    """Everything that a stack declares."""
    return tuple(as_resource(declared) for declared in deployment.resources)


def violated(found: Iterable[Finding]) -> set[str]:
    """Names of the rules that are violated; what cannot be decided violates none."""
    return {finding.rule.name for finding in found if finding.decided}


@dataclasses.dataclass(frozen=True)
class Judged:
    """A stack's resources and limits, and what rules say of them when one is changed."""

    resources: tuple[Resource, ...]
    limits: Limits

    def findings(self, name: str = "", change: Callable[[Resource], Resource | None] | None = None) -> set[str]:
        """Names of the rules that are violated, after a change to (or, by None, without) the resource called `name`."""
        return violated(self.found(name, change))

    def found(self, name: str = "", change: Callable[[Resource], Resource | None] | None = None) -> tuple[Finding, ...]:
        resources = self.resources
        if change is not None:
            assert [one.name for one in resources].count(name) == 1, name
            changed = [change(one) if one.name == name else one for one in resources]
            resources = tuple(one for one in changed if one is not None)
        return check(resources, self.limits)


@pytest.fixture(scope="session")
def judged(deployments: dict[str, Deployment]) -> Mapping[str, Judged]:
    """Both stacks, as their files say."""
    return {stack: Judged(resources_of(deployment), limits_of(stack)) for stack, deployment in deployments.items()}


def with_properties(**changes: Any) -> Callable[[Resource], Resource]:
    """A change that sets properties; None removes one."""

    def change(resource: Resource) -> Resource:
        properties = {key: value for key, value in {**resource.properties, **changes}.items() if value is not None}
        return dataclasses.replace(resource, properties=properties)

    return change


def without(_resource: Resource) -> None:
    """A change that removes the resource."""
