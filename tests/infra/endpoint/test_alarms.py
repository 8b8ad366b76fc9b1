"""Alarms watch metrics that somebody really publishes: AWS, by its documentation, or the endpoint, in its log."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.alarms.rules import RUNBOOK
from infra.configuration.alarm_actions import ALARMS, Severity
from infra.configuration.objectives import Objective
from infra.endpoint.alarms import MonitoredSignal, rules
from infra.endpoint.signals import ANSWERED, COUNTED, STATE
from infra.pipeline.alarms.pipeline_alarms import (
    FAILURES,
    FOUND,
    PipelineSignal,
    failed_rule,
    found_rules,
    spending_rule,
)
from petpark.worker.purposes.drift_checks import metrics_of
from registry import log_lines
from serving.release.live import Live
from serving.state_report import state_of
from serving.telemetry import RecentAnswers
from tests.infra.endpoint.published import MACHINES, PUBLISHED_BY_AWS, SPENDING, filters_of
from tests.monitoring import test_drift_records
from tests.pulumi_stand_in import REPOSITORY

OF_STACK_TEST = {
    *(f"{what}-{stack}" for what in FOUND for stack in ("test", "prod")),
    *("pipeline-failed-pipeline", "pipeline-failed-start", "pipeline-failed-act", "pipeline-failed-janitor"),
    "spending",
}
"""The pipeline's alarms, in the stack that owns it."""
TICKETS = {"disk", "telemetry-lost", *OF_STACK_TEST}


def _alarms(deployment) -> dict[str, dict[str, Any]]:
    """Alarms on single signals of the endpoint, or of the comparisons."""
    return {name: alarm for name, alarm in _of_type(deployment, "MetricAlarm").items() if "metricName" in alarm}


def _kind(name: str) -> str:
    """The entry in the runbook of an alarm."""
    return next(kind for kind in sorted(ALARMS, key=len, reverse=True) if name == kind or name.startswith(f"{kind}-"))


def _rules(stack: str) -> dict[str, Any]:
    """What each alarm on a single signal is declared by."""
    found = {str(what): rule for what, rule in rules(latency_ms={"test": 1000, "prod": 500}[stack]).items()}
    for of in ("test", "prod"):
        found |= {f"{what}-{of}": rule for what, rule in found_rules(of, least_accuracy=0.6).items()}
    return {**found, "spending": spending_rule(300)}


def _of_type(deployment, kind: str) -> dict[str, dict[str, Any]]:
    found = {r.name: dict(r.inputs) for r in deployment.resources if r.type.endswith(f":{kind}")}
    return {name.removeprefix("monitoring-"): inputs for name, inputs in found.items()}


def test_both_kinds_of_endpoint_are_watched_for_all_that_must_be_known(deployments):
    asked = {"errors", "latency", "in-service", "refused", "store", "certification"}
    asked |= {"disk", "other-version", "telemetry-lost"}
    single = {name for name in OF_STACK_TEST if not name.startswith("pipeline-failed")}
    assert set(_alarms(deployments["test"])) == asked | single
    assert set(_alarms(deployments["prod"])) == asked | {"balancer", "tls"}
    for deployment in deployments.values():
        for name, alarm in _alarms(deployment).items():
            topic = "tickets" if name in TICKETS else "alarms"
            arn = f"arn:aws:sns:eu-west-1:123456789012:monitoring-{topic}"
            assert alarm["alarmActions"] == alarm["okActions"] == [arn], name


def test_every_state_machine_is_watched_under_both_of_its_names(deployments):
    alarms = _of_type(deployments["test"], "MetricAlarm")
    for name in ("pipeline", "start", "act", "janitor"):
        alarm = alarms[f"pipeline-failed-{name}"]
        metrics = [query["metric"] for query in alarm["metricQueries"] if "metric" in query]
        assert {(metric["namespace"], metric["metricName"]) for metric in metrics} == {
            ("AWS/States", metric) for metric in FAILURES
        }, MACHINES
        assert {frozenset(metric["dimensions"]) for metric in metrics} == {
            frozenset({"StateMachineArn"}),
            frozenset({"StateMachineArn", "Alias"}),
        }
        (total,) = [query for query in alarm["metricQueries"] if query.get("returnData")]
        assert total["expression"].count("FILL(") == len(metrics) <= 10  # of one alarm
    assert not [name for name in _of_type(deployments["prod"], "MetricAlarm") if name.startswith("pipeline")]


def test_every_alarm_reads_a_metric_that_somebody_publishes(deployments):
    for deployment in deployments.values():
        filters = filters_of(deployment)
        for name, alarm in _alarms(deployment).items():
            key = (alarm["namespace"], alarm["metricName"])
            dimensions = alarm.get("dimensions") or {}
            if key in filters or key == SPENDING:
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
        assert set(filters_of(deployment)) <= watched | read


def test_a_filter_reads_only_fields_that_its_pattern_names(deployments):
    """CloudWatch gives a filter no value of a field that the pattern does not match."""
    for deployment in deployments.values():
        for entry in filters_of(deployment).values():
            value = entry["metricTransformation"]["value"]
            assert f"({value} = *)" in entry["pattern"]


def test_the_fields_are_those_that_the_endpoint_logs(endpoint_lines):
    for value in (*ANSWERED.values(), *COUNTED.values(), *STATE.values()):
        line = endpoint_lines[value.message]
        assert isinstance(line[value.field], int | float), value


def test_the_metric_filters_use_the_fields_that_the_drift_job_logs():
    logged = metrics_of(test_drift_records.RECORD)
    assert {value.field for value in FOUND.values()} <= set(logged)
    for value in FOUND.values():
        assert value.of(stack="prod").pattern == (
            f'{{ ($.event = "drift") && ($.stack = "prod") && ($.{value.field} = *) }}'
        )


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
        MonitoredSignal.DISK: "notBreaching",
        MonitoredSignal.OTHER_VERSION: "notBreaching",
        MonitoredSignal.TELEMETRY_LOST: "notBreaching",
    }
    assert {rule.missing for rule in found_rules("prod", least_accuracy=0.6).values()} == {"ignore"}, (
        "between two comparisons an alarm stays as it is"
    )


def test_five_errors_a_minute_in_three_of_five_minutes_are_an_alarm():
    for what in (MonitoredSignal.ERRORS, MonitoredSignal.BALANCER):
        rule = rules(latency_ms=500)[what]
        assert (rule.comparison, rule.threshold) == ("GreaterThanOrEqualToThreshold", 5)
        assert (rule.statistic, rule.period) == ("Sum", 60)
        assert (rule.datapoints, rule.periods) == (3, 5)


def test_every_alarm_is_declared_as_its_rule_says(deployments):
    for stack, deployment in deployments.items():
        declared = _rules(stack)
        for name, alarm in _alarms(deployment).items():
            rule = declared[name]
            assert alarm["treatMissingData"] == rule.missing, name
            assert alarm["comparisonOperator"] == rule.comparison, name
            assert (alarm.get("statistic") or alarm["extendedStatistic"]) == rule.statistic, name
            assert alarm["threshold"] in {rule.threshold, rule.threshold / 1000}, name
            times = (alarm["period"], alarm["evaluationPeriods"], alarm["datapointsToAlarm"])
            assert times == (rule.period, rule.periods, rule.datapoints), name


def test_one_failed_execution_of_a_state_machine_is_an_alarm_in_the_same_minute(deployments):
    alarms = _of_type(deployments["test"], "MetricAlarm")
    for name in ("pipeline", "start", "act", "janitor"):
        alarm = alarms[f"pipeline-failed-{name}"]
        assert (alarm["comparisonOperator"], alarm["threshold"]) == ("GreaterThanOrEqualToThreshold", 1)
        assert (alarm["evaluationPeriods"], alarm["datapointsToAlarm"]) == (1, 1)
        assert alarm["treatMissingData"] == "notBreaching"
        metrics = [query["metric"] for query in alarm["metricQueries"] if "metric" in query]
        assert {(metric["stat"], metric["period"]) for metric in metrics} == {("Sum", 60)}


def test_spending_alarms_before_the_month_is_spent_and_accuracy_below_its_bound():
    spending = spending_rule(300)
    assert (spending.threshold, spending.statistic, spending.comparison) == (
        240,
        "Maximum",
        "GreaterThanOrEqualToThreshold",
    )
    found = found_rules("prod", least_accuracy=0.6)
    accuracy = found[PipelineSignal.ACCURACY]
    assert (accuracy.threshold, accuracy.statistic, accuracy.comparison) == (60, "Minimum", "LessThanThreshold")
    for what in (PipelineSignal.DRIFT, PipelineSignal.SILENT_CAMERA):
        assert (found[what].threshold, found[what].statistic) == (1, "Maximum")
        assert found[what].comparison == "GreaterThanOrEqualToThreshold"
    assert {(rule.period, rule.periods, rule.datapoints) for rule in found.values()} == {(3600, 1, 1)}
    assert {rule.severity for rule in (*found.values(), spending, failed_rule())} == {Severity.TICKET}


def test_cloudwatch_takes_every_rule():
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""
    for rule in [*_rules("prod").values(), failed_rule()]:
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
    objectives = {f"{each}-{severity}" for each in Objective for severity in Severity}
    assert set(entries) == set(ALARMS) == {*MonitoredSignal, *objectives, *PipelineSignal}
    for entry in entries.values():
        assert all(f"\n- {part}: " in entry for part in ("Means", "Look", "Do")), entry
    for deployment in deployments.values():
        told = {name: alarm for name, alarm in _of_type(deployment, "MetricAlarm").items() if "alarmActions" in alarm}
        for name, alarm in {**told, **_of_type(deployment, "CompositeAlarm")}.items():
            assert alarm["alarmDescription"].endswith(f" {RUNBOOK}#{_kind(name)}")
            assert len(alarm["alarmDescription"]) <= 1024  # of PutMetricAlarm
