"""EventBridge rules on alarms: event patterns and input templates. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from infra.configuration.alarm_actions import Action

MOST_PATTERN: Final = 4096
"""Maximum length of an event pattern, in characters.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""

PATHS: Final[Mapping[str, str]] = {
    "alarm": "$.detail.alarmName",
    "state": "$.detail.state.value",
    "reason": "$.detail.state.reason",
    "at": "$.detail.state.timestamp",
    "before": "$.detail.previousState.value",
    "description": "$.detail.configuration.description",
}
"""Variables of an input template, with their JSON paths in the event."""


def pattern(alarms: Sequence[str], *, changes: bool) -> dict[str, Any]:
    """Events of these alarms (names): when they start and, unless the action `changes` something, when they clear.

    A new alarm goes from INSUFFICIENT_DATA to OK, which does not match.
    """
    began = {"state": {"value": ["ALARM"]}}
    ended = {"state": {"value": ["OK"]}, "previousState": {"value": ["ALARM"]}}
    return {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"alarmName": sorted(alarms), **(began if changes else {"$or": [began, ended]})},
    }


def chat_template(stack: str) -> str:
    """Input of a chat webhook in Slack's format: state change, reason and runbook entry.

    A variable inside quotes is not escaped, so only names, times and petpark's own descriptions may be used there: a
    reason may contain quotes if a person set the alarm's state.
    https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
    """
    text = f"petpark {stack}: <alarm> is <state> (it was <before>) since <at>. <description>"
    return f'{{"text": "{text}", "attachments": [{{"text": <reason>}}]}}'


def action_template(action: Action, stack: str, channel: str) -> str:
    """Input of the state machine `act`."""
    fixed = json.dumps({"action": action, "stack": stack, "channel": channel})
    return f'{fixed[:-1]}, "alarm": "<alarm>", "at": "<at>"}}'


def paths(template: str) -> dict[str, str]:
    """The variables that a template uses."""
    return {name: path for name, path in PATHS.items() if f"<{name}>" in template}
