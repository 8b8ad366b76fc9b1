"""The state machine `act` in the interpreter: each event has one effect, which is reported."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from infra.alarms import events
from infra.configuration.alarm_actions import Action
from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline.alarms import action_machine
from infra.pipeline.alarms.action_machine import ActionFacts
from petpark.worker.order import JOB, SCHEMA, Order
from petpark.worker.purposes.drift_checks import covered
from petpark.worker.purposes.rollbacks import RollbackInputs
from tests.infra.pipeline.asl_interpreter import Ended, Refused, ended_execution, run

MACHINES = "arn:aws:states:eu-west-1:000000000000:stateMachine:"
FACTS = ActionFacts(
    job=f"{MACHINES}job:live",
    start=f"{MACHINES}start:live",
    topic="topic",
    tickets="tickets",
    stack="test",
    settings=PipelineSettings(report_language="ca", report_zone="Europe/Madrid"),
)
ALARM = {"stack": "prod", "channel": "prod", "alarm": "monitoring-errors-1", "at": "2026-08-01T12:00:00.000+0000"}
ROLLBACK = {"action": "rollback", **ALARM}
START = {"action": "start-pipeline", **ALARM}


class Services:
    """Step Functions, which knows each name once, and a topic."""

    def __init__(self, output: Mapping[str, Any] | None = None, error: Refused | None = None) -> None:
        self.output, self.error = output or {"outcome": "rolled-back", "message": "prod is back"}, error
        self.started: dict[str, Any] = {}
        self.mails: list[str] = []
        self.sent: list[Mapping[str, Any]] = []
        self.topic_error: Refused | None = None

    def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
        if "TopicArn" in arguments:
            self.sent.append(arguments)
            if self.topic_error is not None:
                raise self.topic_error
            assert len(arguments["Subject"]) <= 100
            self.mails.append(arguments["Message"])
            return {}
        name = arguments["Name"]
        assert JOB.fullmatch(name)
        if name in self.started:
            raise Refused("StepFunctions.ExecutionAlreadyExistsException")
        self.started[name] = arguments
        if self.error is not None:
            raise self.error
        return ended_execution(arguments, self.output)


def execute(services: Services, given: Mapping[str, Any], name: str = "first") -> Ended:
    return run(action_machine.definition(FACTS), dict(given), services, machine="act", name=name)


def test_an_alarm_that_is_delivered_twice_rolls_back_once_and_is_reported_once():
    services = Services()
    first, again = execute(services, ROLLBACK), execute(services, ROLLBACK, "second")
    assert (first.status, again.status) == ("SUCCEEDED", "SUCCEEDED")
    assert again.output == {"repeated": True, "name": first.output["name"]}
    (started,) = services.started.values()
    assert started["StateMachineArn"] == FACTS.job
    (mail,) = services.mails
    assert mail.startswith("alarm monitoring-errors-1 of stack prod since 2026-08-01T12:00:00.000+0000\nrollback-")
    assert mail.endswith(" rolled-back: prod is back")


@pytest.mark.parametrize("name", ["stack", "channel", "alarm", "at"])
def test_another_alarm_time_stack_or_channel_is_another_job(name: str):
    services = Services()
    execute(services, ROLLBACK)
    execute(services, ROLLBACK | {name: "2026-08-01T13:00:00Z" if name == "at" else "other"}, "second")
    assert len(services.started) == 2


def test_two_executions_never_give_the_same_input_so_the_second_is_refused_while_the_first_runs():
    """StartExecution with the same name and input answers as if it had started: the mail would be sent twice."""
    for given in (ROLLBACK, START):
        inputs: list[Any] = []
        for name in ("first", "second"):
            services = Services({"started": True, "execution": "arn"})
            execute(services, given, name)
            inputs += [each["Input"] for each in services.started.values()]
        assert inputs[0] != inputs[1]


def test_the_input_of_a_rollback_job_is_valid_for_the_worker():
    services = Services()
    execute(services, ROLLBACK)
    (started,) = services.started.values()
    given = started["Input"]
    order = {"schema": SCHEMA} | {
        name: given[name] for name in ("job", "purpose", "requested_by", "pipeline", "max_seconds", "inputs")
    }
    read = Order.from_json(json.dumps(order).encode())
    inputs = read.read(RollbackInputs.read)
    assert (read.purpose, read.job) == ("rollback", started["Name"])
    assert (inputs.alarm, inputs.channel, inputs.hours) == ("monitoring-errors-1", "prod", 24)
    assert given["machine"] == "small"
    assert given["max_seconds"] == 60 * FACTS.settings.small_minutes
    assert given["usd"] == FACTS.settings.job_usd


def test_a_drift_schedule_runs_once_per_scheduled_time_and_sends_no_mail():
    given = action_machine.drift_input("prod")
    assert given["at"] == "<aws.scheduler.scheduled-time>"
    services = Services({"outcome": "written", "message": "2 cameras"})
    filled = given | {"at": "2026-08-01T12:30:00Z"}
    assert execute(services, filled).status == execute(services, filled, "second").status == "SUCCEEDED"
    execute(services, given | {"at": "2026-08-01T18:30:00Z"}, "third")
    assert len(services.started) == 2
    assert services.mails == []
    first = next(iter(services.started.values()))["Input"]
    assert first["purpose"] == "drift"
    assert first["inputs"] == {"stack": "prod", "at": "2026-08-01T12:30:00Z"}
    assert covered(__import__("datetime").datetime.fromisoformat(first["inputs"]["at"]))[1] == 12


REPORT = action_machine.monthly_report_input("prod") | {"at": "2026-12-01T06:00:00Z"}
WRITTEN = {"outcome": "written", "message": "Monthly report\n\nVisits: 12", "report": "s3://lake/reports/a.html"}


def test_the_monthly_report_is_sent_once_to_those_who_get_tickets():
    services = Services(WRITTEN)
    assert execute(services, REPORT).status == execute(services, REPORT, "second").status == "SUCCEEDED"
    (started,) = services.started.values()
    assert started["Input"]["inputs"] == {
        "kind": "monthly",
        "stack": "prod",
        "month": "",
        "language": "ca",
        "zone": "Europe/Madrid",
    }
    (sent,) = services.sent
    assert (sent["TopicArn"], sent["Subject"]) == ("tickets", "petpark: test: monthly report")
    assert sent["Message"] == WRITTEN["message"]


def test_a_report_that_cannot_be_sent_is_stored_and_the_error_says_where():
    services = Services(WRITTEN)
    services.topic_error = Refused("SNS.NotFoundException", "the topic does not exist")
    end = execute(services, REPORT)
    assert (end.status, end.error) == ("FAILED", "ReportNotSent")
    assert end.cause == "The report is stored as s3://lake/reports/a.html, but was not sent: the topic does not exist"
    assert len(services.started) == 1


def test_a_report_that_was_not_made_sends_nothing():
    cause = json.dumps({"Error": "SpendCap", "Cause": "the cap is 300 USD"})
    services = Services(error=Refused("States.TaskFailed", cause))
    assert execute(services, REPORT).error == "SpendCap"
    assert services.sent == []


def test_an_alarm_starts_the_pipeline_and_says_which():
    services = Services({"started": True, "execution": "arn:pipeline:abab"})
    assert execute(services, START).status == "SUCCEEDED"
    (started,) = services.started.values()
    assert started["StateMachineArn"] == FACTS.start
    assert started["Input"]["newest"] is True
    assert services.mails[0].endswith("started arn:pipeline:abab")


def test_an_alarm_without_a_new_dataset_starts_nothing_and_says_so():
    services = Services({"started": False, "execution": "arn:pipeline:abab"})
    execute(services, START)
    assert "started nothing: the pipeline already ran for the newest dataset" in services.mails[0]


def test_a_job_that_fails_ends_it_with_the_jobs_own_error_and_a_mail():
    cause = json.dumps({"Error": "SpendCap", "Cause": "the cap is 300 USD"})
    services = Services(error=Refused("States.TaskFailed", cause))
    end = execute(services, ROLLBACK)
    assert (end.status, end.error, end.cause) == ("FAILED", "SpendCap", "the cap is 300 USD")
    assert services.mails[0].endswith("failed (SpendCap): the cap is 300 USD")
    compared = Services(error=Refused("States.TaskFailed", cause))
    assert execute(compared, action_machine.drift_input("prod") | {"at": "2026-08-01T12:00:00Z"}).error == "SpendCap"
    assert compared.mails == [], "the alarm pipeline-failed tells"


@pytest.mark.parametrize(
    "given", [{}, {"action": "dance", **ALARM}, {"action": "rollback", "stack": "prod"}, {"action": "drift"}]
)
def test_an_unknown_input_is_refused(given: dict[str, Any]):
    assert execute(Services(), given).error == "InputInvalid"


@pytest.mark.parametrize("action", [action for action in Action if action.changes])
def test_its_input_is_the_rules_transformed_alarm_event(action: Action):
    template = events.action_template(action, "prod", "prod")
    text = template
    for name in events.paths(template):
        text = text.replace(f"<{name}>", {"alarm": ALARM["alarm"], "at": ALARM["at"]}[name])
    assert json.loads(text) == {"action": action, **ALARM}
    assert (
        execute(Services({"outcome": "kept", "started": True, "execution": "x"}), json.loads(text)).status
        == "SUCCEEDED"
    )
