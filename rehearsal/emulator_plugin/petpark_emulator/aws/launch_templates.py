"""Launch templates: whole in what they give to instances, exact in what they read back.

- AWS starts an instance with the template's instance profile, market option, metadata options, shutdown behaviour and
  subnet. moto takes its type, user data and security groups only.
- A template's own tags are no part of its data, and change when they are changed. moto files them as one more tag
  specification and freezes them.
- Every version's user data is base64. moto keeps that of later versions as plain text and fails when a group starts
  one.
"""

from functools import wraps
from typing import Any

from petpark_emulator.aws.autoscaling import template_version


def apply() -> None:
    """Fix moto's launch templates."""
    _keep_own_tags_apart()
    _give_instances_all_of_the_template()


def _keep_own_tags_apart() -> None:
    from moto.core.types import Base64EncodedString
    from moto.ec2.models.launch_templates import LaunchTemplate
    from moto.ec2.utils import parse_user_data

    original = LaunchTemplate.create_version

    @wraps(original)
    def create_version(self: Any, data: Any, description: Any) -> Any:
        if data.get("TagSpecifications"):
            data["TagSpecifications"] = [
                t for t in data["TagSpecifications"] if t.get("ResourceType") != "launch-template"
            ]
        if not isinstance(data.get("UserData"), Base64EncodedString):
            data["UserData"] = parse_user_data(data.get("UserData"))
        return original(self, data, description)

    template: Any = LaunchTemplate
    template.create_version = create_version
    template.tags = property(lambda self: self.get_tags(), lambda _self, _value: None)


def _give_instances_all_of_the_template() -> None:
    from moto.ec2.models.instances import InstanceBackend, MetadataOptions

    original = InstanceBackend.run_instances

    @wraps(original)
    def run_instances(self: Any, *args: Any, **kwargs: Any) -> Any:
        data = _template_data(self, kwargs)
        if not kwargs.get("nics") and not kwargs.get("subnet_id"):
            kwargs["subnet_id"] = next(
                (n["SubnetId"] for n in data.get("NetworkInterfaces") or [] if n.get("SubnetId")), None
            )
        if not kwargs.get("instance_initiated_shutdown_behavior"):
            kwargs["instance_initiated_shutdown_behavior"] = data.get("InstanceInitiatedShutdownBehavior")
        reservation = original(self, *args, **kwargs)
        for instance in reservation.instances:
            if data.get("MetadataOptions") and not kwargs.get("metadata_options"):
                instance.metadata_options = MetadataOptions(dict(data["MetadataOptions"]))
            if (data.get("InstanceMarketOptions") or {}).get("MarketType") == "spot":
                instance.lifecycle = "spot"
        _associate_profile(self, reservation.instances, data.get("IamInstanceProfile") or {}, kwargs)
        return reservation

    InstanceBackend.run_instances = run_instances


def _template_data(backend: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    template = kwargs.get("launch_template")
    if not template:
        return {}
    if (version := template_version.get()) is not None:
        template = kwargs["launch_template"] = {"Version": version} | template
    return backend._get_template_from_args(template).data


def _associate_profile(
    backend: Any, instances: list[Any], from_template: dict[str, str], kwargs: dict[str, Any]
) -> None:
    name, arn = kwargs.get("iam_instance_profile_name"), kwargs.get("iam_instance_profile_arn")
    if name or arn:
        instances = instances[1:]  # moto itself sees to the first, and to no other
    else:
        name, arn = from_template.get("Name"), from_template.get("Arn")
    if name or arn:
        for instance in instances:
            backend.associate_iam_instance_profile(instance.id, name, arn)
