"""Detect state machines that were edited since `pulumi up`, for example in the console."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from petpark.jobs.executions import bare, machines, states_client

if TYPE_CHECKING:
    from petpark.targets.target import Target

_DELETED: Final = frozenset({"StateMachineDoesNotExist", "ResourceNotFound"})


@dataclass(frozen=True, kw_only=True)
class Edited:
    """A state machine that differs from its deployment."""

    machine: str
    what: str


def edited(target: Target) -> list[Edited]:
    """Returns the state machines whose alias, definition or role differs from the deployment. Raises `StackOutdated`.

    Executions run the alias's version, so a saved edit does not affect them until it is published.
    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-state-machine-alias.html
    """
    outputs = machines(target)
    found = {
        name: _difference(target, _alias(outputs.job, version), version) for name, version in outputs.versions.items()
    }
    return [Edited(machine=name, what=what) for name, what in found.items() if what]


def _alias(of_job: str, version: str) -> str:
    """Returns the ARN of a version's alias: it has the same name for all state machines of a stack."""
    return f"{bare(version)}:{of_job.rpartition(':')[2]}"


def _difference(target: Target, alias: str, version: str) -> str:
    """Returns a description of the difference; empty if there is none."""
    client = states_client(target)
    try:
        routes = client.describe_state_machine_alias(stateMachineAliasArn=alias)["routingConfiguration"]
        published = [route["stateMachineVersionArn"] for route in routes]
        if published != [version]:
            numbers = " and ".join(arn.rpartition(":")[2] for arn in published)
            return f"its alias points to version {numbers}; the deployed one is {version.rpartition(':')[2]}"
        newest = client.describe_state_machine(stateMachineArn=bare(alias))
        deployed = client.describe_state_machine(stateMachineArn=version)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _DELETED:
            return "the state machine, its alias or its deployed version was deleted"
        raise
    if newest["definition"] != deployed["definition"]:
        return "its definition was edited but not published; executions still run the deployed version"
    return "" if newest["roleArn"] == deployed["roleArn"] else f"its role was changed to {newest['roleArn']}"
