"""What a workflow may change of alarm actions and of the pipeline."""

from infra.policies.deploying.stack import Deploying, of_this_stack
from infra.policies.statements import Statement, allow

_RULES = ["events:DeleteRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:TagResource"]


def change_alarm_actions(to: Deploying) -> list[Statement]:
    """EventBridge rules on alarms, and the chat's API destination, whose key EventBridge stores in Secrets Manager.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection-auth.html
    """
    kinds = {"ApiDestination": "api-destination", "Connection": "connection"}
    here = f"{to.region}:{to.account}"
    secrets = [
        "secretsmanager:CreateSecret",
        "secretsmanager:DeleteSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecret",
    ]
    service = "apidestinations.events.amazonaws.com"
    linked = (
        f"arn:aws:iam::{to.account}:role/aws-service-role/{service}/AWSServiceRoleForAmazonEventBridgeApiDestinations"
    )
    return [
        allow(_RULES, [f"arn:aws:events:{here}:rule/actions-*"], of_this_stack(to)),
        *(
            allow(
                [f"events:{verb}{what}" for verb in ("Create", "Delete", "Update")],
                [f"arn:aws:events:{here}:{name}/actions-*"],
            )
            for what, name in kinds.items()
        ),
        allow(["events:CreateApiDestination"], [f"arn:aws:events:{here}:connection/actions-*"]),
        allow(secrets, [f"arn:aws:secretsmanager:{here}:secret:events!connection/actions-*"]),
        allow(["iam:CreateServiceLinkedRole"], [linked]),
    ]


def change_pipeline(to: Deploying) -> list[Statement]:
    """State machines with their versions and aliases, and the rules and schedules that start them.

    Versions and aliases are authorised by their state machine. Schedules have no tags of their own.
    https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
    """
    machines = [
        "states:CreateStateMachine",
        "states:CreateStateMachineAlias",
        "states:DeleteStateMachine",
        "states:DeleteStateMachineAlias",
        "states:PublishStateMachineVersion",
        "states:TagResource",
        "states:UpdateStateMachine",
        "states:UpdateStateMachineAlias",
    ]
    schedules = ["scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:UpdateSchedule"]
    here = f"{to.region}:{to.account}"
    return [
        allow(machines, [f"arn:aws:states:{here}:stateMachine:pipeline-*"], of_this_stack(to)),
        allow(_RULES, [f"arn:aws:events:{here}:rule/pipeline-*"], of_this_stack(to)),
        allow(schedules, [f"arn:aws:scheduler:{here}:schedule/default/pipeline-*"]),
    ]
