"""The pipeline as AWS runs it: four state machines, their roles and log, schedules and rules that start them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component, document
from infra.configuration.pipeline_settings import PipelineSettings
from infra.configuration.prices import load
from infra.configuration.settings import StackSettings
from infra.instances.small import Small
from infra.instances.training import Training
from infra.network import Network
from infra.pipeline import janitor_machine, job_machine, lifecycle_machine, trigger_machine
from infra.pipeline.hourly_prices import hourly
from infra.pipeline.job_machine import JobFacts, LaunchTemplate
from infra.pipeline.stages import LifecycleFacts
from infra.pipeline.trigger_machine import TriggerFacts
from infra.resource_names import ResourceNameOutputs
from registry.layout import Role

ALIAS = "live"
"""What everybody starts; each deployment moves it to the version that it published."""


@dataclass(frozen=True, kw_only=True)
class PipelineArgs:
    """What the pipeline runs on, and whom it tells."""

    settings: StackSettings
    network: Network
    places: ResourceNameOutputs
    training: Training
    small: Small
    roles: Mapping[Role, pulumi.Input[str]]
    """ARN of each operator role."""
    code: str
    """Hash of the code bundle."""
    topic: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A deployed state machine."""

    arn: pulumi.Output[str]
    alias: pulumi.Output[str]
    """ARN of the alias."""


class Pipeline(Component):
    """State machines `job`, `pipeline`, `start` and `janitor`: `docs/design/pipeline.md`."""

    def __init__(self, name: str, args: PipelineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.settings: PipelineSettings = args.settings.pipeline
        self.log_group = aws.cloudwatch.LogGroup(
            **self.child("log"),
            name=f"/{pulumi.get_project()}/{pulumi.get_stack()}/pipeline",
            retention_in_days=args.settings.log_days,
            tags=self.tags,
        )
        self.job = self._create_job(args)
        self.lifecycle = self._create_lifecycle(args)
        self.start = self._create_start(args)
        self.janitor = self._create_janitor(args)
        self._let_people(args)
        self._start_on_schedules()
        if self.settings.on_manifest:
            self._start_on_manifests(args)
        self.outputs = {
            "job": self.job.alias,
            "pipeline": self.lifecycle.alias,
            "start": self.start.alias,
            "janitor": self.janitor.alias,
            "log_group": self.log_group.name,
        }
        self.register_outputs(self.outputs)

    # State machines

    def _create_job(self, args: PipelineArgs) -> Machine:
        spot = args.settings.training.spot
        training = args.training.job_template
        small = args.small.template
        prices = load().region(args.settings.region)
        usd = {
            "training": hourly(prices, args.settings.training.instance_types, args.settings.training.volume_gb),
            "small": hourly(prices, self.settings.small_types, args.small.machine.args.volume_gb),
        }

        def define(places: policies.ResourceNames, templates: Sequence[str], subnets: Sequence[str]) -> dict[str, Any]:
            kinds = {
                name: LaunchTemplate(template=template, usd_per_hour=usd[name], spot=spot and name == "training")
                for name, template in zip(usd, templates, strict=True)
            }
            return job_machine.definition(
                JobFacts(
                    workspace=places.workspace,
                    subnets=subnets,
                    machines=kinds,
                    tags=self._instance_tags(),
                    settings=self.settings,
                )
            )

        policy = document(
            policies.run_jobs,
            places=args.places.resolved(),
            templates=[training.arn, small.arn],
            subnets=[subnet.arn for subnet in args.network.instance_subnets],
            roles=[args.training.machine.role.arn, args.small.machine.role.arn],
        )
        definition = pulumi.Output.all(
            places=args.places.resolved(),
            templates=[training.id, small.id],
            subnets=[subnet.id for subnet in args.network.instance_subnets],
        ).apply(lambda facts: define(**facts))
        return self._create_machine("job", policy, definition)

    def _instance_tags(self) -> dict[str, str]:
        """A fleet's own tags take the place of the template's with the same keys, and nobody relies on the others."""
        return {"petpark:project": pulumi.get_project(), "petpark:stack": pulumi.get_stack()}

    def _lifecycle_facts(self, args: PipelineArgs) -> pulumi.Output[LifecycleFacts]:
        def facts(job: str, places: policies.ResourceNames, topic: str) -> LifecycleFacts:
            return LifecycleFacts(
                job=job,
                workspace=places.workspace,
                lake=places.data_lake,
                topic=topic,
                code=args.code,
                gates=args.settings.gates.to_dict(),
                stack=pulumi.get_stack(),
                channel=args.settings.endpoint.channel,
                settings=self.settings,
            )

        return pulumi.Output.all(job=self.job.alias, places=args.places.resolved(), topic=args.topic).apply(
            lambda found: facts(**found)
        )

    def _create_lifecycle(self, args: PipelineArgs) -> Machine:
        policy = document(policies.run_pipeline, places=args.places.resolved(), job=self.job.arn, topic=args.topic)
        definition = self._lifecycle_facts(args).apply(lifecycle_machine.definition)
        return self._create_machine("lifecycle", policy, definition)

    def _create_start(self, args: PipelineArgs) -> Machine:
        policy = document(policies.start_pipeline, places=args.places.resolved(), pipeline=self.lifecycle.arn)
        facts = pulumi.Output.all(pipeline=self.lifecycle.alias, lifecycle=self._lifecycle_facts(args))
        definition = facts.apply(lambda found: trigger_machine.definition(TriggerFacts(**found)))
        return self._create_machine("start", policy, definition)

    def _create_janitor(self, args: PipelineArgs) -> Machine:
        policy = document(policies.clean_up, template=args.small.template.arn, job=self.job.arn)
        definition = pulumi.Output.from_input(janitor_machine.definition(pulumi.get_stack()))
        return self._create_machine("janitor", policy, definition)

    def _create_machine(
        self, part: str, policy: pulumi.Output[str], definition: pulumi.Output[dict[str, Any]]
    ) -> Machine:
        role = aws.iam.Role(
            **self.child(f"{part}-role"),
            assume_role_policy=policies.as_json(policies.trust_service("states.amazonaws.com")),
            tags=self.tags,
        )
        grants = aws.iam.RolePolicy(**self.child(f"{part}-grants"), role=role.name, policy=policy)
        machine = aws.sfn.StateMachine(
            # Step Functions checks that the role may write the log when the state machine is made.
            **self.child(part, pulumi.ResourceOptions(depends_on=[grants])),
            role_arn=role.arn,
            definition=definition.apply(lambda found: json.dumps(found, separators=(",", ":"))),
            type="STANDARD",
            publish=True,
            logging_configuration={
                "level": "ERROR",
                "include_execution_data": False,
                "log_destination": pulumi.Output.concat(self.log_group.arn, ":*"),
            },
            tags=self.tags,
        )
        alias = aws.sfn.Alias(
            **self.child(f"{part}-alias"),
            name=ALIAS,
            routing_configurations=[{"state_machine_version_arn": machine.state_machine_version_arn, "weight": 100}],
        )
        return Machine(arn=machine.arn, alias=alias.arn)

    # Who starts and answers them

    def _let_people(self, args: PipelineArgs) -> None:
        """Publishers start, follow and stop; certifiers answer."""
        machines = [self.job.arn, self.lifecycle.arn, self.start.arn]
        aws.iam.RolePolicy(
            **self.child("publisher"),
            role=_name(args.roles[Role.PUBLISHER]),
            policy=document(policies.follow_pipeline, machines=machines),
        )
        aws.iam.RolePolicy(
            **self.child("certifier"),
            role=_name(args.roles[Role.CERTIFIER]),
            policy=document(policies.answer_tokens, places=args.places.resolved()),
        )

    def _start_on_schedules(self) -> None:
        role = self._trigger_role("scheduler", [self.start.arn, self.janitor.arn])
        self._schedule("look", f"rate({self.settings.janitor_minutes} minutes)", self.janitor, {}, role)
        if self.settings.schedule is not None:
            self._schedule("schedule", self.settings.schedule, self.start, {"newest": True}, role)

    def _schedule(
        self, part: str, expression: str, machine: Machine, given: Mapping[str, Any], role: aws.iam.Role
    ) -> None:
        aws.scheduler.Schedule(
            **self.child(part),
            schedule_expression=_rate(expression),
            flexible_time_window={"mode": "OFF"},
            target={"arn": machine.alias, "role_arn": role.arn, "input": json.dumps(given)},
        )

    def _start_on_manifests(self, args: PipelineArgs) -> None:
        """S3 tells EventBridge of every new object of the lake; the rule passes on those that may be manifests."""
        role = self._trigger_role("events", [self.start.arn])
        aws.s3.BucketNotification(**self.child("notification"), bucket=args.places.data_lake, eventbridge=True)
        rule = aws.cloudwatch.EventRule(
            **self.child("manifests"),
            description="A new dataset manifest starts the pipeline",
            event_pattern=document(trigger_machine.manifest_pattern, bucket=args.places.data_lake),
            tags=self.tags,
        )
        aws.cloudwatch.EventTarget(
            **self.child("manifests-target"), rule=rule.name, arn=self.start.alias, role_arn=role.arn
        )

    def _trigger_role(self, service: str, machines: Sequence[pulumi.Output[str]]) -> aws.iam.Role:
        role = aws.iam.Role(
            **self.child(f"{service}-role"),
            assume_role_policy=policies.as_json(policies.trust_service(f"{service}.amazonaws.com")),
            tags=self.tags,
        )
        aws.iam.RolePolicy(
            **self.child(f"{service}-grants"),
            role=role.name,
            policy=document(policies.start_machines, machines=machines),
        )
        return role


def _rate(expression: str) -> str:
    """Scheduler takes `rate(1 minute)` and `rate(2 minutes)`, and no other number with either."""
    return "rate(1 minute)" if expression == "rate(1 minutes)" else expression


def _name(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.from_input(arn).apply(lambda found: found.rpartition("/")[2])
