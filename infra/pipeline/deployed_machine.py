"""A state machine as it is deployed: its role, its log, a version of each deployment, and an alias for the newest."""

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component

ALIAS = "live"
"""What everybody starts; each deployment moves it to the version that it published."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A deployed state machine."""

    arn: pulumi.Output[str]
    alias: pulumi.Output[str]
    """ARN of the alias."""
    version: pulumi.Output[str]
    """ARN of the version that this deployment published, or found unchanged."""


def deploy(
    component: Component,
    part: str,
    *,
    policy: pulumi.Output[str],
    definition: pulumi.Output[dict[str, Any]],
    log_group: aws.cloudwatch.LogGroup,
) -> Machine:
    """Make a state machine with its role, a published version, and the alias that points to it."""
    role = aws.iam.Role(
        **component.child(f"{part}-role"),
        assume_role_policy=policies.as_json(policies.trust_service("states.amazonaws.com")),
        tags=component.tags,
    )
    grants = aws.iam.RolePolicy(**component.child(f"{part}-grants"), role=role.name, policy=policy)
    machine = aws.sfn.StateMachine(
        # Step Functions checks that the role may write the log when the state machine is made.
        **component.child(part, pulumi.ResourceOptions(depends_on=[grants])),
        role_arn=role.arn,
        definition=definition.apply(lambda found: json.dumps(found, separators=(",", ":"))),
        type="STANDARD",
        publish=True,
        logging_configuration={
            "level": "ERROR",
            "include_execution_data": False,
            "log_destination": pulumi.Output.concat(log_group.arn, ":*"),
        },
        tags=component.tags,
    )
    alias = aws.sfn.Alias(
        **component.child(f"{part}-alias"),
        name=ALIAS,
        routing_configurations=[{"state_machine_version_arn": machine.state_machine_version_arn, "weight": 100}],
    )
    return Machine(arn=machine.arn, alias=alias.arn, version=machine.state_machine_version_arn)
