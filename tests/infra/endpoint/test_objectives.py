"""Burn rates of error budgets: what alarms, by the definition in the Site Reliability Workbook, and as declared."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.configuration.objectives import PERCENTAGES, Objective
from infra.endpoint.objectives import (
    BURNS,
    LEAST_REQUESTS,
    Severity,
    Window,
    budget,
    burn_alarms,
    expression,
    objective_alarms,
)

OBJECTIVES = st.fixed_dictionaries({each: st.sampled_from(PERCENTAGES) for each in Objective})
MONTH = 30 * 86_400


def calculated(formula: str, values: dict[str, float | None]) -> float:
    """What CloudWatch's metric math makes of sums; None if a metric has no value."""

    def fill(value: float | None, instead: float) -> float:
        return instead if value is None else value

    names: dict[str, Any] = {"FILL": fill, "IF": lambda test, yes, no: yes() if test else no()}
    lazy = re.sub(r"IF\((.*? >= \d+), (.*), (\w+)\)$", r"IF(\1, lambda: \2, lambda: \3)", formula)
    return eval(lazy, {"__builtins__": {}} | names | values)  # noqa: S307 - our own formula


def test_the_windows_are_those_of_the_workbook():
    found = [(burn.rate, burn.long.name, burn.short.name, burn.severity) for burn in BURNS]
    assert found == [(14.4, "1h", "5m", "page"), (6, "6h", "30m", "page"), (1, "3d", "6h", "ticket")]
    # Shares of a month's budget that are spent when the long window alarms: 2 %, 5 %, 10 %.
    spent = [burn.rate * burn.long.period * burn.long.periods / MONTH for burn in BURNS]
    assert spent == pytest.approx([0.02, 0.05, 0.1])


@given(
    bad=st.lists(st.none() | st.integers(0, 1000), min_size=1, max_size=2),
    total=st.none() | st.integers(0, 5000),
)
def test_the_expression_is_the_share_of_bad_requests_and_zero_where_there_are_few(bad, total):
    names = [f"bad{number}" for number in range(len(bad))]
    found = calculated(expression(names, ["total"]), {**dict(zip(names, bad, strict=True)), "total": total})
    if (total or 0) < LEAST_REQUESTS:
        assert found == 0
    else:
        assert found == pytest.approx(sum(each or 0 for each in bad) / total)


def test_an_outage_of_all_instances_burns_prods_budget_although_the_balancer_counts_no_request(deployments):
    """RequestCount has only requests for which the load balancer could choose a target."""
    (alarm,) = [r.inputs for r in deployments["prod"].resources if r.name == "monitoring-availability-14-4x-1h"]
    ids = {query["metric"]["metricName"]: query["id"] for query in alarm["metricQueries"] if "metric" in query}
    (formula,) = [query["expression"] for query in alarm["metricQueries"] if "expression" in query]
    refused: dict[str, float | None] = {
        ids["HTTPCode_Target_5XX_Count"]: None,
        ids["HTTPCode_ELB_5XX_Count"]: 100,
        ids["RequestCount"]: None,
    }
    assert calculated(formula, refused) == 1
    assert calculated(formula, refused | {ids["RequestCount"]: 300}) == pytest.approx(0.25)


@given(OBJECTIVES)
def test_every_alarm_can_fire_and_every_composite_alarm_names_alarms_that_exist(objectives):
    alarms = burn_alarms(objectives)
    assert all(0 < alarm.threshold < 1 for alarm in alarms)
    names = [alarm.name for alarm in alarms]
    assert len(set(names)) == len(names)
    used: list[str] = []
    for alarm in objective_alarms(objectives, latency_ms=500):
        assert set(re.findall(r'ALARM\("\{([^}]+)\}"\)', alarm.rule)) == set(alarm.parts)
        assert len(alarm.description) <= 1024  # of PutCompositeAlarm
        used += alarm.parts
    assert sorted(used) == sorted(names)


@given(OBJECTIVES, st.data())
def test_a_composite_alarm_goes_off_when_both_windows_of_any_of_its_rates_do(objectives, data):
    for alarm in objective_alarms(objectives, latency_ms=500):
        over = {part: data.draw(st.booleans()) for part in alarm.parts}
        formula = re.sub(r'ALARM\("\{([^}]+)\}"\)', r'over["\1"]', alarm.rule)
        formula = formula.replace(" AND ", " and ").replace(" OR ", " or ")
        goes_off = eval(formula, {"__builtins__": {}, "over": over})  # noqa: S307 - our own rule
        pairs = zip(alarm.parts[::2], alarm.parts[1::2], strict=True)
        assert goes_off == any(over[long] and over[short] for long, short in pairs), alarm.rule


def test_a_window_that_is_the_multiple_of_a_unit_is_named_by_that_unit():
    named = {(300, 1): "5m", (3600, 1): "1h", (1800, 3): "1h", (86_400, 1): "1d", (86_400, 3): "3d", (21_600, 1): "6h"}
    assert {each: Window(period=each[0], periods=each[1]).name for each in named} == named


@pytest.mark.parametrize(("stack", "available", "fast"), [("test", "99", "95"), ("prod", "99.9", "99")])
def test_the_alarm_of_a_window_is_declared_with_its_share_and_its_length(deployments, stack, available, fast):
    settings = {Objective.AVAILABILITY: available, Objective.LATENCY: fast}
    made = {r.name: r.inputs for r in deployments[stack].resources if r.type.endswith(":MetricAlarm")}
    for alarm in burn_alarms(settings):
        inputs = made[f"monitoring-{alarm.name}"]
        assert inputs["comparisonOperator"] == "GreaterThanThreshold"
        assert inputs["threshold"] == pytest.approx(alarm.threshold)
        assert inputs["evaluationPeriods"] == inputs["datapointsToAlarm"] == alarm.window.periods
        assert inputs["treatMissingData"] == "notBreaching", "no requests are no outage"
        metrics = [query["metric"] for query in inputs["metricQueries"] if "metric" in query]
        assert {(metric["stat"], metric["period"]) for metric in metrics} == {("Sum", alarm.window.period)}
        (share,) = [query for query in inputs["metricQueries"] if query.get("returnData")]
        assert share["expression"]


@given(st.sampled_from(PERCENTAGES))
def test_a_stricter_objective_alarms_at_fewer_errors(percent):
    stricter = [each for each in PERCENTAGES if float(each) > float(percent)]
    for each in stricter:
        assert budget(each) < budget(percent)


def test_cloudwatch_takes_every_window():
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""
    for burn in BURNS:
        for window in burn.windows:
            assert window.period % 60 == 0
            assert window.period <= 86_400
            assert window.period * window.periods <= (604_800 if window.period >= 3600 else 86_400)


def test_both_stacks_page_and_write_tickets_for_both_objectives(deployments):
    for deployment in deployments.values():
        made = {r.name: r.inputs for r in deployment.resources if r.type.endswith(":CompositeAlarm")}
        assert set(made) == {f"monitoring-{each}-{severity}" for each in Objective for severity in Severity}
        for name, inputs in made.items():
            topic = "alarms" if name.endswith("-page") else "tickets"
            assert (
                inputs["alarmActions"]
                == inputs["okActions"]
                == [f"arn:aws:sns:eu-west-1:123456789012:monitoring-{topic}"]
            )
            assert "{" not in inputs["alarmRule"]
        parts = [
            r.inputs
            for r in deployment.resources
            if r.type.endswith(":MetricAlarm") and r.inputs.get("metricQueries") and not r.inputs.get("alarmActions")
        ]
        assert len(parts) == 12
        assert not any(part.get("alarmActions") for part in parts), "the composite alarm notifies"


def test_requests_that_no_instance_answered_count_against_prods_availability(deployments):
    (alarm,) = [r.inputs for r in deployments["prod"].resources if r.name == "monitoring-availability-14-4x-1h"]
    metrics = {query["metric"]["metricName"] for query in alarm["metricQueries"] if "metric" in query}
    assert metrics == {"HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count", "RequestCount"}
    assert alarm["threshold"] == pytest.approx(14.4 * 0.001)
