"""Alarms on signals and objectives, their SNS topics, and a dashboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.alarms.alarm_actions import AlarmEvents, AlarmEventsArgs
from infra.alarms.rules import RUNBOOK, Question, described
from infra.alarms.signals import Alarm, Signal, Watched
from infra.component import Component
from infra.configuration import costs, prices
from infra.configuration.alarm_actions import Action, AlarmActions, Severity
from infra.configuration.objectives import Objective
from infra.configuration.settings import StackSettings
from infra.endpoint.alarms import MonitoredSignal, rules
from infra.endpoint.dashboard import Graph, Section, dashboard, section_text
from infra.endpoint.endpoint_kind import EndpointKind
from infra.endpoint.graphs import (
    graph_of_objective,
    graph_of_requests,
    graphs_of,
    named,
    numbered,
    share_expression,
    summed,
)
from infra.endpoint.objectives import (
    BurnAlarm,
    ObjectiveAlarm,
    burn_alarms,
    objective_alarms,
    reachable,
)
from infra.endpoint.signals import Share


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """What is monitored, when it is bad, and who is notified."""

    region: str
    signals: Mapping[MonitoredSignal, Signal]
    shares: Mapping[Objective, Share]
    objectives: Mapping[Objective, str]
    latency_ms: int
    email: str | None
    """Address that both topics write to; None leaves them to other subscribers."""
    pager_url: str | None
    """HTTPS endpoint subscribed to the topic of pages; a secret."""
    actions: AlarmActions
    runbook_url: str | None
    """URL of the runbook; if None, alarms name its path."""
    month_usd: float | None
    """The stack's list price per month; None if a price is unknown."""
    platform_stack: str | None
    """The stack whose dashboard shows this stack's jobs and drift; None if it is this stack."""


class Monitoring(Component):
    """Alarms that notify when they start and clear; the rules are in `alarms` and `objectives`.

    `watch` adds alarms on other components; `draw` creates the dashboard, after all alarms.
    """

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.args = args
        self.topic = aws.sns.Topic(**self.child("alarms"), tags=self.tagged("alarms"))
        self.tickets = aws.sns.Topic(**self.child("tickets"), tags=self.tagged("tickets"))
        self.alarms: list[Alarm] = []
        """Alarms with actions, in the order of the dashboard."""
        self._runbook = args.runbook_url or RUNBOOK
        self._graphs: list[Graph] = [graph_of_requests(args.shares[Objective.AVAILABILITY])]
        self._subscribe(args)
        self._create_objectives(args)
        declared = rules(latency_ms=args.latency_ms)
        self.watch(
            [
                Watched(kind=what, signals=(args.signals[what],), rule=rule)
                for what, rule in declared.items()
                if what in args.signals
            ]
        )
        self.register_outputs({"topic": self.topic.arn})

    def watch(self, watched: Sequence[Watched]) -> None:
        """Create an alarm for each, and a graph for each kind."""
        for each in watched:
            self._watch(each)
        self._graphs += graphs_of(watched)

    def draw(self) -> None:
        """Create the dashboard."""
        name = f"{pulumi.get_project()}-{pulumi.get_stack()}"
        found = (self._section(question) for question in Question)
        sections = [each for each in found if each.text or each.alarms]
        body = dashboard(sections, title=name, runbook=self.args.runbook_url, region=self.args.region)
        aws.cloudwatch.Dashboard(
            **self.child("dashboard"),
            dashboard_name=name,
            dashboard_body=pulumi.Output.json_dumps(body, sort_keys=True),
        )

    def _section(self, question: Question) -> Section:
        alarms = [alarm for alarm in self.alarms if alarm.question is question]
        owner = self.args.platform_stack and f"{pulumi.get_project()}-{self.args.platform_stack}"
        return Section(
            question=question,
            text=section_text(question, month_usd=self.args.month_usd, owner=owner),
            entries=list(dict.fromkeys(alarm.kind for alarm in alarms)),
            alarms=[alarm.arn for alarm in alarms],
            graphs=[graph for graph in self._graphs if graph.question is question],
        )

    def _subscribe(self, args: MonitoringArgs) -> None:
        if args.email is not None:
            for name, topic in (("email", self.topic), ("tickets-email", self.tickets)):
                aws.sns.TopicSubscription(**self.child(name), topic=topic.arn, protocol="email", endpoint=args.email)
        if args.pager_url is not None:
            # PagerDuty and Opsgenie confirm automatically: https://docs.aws.amazon.com/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html
            aws.sns.TopicSubscription(
                **self.child("pager"),
                topic=self.topic.arn,
                protocol=args.pager_url.partition(":")[0],
                endpoint=pulumi.Output.secret(args.pager_url),
                endpoint_auto_confirms=True,
            )

    def _topics(self, kind: str, severity: Severity) -> list[pulumi.Output[str]]:
        actions = self.args.actions.of(kind, severity)
        topics = {Action.PAGE: self.topic, Action.TICKET: self.tickets}
        return [topic.arn for action, topic in topics.items() if action in actions]

    def _watch(self, watched: Watched) -> None:
        rule, topics = watched.rule, self._topics(watched.kind, watched.rule.severity)
        made = aws.cloudwatch.MetricAlarm(
            **self.child(watched.name),
            alarm_description=described(watched.kind, rule.description, self._runbook),
            **_measured(watched),
            comparison_operator=rule.comparison,
            threshold=rule.threshold / watched.signals[0].milliseconds,
            evaluation_periods=rule.periods,
            datapoints_to_alarm=rule.datapoints,
            treat_missing_data=rule.missing,
            alarm_actions=topics,
            ok_actions=topics,
            tags=self.tags,
        )
        self.alarms.append(
            Alarm(
                kind=watched.kind,
                severity=rule.severity,
                about=watched.about,
                question=rule.shown.question,
                name=made.name,
                arn=made.arn,
            )
        )

    def _create_objectives(self, args: MonitoringArgs) -> None:
        parts = {alarm.name: self._burn(alarm, args.shares) for alarm in burn_alarms(args.objectives)}
        for alarm in objective_alarms(args.objectives, latency_ms=args.latency_ms, runbook=self._runbook):
            self._notify(alarm, parts)
        self._graphs += [
            graph_of_objective(reachable(percent)[0], objective, percent, args.shares[objective])
            for objective, percent in args.objectives.items()
        ]

    def _burn(self, alarm: BurnAlarm, shares: Mapping[Objective, Share]) -> aws.cloudwatch.MetricAlarm:
        """One window; on its own it sends no notifications."""
        metrics = named(shares[alarm.objective])
        queries = [
            aws.cloudwatch.MetricAlarmMetricQueryArgs(
                id=key,
                metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                    namespace=signal.namespace,
                    metric_name=signal.metric,
                    dimensions=signal.dimensions,
                    period=alarm.window.period,
                    stat="Sum",
                ),
            )
            for key, signal in metrics.items()
        ]
        queries.append(
            aws.cloudwatch.MetricAlarmMetricQueryArgs(
                id="share",
                expression=share_expression(shares[alarm.objective]),
                label=f"share of requests outside of the {alarm.objective} objective",
                return_data=True,
            )
        )
        return aws.cloudwatch.MetricAlarm(
            **self.child(alarm.name),
            alarm_description=f"A part of the alarms {alarm.objective}-page and {alarm.objective}-ticket.",
            metric_queries=queries,
            comparison_operator="GreaterThanThreshold",
            threshold=alarm.threshold,
            evaluation_periods=alarm.window.periods,
            datapoints_to_alarm=alarm.window.periods,
            treat_missing_data="notBreaching",  # no requests
            tags=self.tags,
        )

    def _notify(self, alarm: ObjectiveAlarm, parts: Mapping[str, aws.cloudwatch.MetricAlarm]) -> None:
        names = pulumi.Output.all(**{part: parts[part].name for part in alarm.parts})
        topics = self._topics(alarm.name, alarm.severity)
        made = aws.cloudwatch.CompositeAlarm(
            **self.child(alarm.name),
            alarm_name=f"{self.name}-{alarm.name}-{pulumi.get_project()}-{pulumi.get_stack()}",
            alarm_description=alarm.description,
            alarm_rule=names.apply(lambda found: alarm.rule.format_map(found)),
            alarm_actions=topics,
            ok_actions=topics,
            tags=self.tags,
        )
        self.alarms.append(
            Alarm(
                kind=alarm.name,
                severity=alarm.severity,
                about="",
                question=Question.UP,
                name=made.alarm_name,
                arn=made.arn,
            )
        )


def create_monitoring(name: str, settings: StackSettings, endpoint: EndpointKind) -> Monitoring:
    """Create the topics and the alarms on the endpoint."""
    return Monitoring(
        name,
        MonitoringArgs(
            region=settings.region,
            signals=endpoint.signals,
            shares=endpoint.shares,
            objectives=settings.objectives,
            latency_ms=settings.latency_alarm_ms,
            email=settings.alarm_email,
            pager_url=settings.pager_url,
            actions=settings.alarm_actions,
            runbook_url=settings.runbook_url,
            platform_stack=settings.platform_stack,
            month_usd=costs.month_total(settings, prices.load()),
        ),
    )


def complete_monitoring(
    monitoring: Monitoring, settings: StackSettings, *, watched: Sequence[Watched], act: pulumi.Input[str]
) -> None:
    """Add the alarms on what else is watched, the dashboard of all, and what they lead to by the machine `act`."""
    monitoring.watch(watched)
    monitoring.draw()
    AlarmEvents(
        "actions",
        AlarmEventsArgs(
            alarms=monitoring.alarms,
            actions=settings.alarm_actions,
            channel=settings.endpoint.channel,
            chat_webhook=settings.chat_webhook,
            act=act,
        ),
    )


def _measured(watched: Watched) -> dict[str, Any]:
    """What the alarm reads: a metric, or the sum of several."""
    rule = watched.rule
    if len(watched.signals) == 1:
        (signal,) = watched.signals
        percentile = rule.statistic.startswith("p")
        return {
            "namespace": signal.namespace,
            "metric_name": signal.metric,
            "dimensions": signal.dimensions,
            "statistic": None if percentile else rule.statistic,
            "extended_statistic": rule.statistic if percentile else None,
            "period": rule.period,
        }
    queries = [
        aws.cloudwatch.MetricAlarmMetricQueryArgs(
            id=key,
            metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                namespace=signal.namespace,
                metric_name=signal.metric,
                dimensions=signal.dimensions,
                period=rule.period,
                stat=rule.statistic,
            ),
        )
        for key, signal in numbered(watched.signals).items()
    ]
    total = aws.cloudwatch.MetricAlarmMetricQueryArgs(
        id="total", expression=summed(tuple(numbered(watched.signals))), label=watched.name, return_data=True
    )
    return {"metric_queries": [*queries, total]}
