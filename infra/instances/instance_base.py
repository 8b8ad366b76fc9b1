"""What every instance of petpark has, whatever it does: an identity, a log, a firewall, an image, and no way in."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component
from infra.configuration.instance_types import InstanceType
from infra.policies import Document
from infra.resource_names import ResourceNameOutputs

ROOT_DEVICE = "/dev/xvda"  # of Amazon Linux 2023 and of the images made from it


@dataclass(frozen=True, kw_only=True)
class InstanceBaseArgs:
    """What the instances of one component may do, and what they are made of."""

    purpose: str
    """Names the log group and what people see in the console."""
    instance_type: InstanceType
    volume_gb: int
    grants: Callable[..., Document]
    """What the instances may do, given the places, the ARN of their log group, and `more`."""
    places: ResourceNameOutputs
    vpc: pulumi.Input[str]
    log_days: int
    answers: bool = False
    """Whether they run jobs, and so answer task tokens."""
    more: Sequence[pulumi.Input[str]] = ()
    """Further ARNs that are passed to `grants`."""


class InstanceBase(Component):
    """Identity, log, firewall and image of a component's instances."""

    type_name = "Machine"

    def __init__(self, name: str, args: InstanceBaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.args = args
        self.image = aws.ssm.get_parameter_output(name=args.instance_type.image_parameter).insecure_value
        self.log_group = self._create_log_group(args.log_days)
        self.role = self._create_role()
        self.granted = self._grant(args)
        self.profile = aws.iam.InstanceProfile(**self.child("profile"), role=self.role.name, tags=self.tags)
        self.firewall, way_out = self._create_firewall(args.vpc)
        self.ready = [*self.granted, way_out]
        """What must exist before an instance starts: its role's policies, and its egress rules."""
        self.register_outputs({"role": self.role.arn, "log_group": self.log_group.name})

    def _create_log_group(self, days: int) -> aws.cloudwatch.LogGroup:
        return aws.cloudwatch.LogGroup(
            **self.child("log"),
            name=f"/{pulumi.get_project()}/{pulumi.get_stack()}/{self.args.purpose}",
            retention_in_days=days,
            tags=self.tags,
        )

    def _create_role(self) -> aws.iam.Role:
        return aws.iam.Role(
            **self.child("role"),
            assume_role_policy=policies.as_json(policies.trust_service("ec2.amazonaws.com")),
            tags=self.tags,
        )

    def _grant(self, args: InstanceBaseArgs) -> list[pulumi.Resource]:
        """What an instance must have been granted before it starts."""
        own = aws.iam.RolePolicy(
            **self.child("grants"),
            role=self.role.name,
            policy=pulumi.Output.all(args.places.resolved(), self.log_group.arn, *args.more).apply(
                lambda values: policies.as_json(args.grants(*values))
            ),
        )
        shell = aws.iam.RolePolicy(
            **self.child("shell"), role=self.role.name, policy=policies.as_json(policies.session_manager())
        )
        if not args.answers:
            return [own, shell]
        answers = aws.iam.RolePolicy(
            **self.child("answers"), role=self.role.name, policy=policies.as_json(policies.answer_tasks())
        )
        return [own, shell, answers]

    def _create_firewall(self, vpc: pulumi.Input[str]) -> tuple[aws.ec2.SecurityGroup, aws.vpc.SecurityGroupEgressRule]:
        group = aws.ec2.SecurityGroup(
            **self.child("firewall"),
            vpc_id=vpc,
            description=f"petpark: instances of the {self.args.purpose}",
            tags=self.tagged("firewall"),
        )
        way_out = aws.vpc.SecurityGroupEgressRule(
            **self.child("way-out"),
            security_group_id=group.id,
            ip_protocol="-1",
            cidr_ipv4="0.0.0.0/0",
            tags=self.tags,
        )
        return group, way_out

    def create_template(
        self,
        user_data: pulumi.Output[str],
        *,
        at_shutdown: str = "stop",
        part: str = "template",
        depends_on: Sequence[pulumi.Resource] = (),
    ) -> aws.ec2.LaunchTemplate:
        """Make the launch template of such instances; `at_shutdown` says what their own shutdown does to them."""
        return aws.ec2.LaunchTemplate(
            **self.child(part, pulumi.ResourceOptions(depends_on=[*self.ready, *depends_on])),
            image_id=self.image,
            instance_type=self.args.instance_type.name,
            instance_initiated_shutdown_behavior=at_shutdown,
            iam_instance_profile={"arn": self.profile.arn},
            vpc_security_group_ids=[self.firewall.id],
            metadata_options=METADATA_OPTIONS,
            block_device_mappings=[
                {
                    "device_name": ROOT_DEVICE,
                    "ebs": {
                        "volume_size": self.args.volume_gb,
                        "volume_type": "gp3",
                        "encrypted": "true",
                        "delete_on_termination": "true",
                    },
                }
            ],
            user_data=user_data.apply(lambda script: base64.b64encode(script.encode()).decode()),
            update_default_version=True,
            tag_specifications=[
                {"resource_type": kind, "tags": self.tagged("instance")} for kind in ("instance", "volume")
            ],
            tags=self.tags,
        )


# Tokens required (IMDSv2); one hop, so that nothing behind the instance can ask; tags, because a job reads its own.
METADATA_OPTIONS: aws.ec2.LaunchTemplateMetadataOptionsArgsDict = {
    "http_endpoint": "enabled",
    "http_tokens": "required",
    "http_put_response_hop_limit": 1,
    "instance_metadata_tags": "enabled",
}
