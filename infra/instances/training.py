"""Where models are made: instances that start for one job, run it, and end themselves."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component, document
from infra.configuration.pipeline_settings import PipelineSettings
from infra.configuration.settings import TrainingSettings
from infra.instances.instance_base import InstanceBase, InstanceBaseArgs
from infra.instances.small import job_user_data
from infra.instances.user_data import Bundle
from infra.network import Network
from infra.resource_names import ResourceNameOutputs


@dataclass(frozen=True, kw_only=True)
class TrainingArgs:
    """What training instances are, and what they work on."""

    region: str
    settings: TrainingSettings
    pipeline: PipelineSettings
    network: Network
    places: ResourceNameOutputs
    bundle: pulumi.Output[Bundle]
    log_days: int
    publisher: pulumi.Output[str]
    """ARN of the role that starts jobs, sees their instances and ends them."""


class Training(Component):
    """A launch template: an instance of it, tagged with a job and an attempt, runs that job.

    The state machine `job` chooses instance type, zone, and spot or on-demand. An instance is ended by its job's end,
    the state machine, the janitor, its own watchdog, and anyone who cancels its job. Shutting down terminates it,
    so none of them can leave one behind that costs money.
    """

    def __init__(self, name: str, args: TrainingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.machine = self._create_machine(args)
        if args.settings.instances > 1:
            self._allow_peer_traffic()
        self.template = self._create_template(args)
        self._let_publishers_watch(args)
        self.outputs = {
            "log_group": self.machine.log_group.name,
            "instances": args.settings.instances,
        }
        self.register_outputs(self.outputs)

    def _create_machine(self, args: TrainingArgs) -> InstanceBase:
        return InstanceBase(
            f"{self.name}-machine",
            InstanceBaseArgs(
                purpose="training",
                instance_type=args.settings.instance_types[0],
                volume_gb=args.settings.volume_gb,
                grants=policies.training,
                answers=True,
                places=args.places,
                vpc=args.network.vpc.id,
                log_days=args.log_days,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _allow_peer_traffic(self) -> None:
        """Allow traffic between the instances of one training only: gloo and NCCL choose their ports."""
        group = self.machine.firewall.id
        aws.vpc.SecurityGroupIngressRule(
            **self.child("together"),
            security_group_id=group,
            referenced_security_group_id=group,
            ip_protocol="tcp",
            from_port=1024,
            to_port=65_535,
            tags=self.tags,
        )

    def _let_publishers_watch(self, args: TrainingArgs) -> None:
        aws.iam.RolePolicy(
            **self.child("watch"),
            role=args.publisher.apply(lambda arn: arn.rpartition("/")[2]),
            policy=document(policies.watch_jobs, log_group=self.machine.log_group.arn),
        )

    def _create_template(self, args: TrainingArgs) -> aws.ec2.LaunchTemplate:
        return self.machine.create_template(
            job_user_data(
                self.machine,
                region=args.region,
                places=args.places,
                bundle=args.bundle,
                settings=args.pipeline,
                max_minutes=args.settings.max_minutes,
            ),
            at_shutdown="terminate",
            # The logical name of deployed stacks: another would replace what running executions launch from.
            part="job-template",
            # An instance can start as soon as this template's id is known, so it comes last.
            depends_on=args.network.ready_for_instances,
        )
