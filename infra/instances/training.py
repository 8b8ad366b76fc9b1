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
from infra.instances.user_data import Bundle, training_script
from infra.network import Network
from infra.policies import ResourceNames
from infra.resource_names import ResourceNameOutputs
from registry.layout import Variable


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
    """ARN of the role that launches."""


class Training(Component):
    """A launch template: an instance of it, tagged with a job's id, runs that job.

    The launcher (`petpark.jobs.launches`) chooses instance type, zone, and spot or on-demand.
    Three things end an instance: its job's end, its own watchdog, and the person who launched it. To shut down is to
    terminate, so none of them can leave one behind that costs money.
    """

    def __init__(self, name: str, args: TrainingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.machine = self._create_machine(args)
        if args.settings.instances > 1:
            self._allow_peer_traffic()
        self.template = self._create_template(args)
        self.job_template = self._create_job_template(args)
        self._let_launch(args)
        self.outputs = {
            "launch_template": self.template.id,
            "subnets": {zone: subnet.id for zone, subnet in args.network.by_zone.items()},
            "instance_types": [kind.name for kind in args.settings.instance_types],
            "spot": args.settings.spot,
            "tags": self.machine.tagged("instance"),
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
        """Let instances of one training reach each other, and nobody else: gloo and NCCL choose their ports."""
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

    def _let_launch(self, args: TrainingArgs) -> None:
        """Let the publisher launch: what an instance may do is what the publisher may do."""
        aws.iam.RolePolicy(
            **self.child("launch"),
            role=args.publisher.apply(lambda arn: arn.rpartition("/")[2]),
            policy=document(
                policies.launch,
                template=self.template.arn,
                subnets=[subnet.arn for subnet in args.network.instance_subnets],
                role=self.machine.role.arn,
                log_group=self.machine.log_group.arn,
            ),
        )

    def _create_template(self, args: TrainingArgs) -> aws.ec2.LaunchTemplate:
        def script(values: tuple[ResourceNames, Bundle, str]) -> str:
            places, bundle, log_group = values
            return training_script(
                region=args.region,
                bundle=bundle,
                environment={
                    Variable.MODEL_STORE: places.model_store,
                    Variable.DATA_LAKE: places.data_lake,
                    Variable.WORKSPACE: places.workspace,
                    Variable.MODEL: places.model,
                    Variable.SIGNING_KEY: places.signing_key,
                    Variable.LOG_GROUP: log_group,
                },
                max_minutes=args.settings.max_minutes,
            )

        facts = pulumi.Output.all(args.places.resolved(), args.bundle, self.machine.log_group.name)
        return self.machine.create_template(
            facts.apply(lambda values: script((values[0], values[1], values[2]))),
            at_shutdown="terminate",
            # An instance can start as soon as this template's id is known, so it comes last.
            depends_on=args.network.ready_for_instances,
        )

    def _create_job_template(self, args: TrainingArgs) -> aws.ec2.LaunchTemplate:
        """Make the template of instances that the pipeline's state machine launches: the same, with a worker."""
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
            part="job-template",
            depends_on=args.network.ready_for_instances,
        )
