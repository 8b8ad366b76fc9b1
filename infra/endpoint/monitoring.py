"""An alarm on each signal of the endpoint, and the topic that alarms notify."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.endpoint.alarms import MonitoredSignal, Rule, described, rules
from infra.endpoint.signals import Signal


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """What is watched, from when on it is bad, and who hears of it."""

    signals: Mapping[MonitoredSignal, Signal]
    latency_ms: int
    email: str | None
    """Address that the alarms write to; None leaves the topic to other subscribers."""


class Monitoring(Component):
    """Alarms that notify when something is wrong, and when it is over: the rules are in `infra.endpoint.alarms`."""

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.topic = aws.sns.Topic(**self.child("alarms"), tags=self.tagged("alarms"))
        self._subscribe(args.email)
        for what, rule in rules(latency_ms=args.latency_ms).items():
            if what in args.signals:
                self._watch(what, rule, args.signals[what])
        self.register_outputs({"topic": self.topic.arn})

    def _subscribe(self, email: str | None) -> None:
        if email is not None:
            aws.sns.TopicSubscription(**self.child("email"), topic=self.topic.arn, protocol="email", endpoint=email)

    def _watch(self, what: MonitoredSignal, rule: Rule, signal: Signal) -> None:
        percentile = rule.statistic.startswith("p")
        aws.cloudwatch.MetricAlarm(
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
