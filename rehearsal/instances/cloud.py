"""The emulator's instances as plain values."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

RUNNING = frozenset({"pending", "running"})


class Cloud(Protocol):
    """The part of `rehearsal.emulator.Emulator` that instances and load balancers need."""

    @property
    def url(self) -> str:
        """The endpoint of all services."""
        ...

    @property
    def region(self) -> str:
        """The region that everything is in."""
        ...

    def client(self, service: str) -> Any:
        """A boto3 client with root credentials."""
        ...

    def environment(self) -> dict[str, str]:
        """Variables that lead a child's SDK here."""
        ...


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An emulated instance as `DescribeInstances` shows it."""

    id: str
    state: str
    type: str
    image: str
    private_ip: str
    zone: str
    lifecycle: str  # "spot" or "on-demand"
    profile_arn: str | None
    tokens_required: bool
    tags_in_metadata: bool
    tags: Mapping[str, str]
    reservation: str = ""
    launch_index: int = 0

    @property
    def runs(self) -> bool:
        """Whether AWS would have this instance up."""
        return self.state in RUNNING


def describe(ec2: Any, ids: Sequence[str] = ()) -> list[Instance]:
    """All instances, or those of `ids` that still exist."""
    filters = [{"Name": "instance-id", "Values": list(ids)}] if ids else []
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    reservations = [reservation for page in pages for reservation in page["Reservations"]]
    return [_instance(one, found["ReservationId"]) for found in reservations for one in found["Instances"]]


def user_data(ec2: Any, instance_id: str) -> bytes:
    """The instance's user data, decoded as cloud-init decodes it: base64, then gzip where it is compressed."""
    answer = ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
    data = base64.b64decode(answer.get("UserData", {}).get("Value") or "")
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def end(ec2: Any, instance_id: str) -> None:
    """End an instance that shut itself down: terminate or stop it, whichever it was launched to do."""
    answer = ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="instanceInitiatedShutdownBehavior")
    if answer.get("InstanceInitiatedShutdownBehavior", {}).get("Value") == "terminate":
        ec2.terminate_instances(InstanceIds=[instance_id])
    else:
        ec2.stop_instances(InstanceIds=[instance_id])


def _instance(described: Mapping[str, Any], reservation: str) -> Instance:
    tags = {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}
    options = described.get("MetadataOptions", {})
    return Instance(
        id=described["InstanceId"],
        state=described["State"]["Name"],
        type=described["InstanceType"],
        image=described.get("ImageId", ""),
        private_ip=described.get("PrivateIpAddress", ""),
        zone=described.get("Placement", {}).get("AvailabilityZone", ""),
        lifecycle=described.get("InstanceLifecycle", "on-demand"),
        profile_arn=described.get("IamInstanceProfile", {}).get("Arn"),
        tokens_required=options.get("HttpTokens") == "required",
        tags_in_metadata=options.get("InstanceMetadataTags") == "enabled",
        tags=tags,
        reservation=reservation,
        launch_index=described.get("AmiLaunchIndex", 0),
    )


def announce_interruption(cloud: Cloud, instance_id: str) -> None:
    """Put EC2's spot interruption warning on the event bus, where the account's own rules can see it."""
    detail = {"instance-id": instance_id, "instance-action": "terminate"}
    entry = {
        "Source": "aws.ec2",
        "DetailType": "EC2 Spot Instance Interruption Warning",
        "Detail": json.dumps(detail),
        "Resources": [f"arn:aws:ec2:{cloud.region}::instance/{instance_id}"],
    }
    cloud.client("events").put_events(Entries=[entry])
