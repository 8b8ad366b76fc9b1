"""What an SDK sends twice because an answer was lost."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

Client = Callable[[str], Any]

TEMPLATE = {"ImageId": "ami-1", "InstanceType": "t3.micro"}


def attempt(client: Client, name: str, *, call: str, number: int) -> dict[str, Any]:
    """Create a launch template as the `number`-th attempt of `call`."""
    ec2 = client("ec2")

    def label(request: Any, **_: Any) -> None:
        for header, value in (("amz-sdk-invocation-id", call), ("amz-sdk-request", f"attempt={number}; max=3")):
            del request.headers[header]
            request.headers[header] = value

    ec2.meta.events.register("before-send.ec2.CreateLaunchTemplate", label)
    made = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=TEMPLATE)
    ec2.meta.events.unregister("before-send.ec2.CreateLaunchTemplate", label)
    return made["LaunchTemplate"]


def test_a_later_attempt_of_an_answered_call_gets_the_same_answer(client: Client, name: str) -> None:
    first = attempt(client, name, call=f"call-{name}", number=1)
    assert attempt(client, name, call=f"call-{name}", number=2) == first


def test_another_call_for_the_same_name_is_still_a_duplicate(client: Client, name: str) -> None:
    attempt(client, name, call=f"call-{name}", number=1)
    with pytest.raises(ClientError, match="AlreadyExists"):
        attempt(client, name, call=f"other-{name}", number=1)


def test_a_later_attempt_of_a_call_that_was_never_answered_is_carried_out(client: Client, name: str) -> None:
    assert attempt(client, name, call=f"call-{name}", number=2)["LaunchTemplateName"] == name
