"""CloudWatch sends EventBridge an event when an alarm changes its state; LocalStack sends none.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
"""

import json
from datetime import UTC, datetime
from functools import wraps
from typing import Any


def apply() -> None:
    """Send the event after each change, of alarms on metrics and of composite ones."""
    from localstack.services.cloudwatch.provider_v2 import CloudwatchProvider

    original = CloudwatchProvider._update_state

    @wraps(original)
    def update_state(
        self: Any, context: Any, alarm: Any, state_value: Any, state_reason: str, state_reason_data: Any = None
    ) -> None:
        before = dict(alarm.alarm)
        original(self, context, alarm, state_value, state_reason, state_reason_data)
        _send(context, before, alarm.alarm)

    CloudwatchProvider._update_state = update_state


def _send(context: Any, before: dict[str, Any], now: dict[str, Any]) -> None:
    from localstack.aws.connect import connect_to

    rule = {"alarmRule": now["AlarmRule"]} if "AlarmRule" in now else {"metrics": []}
    detail = {
        "alarmName": now["AlarmName"],
        "state": _state(now),
        "previousState": _state(before),
        "configuration": {"description": now.get("AlarmDescription") or "", **rule},
    }
    events = connect_to(aws_access_key_id=context.account_id, region_name=context.region).events
    events.put_events(
        Entries=[
            {
                "Source": "aws.cloudwatch",
                "DetailType": "CloudWatch Alarm State Change",
                "Detail": json.dumps(detail),
                "Resources": [now["AlarmArn"]],
            }
        ]
    )


def _state(alarm: dict[str, Any]) -> dict[str, str]:
    at = alarm.get("StateUpdatedTimestamp") or datetime.now()
    text = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    return {"value": str(alarm["StateValue"]), "reason": alarm.get("StateReason") or "", "timestamp": f"{text}+0000"}
