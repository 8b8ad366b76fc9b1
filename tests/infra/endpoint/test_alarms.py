"""Alarms watch metrics that somebody really publishes: AWS, by its documentation, or the endpoint, in its log."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.configuration.objectives import Objective
from infra.endpoint.alarms import RUNBOOK, MonitoredSignal, rules
from infra.endpoint.objectives import Severity
from infra.endpoint.signals import ANSWERED, COUNTED, STATE
from registry import log_lines
from serving.release.live import Live
from serving.state_report import state_of
from serving.telemetry import RecentAnswers
from tests.pulumi_stand_in import REPOSITORY

BALANCERS = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html"
CERTIFICATES = "https://docs.aws.amazon.com/acm/latest/userguide/cloudwatch-metrics.html"
OF_TARGETS = frozenset({"LoadBalancer", "TargetGroup"})
PUBLISHED_BY_AWS = {
    # namespace, metric: dimensions, statistics that make sense, source
    ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count"): (OF_TARGETS, {"Sum"}, BALANCERS),
    ("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count"): (frozenset({"LoadBalancer"}), {"Sum"}, BALANCERS),
    ("AWS/ApplicationELB", "TargetResponseTime"): (OF_TARGETS, {"Average", "p99"}, BALANCERS),
    ("AWS/ApplicationELB", "HealthyHostCount"): (OF_TARGETS, {"Average", "Minimum", "Maximum"}, BALANCERS),
    ("AWS/CertificateManager", "DaysToExpiry"): (frozenset({"CertificateArn"}), {"Minimum"}, CERTIFICATES),
}


def _alarms(deployment) -> dict[str, dict[str, Any]]:
    """Alarms on single signals."""
    return {name: alarm for name, alarm in _of_type(deployment, "MetricAlarm").items() if "metricName" in alarm}


def _of_type(deployment, kind: str) -> dict[str, dict[str, Any]]:
    found = {r.name: dict(r.inputs) for r in deployment.resources if r.type.endswith(f":{kind}")}
    return {name.removeprefix("monitoring-"): inputs for name, inputs in found.items()}


def _filters(deployment) -> dict[tuple[str, str], dict[str, Any]]:
    filters = [r.inputs for r in deployment.resources if r.type.endswith(":LogMetricFilter")]
    made = [(entry, entry["metricTransformation"]) for entry in filters]
    return {(what["namespace"], what["name"]): dict(entry) for entry, what in made}


def test_both_kinds_of_endpoint_are_watched_for_all_that_must_be_known(deployments):
    asked = {"errors", "latency", "in-service", "refused", "store", "certification"}
    assert set(_alarms(deployments["test"])) == asked
    assert set(_alarms(deployments["prod"])) == asked | {"balancer", "tls"}
    for deployment in deployments.values():
        for alarm in _alarms(deployment).values():
            assert (
                alarm["alarmActions"] == alarm["okActions"] == ["arn:aws:sns:eu-west-1:123456789012:monitoring-alarms"]
            )


def test_every_alarm_reads_a_metric_that_somebody_publishes(deployments):
    for deployment in deployments.values():
        filters = _filters(deployment)
        for name, alarm in _alarms(deployment).items():
            key = (alarm["namespace"], alarm["metricName"])
            dimensions = alarm.get("dimensions") or {}
            if key in filters:
                assert not dimensions, name
                continue
            published, statistics, source = PUBLISHED_BY_AWS[key]
            assert set(dimensions) == published, source
            assert (alarm.get("statistic") or alarm["extendedStatistic"]) in statistics, source


def test_every_metric_that_is_made_of_log_lines_has_an_alarm(deployments):
    for deployment in deployments.values():
        watched = {(alarm["namespace"], alarm["metricName"]) for alarm in _alarms(deployment).values()}
        read = {
            (query["metric"]["namespace"], query["metric"]["metricName"])
            for alarm in _of_type(deployment, "MetricAlarm").values()
            for query in alarm.get("metricQueries", [])
            if "metric" in query
        }
        assert set(_filters(deployment)) <= watched | read


def test_a_filter_reads_only_fields_that_its_pattern_names(deployments):
    """CloudWatch gives a filter no value of a field that the pattern does not match."""
    for deployment in deployments.values():
        for entry in _filters(deployment).values():
            value = entry["metricTransformation"]["value"]
            assert f"({value} = *)" in entry["pattern"]


def test_the_fields_are_those_that_the_endpoint_logs(endpoint_lines):
    for value in (*ANSWERED.values(), *COUNTED.values(), *STATE.values()):
        line = endpoint_lines[value.message]
        assert isinstance(line[value.field], int | float), value


@pytest.fixture
def endpoint_lines() -> dict[str, dict[str, Any]]:
    """The numbers in the lines that the endpoint's own code makes."""
    recent = RecentAnswers()
    recent.add("/v1/classify", 500, 0.25)

    class Deployed:
        class model:
            @staticmethod
            def certified_seconds(_now: datetime) -> float:
                return 86_400.0

    live = Live()
    live.deployed = Deployed()  # pyright: ignore[reportAttributeAccessIssue]
    return {
        log_lines.ANSWERED: dict(recent.take()),
        log_lines.STATE: state_of(live, now=datetime.now(UTC), monotonic=live.store_answered_at),
    }


def test_an_endpoint_that_is_gone_is_told_and_what_nobody_asked_is_not():
    missing = {what: rule.missing for what, rule in rules(latency_ms=500).items()}
    assert missing == {
        MonitoredSignal.ERRORS: "notBreaching",
        MonitoredSignal.BALANCER: "notBreaching",
        MonitoredSignal.LATENCY: "notBreaching",
        MonitoredSignal.IN_SERVICE: "breaching",
        MonitoredSignal.REFUSED: "notBreaching",
        MonitoredSignal.STORE: "notBreaching",
        MonitoredSignal.CERTIFICATION: "notBreaching",
        # It ends with the certificate: an alarm that went off before must not go silent then.
        MonitoredSignal.TLS: "ignore",
    }


def test_five_errors_a_minute_in_three_of_five_minutes_are_an_alarm():
    for what in (MonitoredSignal.ERRORS, MonitoredSignal.BALANCER):
        rule = rules(latency_ms=500)[what]
        assert (rule.comparison, rule.threshold) == ("GreaterThanOrEqualToThreshold", 5)
        assert (rule.statistic, rule.period) == ("Sum", 60)
        assert (rule.datapoints, rule.periods) == (3, 5)


def test_every_alarm_is_declared_as_its_rule_says(deployments):
    latency = {"test": 1000, "prod": 500}
    for stack, deployment in deployments.items():
        declared = rules(latency_ms=latency[stack])
        for name, alarm in _alarms(deployment).items():
            rule = declared[MonitoredSignal(name)]
            assert alarm["treatMissingData"] == rule.missing, name
            assert alarm["comparisonOperator"] == rule.comparison, name
            assert (alarm.get("statistic") or alarm["extendedStatistic"]) == rule.statistic, name
            assert alarm["threshold"] in {rule.threshold, rule.threshold / 1000}, name
            times = (alarm["period"], alarm["evaluationPeriods"], alarm["datapointsToAlarm"])
            assert times == (rule.period, rule.periods, rule.datapoints), name


def test_cloudwatch_takes_every_rule():
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""
    for rule in rules(latency_ms=500).values():
        assert rule.period in {10, 20, 30} or rule.period % 60 == 0
        assert rule.period * rule.periods <= 86_400
        assert 1 <= rule.datapoints <= rule.periods
        assert rule.statistic in {"Sum", "Minimum", "Maximum", "Average"} or re.fullmatch(r"p\d\d", rule.statistic)


def test_latency_is_told_in_the_units_of_its_metric(deployments):
    assert _alarms(deployments["prod"])["latency"]["threshold"] == 0.5  # seconds
    assert _alarms(deployments["test"])["latency"]["threshold"] == 1000  # milliseconds


def test_an_endpoint_that_may_have_no_instance_has_no_alarm_on_having_none(redeploy):
    assert "in-service" not in _alarms(redeploy("prod", endpoint_min_instances="0"))


def test_a_stack_says_whom_its_alarms_reach(deployments, redeploy):
    assert deployments["test"].outputs["alarm_email"] == "none"
    assert redeploy("test", alarm_email="park@example.test").outputs["alarm_email"] == "park@example.test"


def test_every_alarm_leads_to_its_entry_in_the_runbook_and_every_entry_has_an_alarm(deployments):
    pages = (REPOSITORY / RUNBOOK).read_text().split("\n## ")[1:]
    entries = {page.partition("\n")[0]: page for page in pages}
    assert set(entries) == {*MonitoredSignal, *(f"{each}-{severity}" for each in Objective for severity in Severity)}
    for entry in entries.values():
        assert all(f"\n- {part}: " in entry for part in ("Means", "Look", "Do")), entry
    for deployment in deployments.values():
        for name, alarm in {**_alarms(deployment), **_of_type(deployment, "CompositeAlarm")}.items():
            assert alarm["alarmDescription"].endswith(f" {RUNBOOK}#{name}")
            assert len(alarm["alarmDescription"]) <= 1024  # of PutMetricAlarm
