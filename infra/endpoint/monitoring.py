"""An alarm on each signal and objective of the endpoint, the topics that they notify, and a dashboard."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.configuration.objectives import Objective
from infra.endpoint.alarms import MonitoredSignal, Rule, described, rules
from infra.endpoint.dashboard import Graph, Line, dashboard
from infra.endpoint.objectives import (
    BURNS,
    BurnAlarm,
    ObjectiveAlarm,
    Severity,
    burn_alarms,
    expression,
    objective_alarms,
)
from infra.endpoint.signals import Share, Signal

_TOTAL = "total"


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


class Monitoring(Component):
    """Alarms that notify when something is wrong, and when it is over: the rules are in `alarms` and `objectives`."""

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.topic = aws.sns.Topic(**self.child("alarms"), tags=self.tagged("alarms"))
        self.tickets = aws.sns.Topic(**self.child("tickets"), tags=self.tagged("tickets"))
        self.notifying: list[pulumi.Output[str]] = []
        self._subscribe(args.email)
        for what, rule in rules(latency_ms=args.latency_ms).items():
            if what in args.signals:
                self._watch(what, rule, args.signals[what])
        parts = {alarm.name: self._burn(alarm, args.shares) for alarm in burn_alarms(args.objectives)}
        for alarm in objective_alarms(args.objectives, latency_ms=args.latency_ms):
            self._notify(alarm, parts)
        self._draw(args)
        self.register_outputs({"topic": self.topic.arn})

    def _subscribe(self, email: str | None) -> None:
        if email is not None:
            for name, topic in (("email", self.topic), ("tickets-email", self.tickets)):
                aws.sns.TopicSubscription(**self.child(name), topic=topic.arn, protocol="email", endpoint=email)

    def _watch(self, what: MonitoredSignal, rule: Rule, signal: Signal) -> None:
        percentile = rule.statistic.startswith("p")
        made = aws.cloudwatch.MetricAlarm(
            **self.child(what),
            alarm_description=described(what, rule),
            namespace=signal.namespace,
            metric_name=signal.metric,
            dimensions=signal.dimensions,
            statistic=None if percentile else rule.statistic,
            extended_statistic=rule.statistic if percentile else None,
            comparison_operator=rule.comparison,
            threshold=rule.threshold / signal.milliseconds,
            period=rule.period,
            evaluation_periods=rule.periods,
            datapoints_to_alarm=rule.datapoints,
            treat_missing_data=rule.missing,
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
            tags=self.tags,
        )
        self.notifying.append(made.arn)

    def _burn(self, alarm: BurnAlarm, shares: Mapping[Objective, Share]) -> aws.cloudwatch.MetricAlarm:
        """One window; it notifies nobody by itself."""
        named = _named(shares[alarm.objective])
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
            for key, signal in named.items()
        ]
        queries.append(
            aws.cloudwatch.MetricAlarmMetricQueryArgs(
                id="share",
                expression=_expression(shares[alarm.objective]),
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
        topic = self.topic if alarm.severity is Severity.PAGE else self.tickets
        made = aws.cloudwatch.CompositeAlarm(
            **self.child(alarm.name),
            alarm_name=f"{self.name}-{alarm.name}-{pulumi.get_project()}-{pulumi.get_stack()}",
            alarm_description=alarm.description,
            alarm_rule=names.apply(lambda found: alarm.rule.format_map(found)),
            alarm_actions=[topic.arn],
            ok_actions=[topic.arn],
            tags=self.tags,
        )
        self.notifying.append(made.arn)

    def _draw(self, args: MonitoringArgs) -> None:
        watched = {what: rule for what, rule in rules(latency_ms=args.latency_ms).items() if what in args.signals}
        signals = [_graph_of_signal(what, rule, args.signals[what]) for what, rule in watched.items()]
        objectives = [
            _graph_of_objective(alarm, args.shares[alarm.objective])
            for alarm in burn_alarms(args.objectives)
            if alarm.window == BURNS[0].short
        ]
        body = dashboard([*objectives, *signals], alarms=self.notifying, region=args.region)
        aws.cloudwatch.Dashboard(
            **self.child("dashboard"),
            dashboard_name=f"{pulumi.get_project()}-{pulumi.get_stack()}",
            dashboard_body=pulumi.Output.json_dumps(body, sort_keys=True),
        )


def _graph_of_signal(what: MonitoredSignal, rule: Rule, signal: Signal) -> Graph:
    line = Line(
        namespace=signal.namespace, metric=signal.metric, dimensions=signal.dimensions, statistic=rule.statistic
    )
    return Graph(title=what, lines=[line], threshold=rule.threshold / signal.milliseconds, period=rule.period)


def _graph_of_objective(alarm: BurnAlarm, share: Share) -> Graph:
    named = _named(share)
    lines = [
        Line(namespace=each.namespace, metric=each.metric, dimensions=each.dimensions, statistic="Sum", id=key)
        for key, each in named.items()
    ]
    return Graph(
        title=f"{alarm.objective}: share of bad requests",
        lines=lines,
        threshold=alarm.threshold,
        period=alarm.window.period,
        expression=_expression(share),
    )


def _expression(share: Share) -> str:
    named = _named(share)
    return expression(
        tuple(key for key in named if key != _TOTAL),
        (_TOTAL, *(key for key, signal in named.items() if signal in share.uncounted)),
    )


def _named(share: Share) -> dict[str, Signal]:
    """The metrics of a share by their ids in an expression."""
    return {**{f"bad{number}": signal for number, signal in enumerate(share.bad)}, _TOTAL: share.total}
