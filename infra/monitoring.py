"""What wakes somebody: alarms on an endpoint's errors and latency, and the topic that they speak to."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.endpoint import Signal

_PERIOD_SECONDS = 60
_PERIODS = 3
_ERRORS_A_MINUTE = 5


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """What is watched, from when on it is bad, and who hears of it."""

    errors: Signal
    latency: Signal
    latency_ms: int
    email: str | None
    """Address that the alarms write to; None leaves the topic to other subscribers."""


class Monitoring(Component):
    """Alarms that go off after three bad minutes of five, and say so again when it is over."""

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.topic = aws.sns.Topic(**self.child("alarms"), tags=self.tagged("alarms"))
        self._subscribe(args.email)
        self._watch_errors(args.errors)
        self._watch_latency(args.latency, args.latency_ms)
        self.register_outputs({"topic": self.topic.arn})

    def _subscribe(self, email: str | None) -> None:
        if email is not None:
            aws.sns.TopicSubscription(**self.child("email"), topic=self.topic.arn, protocol="email", endpoint=email)

    def _watch_errors(self, signal: Signal) -> None:
        aws.cloudwatch.MetricAlarm(
            **self.child("errors"),
            alarm_description="The endpoint answers with errors (status 500 and above).",
            namespace=signal.namespace,
            metric_name=signal.metric,
            dimensions=signal.dimensions,
            statistic="Sum",
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=_ERRORS_A_MINUTE,
            period=_PERIOD_SECONDS,
            evaluation_periods=_PERIODS + 2,
            datapoints_to_alarm=_PERIODS,
            treat_missing_data="notBreaching",
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
            tags=self.tags,
        )

    def _watch_latency(self, signal: Signal, milliseconds: int) -> None:
        aws.cloudwatch.MetricAlarm(
            **self.child("latency"),
            alarm_description=f"One answer in a hundred takes longer than {milliseconds} ms.",
            namespace=signal.namespace,
            metric_name=signal.metric,
            dimensions=signal.dimensions,
            extended_statistic="p99",
            comparison_operator="GreaterThanThreshold",
            threshold=milliseconds / signal.milliseconds,
            period=_PERIOD_SECONDS,
            evaluation_periods=_PERIODS + 2,
            datapoints_to_alarm=_PERIODS,
            treat_missing_data="notBreaching",
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
            tags=self.tags,
        )
