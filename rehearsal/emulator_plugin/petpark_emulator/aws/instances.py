"""EC2 instances: their profiles exist, and each change of state is an event.

- EC2 finds instance profiles in the account's IAM. moto looks into its own IAM, but LocalStack keeps IAM in a store
  of its own.
- EventBridge gets an "EC2 Instance State-change Notification" from `aws.ec2` for every change. LocalStack sends none.
  An emulated instance is `running`, `stopped` or `terminated` at once, so there are events for these states only.
"""

import json
import logging
import queue
import threading
from functools import wraps
from types import SimpleNamespace
from typing import Any

LOG = logging.getLogger(__name__)

Change = tuple[str, str, str, str]
"""Account, region, instance and its new state."""


def apply() -> None:
    """Fix moto's instances, and start to send an event for each change of state."""
    _find_profiles_in_localstack()
    changes: queue.Queue[Change] = queue.Queue()
    _watch(changes)
    threading.Thread(target=_send_events, args=(changes,), name="instance-events", daemon=True).start()


def _find_profiles_in_localstack() -> None:
    from localstack.services.iam.models import iam_stores
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models import iam_instance_profile
    from moto.ec2.responses import instances

    def filter_iam_instance_profiles(
        account_id: Any,
        partition: Any,  # noqa: ARG001, the parameters are moto's
        iam_instance_profile_arn: Any,
        iam_instance_profile_name: Any,
    ) -> Any:
        name = iam_instance_profile_name or iam_instance_profile_arn.rsplit("/", 1)[-1]
        entity = iam_stores[account_id]["us-east-1"].INSTANCE_PROFILES.get(name)
        if entity is None:
            message = (
                f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
            )
            raise EC2ClientError("InvalidParameterValue", message)
        profile: Any = entity.instance_profile
        return SimpleNamespace(arn=profile["Arn"], id=profile["InstanceProfileId"], name=name)

    iam_instance_profile.filter_iam_instance_profiles = filter_iam_instance_profiles
    instances.filter_iam_instance_profiles = filter_iam_instance_profiles


def _watch(changes: "queue.Queue[Change]") -> None:
    from moto.ec2.models.instances import InstanceBackend

    run = InstanceBackend.run_instances

    @wraps(run)
    def run_instances(self: Any, *args: Any, **kwargs: Any) -> Any:
        reservation = run(self, *args, **kwargs)
        for instance in reservation.instances:
            changes.put((self.account_id, self.region_name, instance.id, "running"))
        return reservation

    InstanceBackend.run_instances = run_instances

    def watched(original: Any, state: Any) -> Any:
        @wraps(original)
        def operation(self: Any, instance_ids: Any) -> Any:
            changed = original(self, instance_ids)
            for instance, previous in changed:
                if previous.name != state:
                    changes.put((self.account_id, self.region_name, instance.id, state))
            return changed

        return operation

    InstanceBackend.start_instances = watched(InstanceBackend.start_instances, "running")
    InstanceBackend.stop_instances = watched(InstanceBackend.stop_instances, "stopped")
    InstanceBackend.terminate_instances = watched(InstanceBackend.terminate_instances, "terminated")


def _send_events(changes: "queue.Queue[Change]") -> None:
    from localstack.aws.connect import connect_to

    while True:
        account, region, instance, state = changes.get()
        try:
            events = connect_to(aws_access_key_id=account, region_name=region).events
            events.put_events(
                Entries=[
                    {
                        "Source": "aws.ec2",
                        "DetailType": "EC2 Instance State-change Notification",
                        "Resources": [f"arn:aws:ec2:{region}:{account}:instance/{instance}"],
                        "Detail": json.dumps({"instance-id": instance, "state": state}),
                    }
                ]
            )
        except Exception:
            LOG.exception("could not send the event that %s is %s", instance, state)
