"""EventBridge starts state machines with an input that a transformer made.

LocalStack names such an execution by the event's id, which a transformed input does not have, and starts nothing. AWS
gives it a name of its own: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
"""

import json
import uuid
from functools import wraps
from typing import Any


def apply() -> None:
    """Name executions whose input has no id."""
    from localstack.services.events.target import StatesTargetSender

    original = StatesTargetSender.send_event

    @wraps(original)
    def send_event(self: Any, event: Any, trace_header: Any) -> None:
        if isinstance(event, dict) and "id" in event:
            original(self, event, trace_header)
            return
        self.service = "stepfunctions"
        text = event if isinstance(event, str) else json.dumps(event)
        self.client.start_execution(stateMachineArn=self.target["Arn"], name=str(uuid.uuid4()), input=text)

    StatesTargetSender.send_event = send_event
