"""The machine `small`: instances for jobs that need no GPU, such as checks, moves and tests."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component
from infra.configuration.pipeline_settings import PipelineSettings
from infra.instances.instance_base import InstanceBase, InstanceBaseArgs
from infra.instances.user_data import Bundle, job_script
from infra.network import Network
from infra.policies import Document, ResourceNames
from infra.resource_names import ResourceNameOutputs
from registry.layout.roles import Role
from registry.layout.variables import Variable

VOLUME_GB = 30
"""The image, the environment with PyTorch (5 GB), and a model."""

ACTS_AS = (Role.PUBLISHER, Role.PROMOTER, Role.READER)
"""Roles that a small worker assumes; certification is left to people."""


@dataclass(frozen=True, kw_only=True)
class SmallArgs:
    """What small instances are, and what they work on."""

    region: str
    settings: PipelineSettings
    network: Network
    places: ResourceNameOutputs
    bundle: pulumi.Output[Bundle]
    log_days: int
    max_minutes: int
    """Time after which an instance terminates itself; a canary that takes longer continues on another one."""
    roles: Mapping[Role, pulumi.Input[str]]
    """ARN of each operator role."""


class Small(Component):
    """A launch template: an instance of it, tagged with a job and an attempt, runs that job and ends itself."""

    def __init__(self, name: str, args: SmallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.machine = self._create_machine(args)
        self.template = self._create_template(args)
        self.register_outputs({"template": self.template.id})

    def _create_machine(self, args: SmallArgs) -> InstanceBase:
        roles = [args.roles[role] for role in ACTS_AS]
        return InstanceBase(
            f"{self.name}-machine",
            InstanceBaseArgs(
                purpose="jobs",
                instance_type=args.settings.small_types[0],
                volume_gb=VOLUME_GB,
                grants=_grants,
                answers=True,
                more=roles,
                places=args.places,
                vpc=args.network.vpc.id,
                log_days=args.log_days,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _create_template(self, args: SmallArgs) -> aws.ec2.LaunchTemplate:
        return self.machine.create_template(
            job_user_data(
                self.machine,
                region=args.region,
                places=args.places,
                bundle=args.bundle,
                settings=args.settings,
                max_minutes=args.max_minutes,
            ),
            at_shutdown="terminate",
            depends_on=args.network.ready_for_instances,
        )


def _grants(places: ResourceNames, log_group: str, *roles: str) -> Document:
    return policies.small_worker(places=places, log_group=log_group, roles=roles)


def job_user_data(
    machine: InstanceBase,
    *,
    region: str,
    places: ResourceNameOutputs,
    bundle: pulumi.Output[Bundle],
    settings: PipelineSettings,
    max_minutes: int,
) -> pulumi.Output[str]:
    """User data of an instance that runs one attempt at a job of the pipeline."""
    facts = pulumi.Output.all(places.resolved(), bundle, machine.log_group.name)
    return facts.apply(
        lambda values: job_script(
            region=region,
            bundle=values[1],
            environment=_job_environment(values[0], values[2], settings),
            max_minutes=max_minutes,
        )
    )


def _job_environment(places: ResourceNames, log_group: str, settings: PipelineSettings) -> dict[Variable, str]:
    """What the user data passes to a worker, in addition to its tags."""
    return {
        Variable.MODEL_STORE: places.model_store,
        Variable.DATA_LAKE: places.data_lake,
        Variable.WORKSPACE: places.workspace,
        Variable.MODEL: places.model,
        Variable.SIGNING_KEY: places.signing_key,
        Variable.LOG_GROUP: log_group,
        Variable.HEARTBEAT_SECONDS: str(settings.heartbeat_seconds),
        Variable.STACK: pulumi.get_stack(),
    }
