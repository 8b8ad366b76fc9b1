"""The pipeline as AWS runs it: five state machines, their roles and log, schedules and rules that start them."""

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
from infra.pipeline import job_machine, study_machine, trigger_machine
from infra.pipeline.alarms import action_machine
from infra.pipeline.alarms.action_machine import ActionFacts
from infra.pipeline.budgets import require_affordable
from infra.pipeline.deployed_machine import Machine, deploy
from infra.pipeline.hourly_prices import hourly
from infra.pipeline.janitor import janitor_machine
from infra.pipeline.janitor.janitor_machine import JanitorFacts
from infra.pipeline.job.facts import END_SECONDS, JobFacts, LaunchTemplate
from infra.pipeline.lifecycle import lifecycle_machine
from infra.pipeline.lifecycle.stages import LifecycleFacts
from infra.pipeline.study_machine import StudyFacts
from infra.pipeline.trigger_machine import TriggerFacts
from infra.pipeline.triggers import Scheduled, start_on_manifests, start_on_schedules
from infra.pipeline.watching import watch
from infra.resource_names import ResourceNameOutputs
from registry.layout.roles import Role


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
    tickets: pulumi.Input[str]
    """ARN of the topic for alarms that can wait and for the monthly report."""


class Pipeline(Component):
    """State machines `job`, `study`, `pipeline`, `start`, `janitor` and `act`: `docs/design/pipeline.md`."""

    def __init__(self, name: str, args: PipelineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.settings: PipelineSettings = args.settings.pipeline
        self.log_group = aws.cloudwatch.LogGroup(
            **self.child("log"),
            name=f"/{pulumi.get_project()}/{pulumi.get_stack()}/pipeline",
            retention_in_days=args.settings.log_days,
            tags=self.tags,
        )
        self.usd_per_hour = self._hourly(args)
        self.job = self._create_job(args)
        self.study = self._create_study(args)
        self.lifecycle = self._create_lifecycle(args)
        self.start = self._create_start(args)
        self.janitor = self._create_janitor(args)
        self.act = self._create_act(args)
        self._let_people(args)
        start_on_schedules(
            self, self.settings, Scheduled(job=self.job, start=self.start, janitor=self.janitor, act=self.act)
        )
        if self.settings.on_manifest:
            start_on_manifests(self, args.places.data_lake, self.start)
        made = {
            "job": self.job,
            "study": self.study,
            "pipeline": self.lifecycle,
            "start": self.start,
            "janitor": self.janitor,
            "act": self.act,
        }
        self.outputs: dict[str, pulumi.Input[Any]] = {
            **{name: machine.alias for name, machine in made.items()},
            "versions": {name: machine.version for name, machine in made.items()},
            "log_group": self.log_group.name,
            "small_log_group": args.small.machine.log_group.name,
            "limits": {
                "around_seconds": self.settings.boot_seconds + END_SECONDS,
                "job_usd": self.settings.job_usd,
                "execution_usd": self.settings.execution_usd,
                "usd_per_hour": self.usd_per_hour["training"],
            },
        }
        self.watched = watch(
            self,
            self.settings,
            {"pipeline": self.lifecycle, "start": self.start, "act": self.act, "janitor": self.janitor},
            log_group=args.small.machine.log_group,
            least_accuracy=args.settings.gates.model.get("accuracy", 0.0),
        )
        self.register_outputs(self.outputs)

    # State machines

    def _hourly(self, args: PipelineArgs) -> dict[str, dict[str, float]]:
        """USD an hour of each machine's types."""
        prices = load().region(args.settings.region)
        return {
            "training": hourly(prices, args.settings.training.instance_types, args.settings.training.volume_gb),
            "small": hourly(prices, self.settings.small_types, args.small.machine.args.volume_gb),
        }

    def _create_job(self, args: PipelineArgs) -> Machine:
        spot = args.settings.training.spot
        training = args.training.template
        small = args.small.template
        usd = self.usd_per_hour
        require_affordable(self.settings, usd)

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
        return deploy(self, "job", policy=policy, definition=definition, log_group=self.log_group)

    def _instance_tags(self) -> dict[str, str]:
        """A fleet's own tags take the place of the template's with the same keys, and nobody relies on the others."""
        return {"petpark:project": pulumi.get_project(), "petpark:stack": pulumi.get_stack()}

    def _create_study(self, args: PipelineArgs) -> Machine:
        def define(job: str, places: policies.ResourceNames) -> dict[str, Any]:
            dearest = max(self.usd_per_hour["training"].values())
            return study_machine.definition(
                StudyFacts(job=job, workspace=places.workspace, usd_per_hour=dearest, settings=self.settings)
            )

        policy = document(policies.run_study, places=args.places.resolved(), job=self.job.arn)
        facts = pulumi.Output.all(job=self.job.alias, places=args.places.resolved())
        return deploy(
            self,
            "study",
            policy=policy,
            definition=facts.apply(lambda found: define(**found)),
            log_group=self.log_group,
        )

    def _lifecycle_facts(self, args: PipelineArgs) -> pulumi.Output[LifecycleFacts]:
        def facts(job: str, study: str, places: policies.ResourceNames, topic: str) -> LifecycleFacts:
            return LifecycleFacts(
                job=job,
                study=study,
                workspace=places.workspace,
                lake=places.data_lake,
                model=places.model,
                model_store=places.model_store,
                topic=topic,
                code=args.code,
                gates=args.settings.gates.to_dict(),
                stack=pulumi.get_stack(),
                channel=args.settings.endpoint.channel,
                settings=self.settings,
            )

        return pulumi.Output.all(
            job=self.job.alias, study=self.study.alias, places=args.places.resolved(), topic=args.topic
        ).apply(lambda found: facts(**found))

    def _create_lifecycle(self, args: PipelineArgs) -> Machine:
        policy = document(
            policies.run_pipeline,
            places=args.places.resolved(),
            machines=[self.job.arn, self.study.arn],
            topic=args.topic,
        )
        definition = self._lifecycle_facts(args).apply(lifecycle_machine.definition)
        return deploy(self, "lifecycle", policy=policy, definition=definition, log_group=self.log_group)

    def _create_start(self, args: PipelineArgs) -> Machine:
        policy = document(policies.start_pipeline, places=args.places.resolved(), pipeline=self.lifecycle.arn)
        facts = pulumi.Output.all(pipeline=self.lifecycle.alias, lifecycle=self._lifecycle_facts(args))
        definition = facts.apply(lambda found: trigger_machine.definition(TriggerFacts(**found)))
        return deploy(self, "start", policy=policy, definition=definition, log_group=self.log_group)

    def _create_janitor(self, args: PipelineArgs) -> Machine:
        policy = document(
            policies.clean_up,
            places=args.places.resolved(),
            template=args.small.template.arn,
            job=self.job.arn,
            namespace=pulumi.get_project(),
        )

        def define(places: policies.ResourceNames, job: str) -> dict[str, Any]:
            return janitor_machine.definition(
                JanitorFacts(
                    stack=pulumi.get_stack(),
                    workspace=places.workspace,
                    job=job,
                    boot_seconds=self.settings.boot_seconds,
                    namespace=pulumi.get_project(),
                )
            )

        facts = pulumi.Output.all(places=args.places.resolved(), job=self.job.alias)
        definition = facts.apply(lambda found: define(**found))
        return deploy(self, "janitor", policy=policy, definition=definition, log_group=self.log_group)

    def _create_act(self, args: PipelineArgs) -> Machine:
        policy = document(
            policies.act_on_alarms, job=self.job.arn, start=self.start.arn, topics=[args.topic, args.tickets]
        )
        facts = pulumi.Output.all(job=self.job.alias, start=self.start.alias, topic=args.topic, tickets=args.tickets)
        stack, settings = pulumi.get_stack(), self.settings
        definition = facts.apply(
            lambda found: action_machine.definition(ActionFacts(**found, stack=stack, settings=settings))
        )
        return deploy(self, "act", policy=policy, definition=definition, log_group=self.log_group)

    # Who starts and answers them

    def _let_people(self, args: PipelineArgs) -> None:
        """Publishers start, follow and stop; certifiers answer."""
        machines = [self.job.arn, self.study.arn, self.lifecycle.arn, self.start.arn]
        aws.iam.RolePolicy(
            **self.child("publisher"),
            role=_name(args.roles[Role.PUBLISHER]),
            policy=document(
                policies.follow_pipeline,
                machines=machines,
                janitor=self.janitor.arn,
                log_group=args.small.machine.log_group.arn,
            ),
        )
        aws.iam.RolePolicy(
            **self.child("certifier"),
            role=_name(args.roles[Role.CERTIFIER]),
            policy=document(policies.answer_tokens, places=args.places.resolved()),
        )


def _name(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.from_input(arn).apply(lambda found: found.rpartition("/")[2])
