"""What the pipeline's state machines, their triggers, their workers and the people around them may do. Pure."""

from infra.policies.statements import Statement, allow

_ANSWERS = ["states:SendTaskSuccess", "states:SendTaskFailure", "states:SendTaskHeartbeat"]


def answers() -> Statement:
    """Answer task tokens. These actions cannot be limited to a state machine.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html
    """
    return allow(list(_ANSWERS), ["*"])
