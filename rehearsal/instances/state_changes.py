"""EC2 state changes as they happen: an EventBridge rule puts them on a queue, which one reader waits at."""

import json
import secrets
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.instances.cloud import Cloud

PATTERN = {"source": ["aws.ec2"], "detail-type": ["EC2 Instance State-change Notification"]}
LONGEST_POLL_SECONDS = 20


class StateChanges:
    """A subscription of its own to all state changes, from `open` to `close`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._name = f"petpark-rehearsal-{secrets.token_hex(4)}"
        self._queue = ""

    @cached_property
    def _events(self) -> Any:
        return self._cloud.client("events")

    @cached_property
    def _sqs(self) -> Any:
        return self._cloud.client("sqs")

    def open(self) -> None:
        """Subscribe: what changes from now on will be seen."""
        self._queue = self._sqs.create_queue(QueueName=self._name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]
        self._events.put_rule(Name=self._name, EventPattern=json.dumps(PATTERN))
        self._events.put_targets(Rule=self._name, Targets=[{"Id": "runner", "Arn": attributes["QueueArn"]}])

    def wait(self) -> list[str]:
        """The ids of instances that have changed, once there are any; empty after `wake` or a quiet while.

        Delivery is at least once and in no order, so an event only names the instance to read.
        """
        answer = self._sqs.receive_message(
            QueueUrl=self._queue, MaxNumberOfMessages=10, WaitTimeSeconds=LONGEST_POLL_SECONDS
        )
        messages = answer.get("Messages", [])
        if messages:
            entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(messages)]
            self._sqs.delete_message_batch(QueueUrl=self._queue, Entries=entries)
        return list(dict.fromkeys(_instance_ids(messages)))

    def wake(self, *ids: str) -> None:
        """End a `wait` now, with `ids`; if the emulator has ended, so has the wait."""
        try:
            self._sqs.send_message(QueueUrl=self._queue, MessageBody=json.dumps({"wake": ids}))
        except (BotoCoreError, ClientError):
            return

    def close(self) -> None:
        """Unsubscribe and delete the rule and the queue; an emulator that has ended has none."""
        try:
            self._events.remove_targets(Rule=self._name, Ids=["runner"])
            self._events.delete_rule(Name=self._name)
            self._sqs.delete_queue(QueueUrl=self._queue)
        except (BotoCoreError, ClientError):
            return


def _instance_ids(messages: list[dict[str, Any]]) -> Iterator[str]:
    for message in messages:
        body = json.loads(message["Body"])
        yield from body["wake"] if "wake" in body else [body["detail"]["instance-id"]]
