"""What alarms lead to: the settings, the rules of EventBridge, and what the program declares of both."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.alarms import events
from infra.configuration.alarm_actions import ALARMS, DEFAULTS, Action, AlarmActions, AlarmActionsInvalid, Severity
from infra.configuration.settings_reader import SEALED

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
"""How Pulumi marks a secret, which its state keeps encrypted: https://www.pulumi.com/docs/iac/concepts/secrets/"""

EVERY = [*Severity, *ALARMS]
RULES = st.dictionaries(st.sampled_from(EVERY), st.lists(st.sampled_from([*Action]), unique=True))


@given(RULES, st.sampled_from(ALARMS), st.sampled_from([*Severity]))
def test_an_alarms_own_actions_replace_those_of_its_kind(rules: dict[str, list[Action]], alarm: str, kind: Severity):
    actions = AlarmActions.from_dict({str(name): [str(each) for each in value] for name, value in rules.items()})
    expected = rules.get(alarm, rules.get(kind, list(DEFAULTS[kind])))
    assert actions.of(alarm, kind) == tuple(expected)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"eror": ["page"]}, "eror is not an alarm"),
        ({"errors": ["pager"]}, "expected a list without duplicates of page, ticket, chat, rollback, start-pipeline"),
        ({"errors": ["roll-back"]}, r"errors is \['roll-back'\]; expected .* rollback,"),
        ({"errors": "page"}, "expected a list"),
        ({"errors": ["page", "page"]}, "without duplicates"),
        ({"errors": [["page"]]}, "expected a list"),
    ],
)
def test_an_invalid_entry_is_reported(values: dict[str, Any], said: str):
    with pytest.raises(AlarmActionsInvalid, match=said):
        AlarmActions.from_dict(values)


def of_type(deployment: Any, kind: str) -> dict[str, dict[str, Any]]:
    return {
        r.name.removeprefix("actions-"): dict(r.inputs) for r in deployment.resources if r.type.endswith(f":{kind}")
    }


def test_as_shipped_alarms_only_notify(deployments):
    for deployment in deployments.values():
        assert not [
            r for r in deployment.resources if "Event" in r.type and "actions" in r.name and r.name != "actions"
        ]


FULL = {
    "chat_webhook": "https://hooks.slack.com/services/T0/B0/secret",
    "pager_url": "https://events.pagerduty.com/integration/0/enqueue",
    "alarm_actions": json.dumps(
        {"page": ["page", "chat"], "errors": ["page", "rollback"], "refused": [], "disk": ["start-pipeline"]}
    ),
}


@pytest.fixture
def full(redeploy):
    return redeploy("prod", **FULL)


def test_alarms_have_the_configured_actions(full):
    alarms = of_type(full, "MetricAlarm")
    assert alarms["monitoring-refused"]["alarmActions"] == []
    assert len(alarms["monitoring-errors"]["alarmActions"]) == 1
    rules = {name: json.loads(rule["eventPattern"]) for name, rule in of_type(full, "EventRule").items()}
    assert set(rules) == {"chat", "rollback", "start-pipeline"}
    named = {name: set(rule["detail"]["alarmName"]) for name, rule in rules.items()}
    assert named["rollback"] == {"monitoring-errors-0a1b2c3"}
    assert named["start-pipeline"] == {"monitoring-disk-0a1b2c3"}
    assert "monitoring-errors-0a1b2c3" not in named["chat"]
    assert {"monitoring-latency-0a1b2c3", "monitoring-availability-page-petpark-prod"} <= named["chat"]
    assert not [name for name in named["chat"] if "ticket" in name]


def test_a_page_reaches_the_on_call_service(full):
    (pager,) = [each for each in of_type(full, "TopicSubscription").values() if each["protocol"] == "https"]
    assert pager["endpoint"] == {**SECRET, "value": FULL["pager_url"]}


def test_the_chat_webhook_is_called_by_a_role_with_no_other_permission(full):
    destination = of_type(full, "EventApiDestination")["chat-destination"]
    assert destination["invocationEndpoint"] == {**SECRET, "value": FULL["chat_webhook"]}
    policy = json.loads(of_type(full, "RolePolicy")["chat-grants"]["policy"])
    (statement,) = policy["Statement"]
    assert statement["Action"] == ["events:InvokeApiDestination"]
    starts = json.loads(of_type(full, "RolePolicy")["act-grants"]["policy"])
    assert [each["Action"] for each in starts["Statement"]] == [["states:StartExecution"]]


def test_secrets_stay_out_of_messages_and_of_the_record(redeploy):
    with pytest.raises(Exception, match="pager_url is '\\(hidden\\)'") as error:
        redeploy("prod", pager_url="http://example.org/key-1234")
    assert "key-1234" not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"alarm_actions": '{"page": ["chat"]}'}, "chat_webhook as well"),
        (
            {"alarm_actions": '{"errors": ["rollback"]}', "accounts": '{"prod": "210987654321"}'},
            "no rollback or start-pipeline in a stack with an account of its own",
        ),
        ({"alarm_actions": '{"eror": []}'}, "eror is not an alarm"),
    ],
)
def test_rules_that_cannot_work_are_refused(redeploy, changed: dict[str, str], said: str):
    with pytest.raises(Exception, match=said):
        redeploy("prod", **changed)


def event(state: str, before: str, name: str = "a") -> dict[str, Any]:
    """As https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html shows it."""
    return {
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "detail": {"alarmName": name, "state": {"value": state}, "previousState": {"value": before}},
    }


def matches(pattern: Any, value: Any) -> bool:
    """Of EventBridge's patterns what ours use."""
    if isinstance(pattern, list):
        return value in pattern
    return all(
        any(matches(each, value) for each in wanted)
        if name == "$or"
        else name in value and matches(wanted, value[name])
        for name, wanted in pattern.items()
    )


def test_actions_run_when_an_alarm_starts_and_notifications_also_when_it_clears():
    tells, changes = events.pattern(["a"], changes=False), events.pattern(["a"], changes=True)
    found = {
        (state, before): (matches(tells, event(state, before)), matches(changes, event(state, before)))
        for state, before in [
            ("ALARM", "OK"),
            ("OK", "ALARM"),
            ("OK", "INSUFFICIENT_DATA"),
            ("ALARM", "INSUFFICIENT_DATA"),
        ]
    }
    assert found == {
        ("ALARM", "OK"): (True, True),
        ("OK", "ALARM"): (True, False),
        ("OK", "INSUFFICIENT_DATA"): (False, False),
        ("ALARM", "INSUFFICIENT_DATA"): (True, True),
    }
    assert not matches(tells, event("ALARM", "OK", "b"))


def test_a_pattern_of_all_alarms_fits():
    names = [f"monitoring-{name}-petpark-production-0a1b2c3" for name in (*ALARMS, *ALARMS)]
    assert len(json.dumps(events.pattern(names, changes=False))) <= events.MOST_PATTERN


def test_an_encrypted_secret_is_read_without_its_value(redeploy):
    assert redeploy("prod", **{**FULL, "chat_webhook": '{"secure": "v1:abc"}'}) is not None
    assert SEALED.endswith(".invalid/")
