"""Alarm actions other than SNS topics: chat message, rollback, pipeline start."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.alarms import events
from infra.alarms.signals import Alarm
from infra.component import Component, document
from infra.configuration.alarm_actions import Action, AlarmActions

_CALLS_PER_SECOND: Final = 1
"""Webhook calls per second, the limit of Slack: https://docs.slack.dev/apis/web-api/rate-limits"""


@dataclass(frozen=True, kw_only=True)
class AlarmEventsArgs:
    """The alarms and their actions."""

    alarms: Sequence[Alarm]
    actions: AlarmActions
    channel: str
    """The channel that a rollback moves."""
    chat_webhook: str | None
    """A secret."""
    act: pulumi.Input[str]
    """ARN of the alias of the state machine `act`."""


class AlarmEvents(Component):
    """EventBridge rules on alarm state changes: `docs/design/alarms.md`."""

    def __init__(self, name: str, args: AlarmEventsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        chosen = {action: self._with_action(args, action) for action in Action}
        if args.chat_webhook is not None and chosen[Action.CHAT]:
            self._create_chat(chosen[Action.CHAT], args.chat_webhook)
        changing = [action for action in Action if action.changes and chosen[action]]
        if changing:
            role = self._create_role("act", document(policies.start_machines, machines=[_machine(args.act)]))
            for action in changing:
                self._create_start(action, chosen[action], args, role)
        self.register_outputs({})

    def _with_action(self, args: AlarmEventsArgs, action: Action) -> list[Alarm]:
        return [alarm for alarm in args.alarms if action in args.actions.of(alarm.kind, alarm.severity)]

    def _create_chat(self, alarms: Sequence[Alarm], webhook: str) -> None:
        """A connection requires an API key; webhooks have their secret in the URL and ignore it."""
        connection = aws.cloudwatch.EventConnection(
            **self.child("chat-connection"),
            description="petpark: chat messages of alarms",
            authorization_type="API_KEY",
            auth_parameters={"api_key": {"key": "X-Petpark", "value": pulumi.get_stack()}},
        )
        destination = aws.cloudwatch.EventApiDestination(
            **self.child("chat-destination"),
            connection_arn=connection.arn,
            http_method="POST",
            invocation_endpoint=pulumi.Output.secret(webhook),
            invocation_rate_limit_per_second=_CALLS_PER_SECOND,
        )
        role = self._create_role("chat", document(policies.call_destinations, destinations=[destination.arn]))
        template = events.chat_template(pulumi.get_stack())
        self._create_rule("chat", alarms, changes=False, template=template, target=destination.arn, role=role)

    def _create_start(self, action: Action, alarms: Sequence[Alarm], args: AlarmEventsArgs, role: aws.iam.Role) -> None:
        template = events.action_template(action, pulumi.get_stack(), args.channel)
        self._create_rule(action, alarms, changes=True, template=template, target=args.act, role=role)

    def _create_rule(
        self,
        part: str,
        alarms: Sequence[Alarm],
        *,
        changes: bool,
        template: str,
        target: pulumi.Input[str],
        role: aws.iam.Role,
    ) -> None:
        rule = aws.cloudwatch.EventRule(
            **self.child(part),
            description=f"Alarm action: {part}",
            event_pattern=document(events.pattern, alarms=[alarm.name for alarm in alarms], changes=changes),
            tags=self.tags,
        )
        aws.cloudwatch.EventTarget(
            **self.child(f"{part}-target"),
            rule=rule.name,
            arn=target,
            role_arn=role.arn,
            input_transformer={"input_paths": events.paths(template), "input_template": template},
        )

    def _create_role(self, part: str, policy: pulumi.Output[str]) -> aws.iam.Role:
        role = aws.iam.Role(
            **self.child(f"{part}-role"),
            assume_role_policy=policies.as_json(policies.trust_service("events.amazonaws.com")),
            tags=self.tags,
        )
        aws.iam.RolePolicy(**self.child(f"{part}-grants"), role=role.name, policy=policy)
        return role


def _machine(alias: pulumi.Input[str]) -> pulumi.Output[str]:
    """ARN of the alias's state machine, which IAM checks when an execution starts."""
    return pulumi.Output.from_input(alias).apply(lambda arn: arn.rpartition(":")[0])
