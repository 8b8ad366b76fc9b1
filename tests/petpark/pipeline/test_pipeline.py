"""`petpark pipeline`, and the decision that a pipeline waits for."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from petpark.errors import PipelineNotStarted, PipelineRunning
from petpark.failures.denials import denial
from petpark.pipeline import runs
from registry.store.memory_store import MemoryStore
from tests.petpark.conftest import Place
from tests.petpark.jobs.states import AT, OUTPUTS, StepFunctions, opener
from tests.petpark.pipeline.conftest import Command
from tests.training.photos import write_photos
from training.dataset.ingest import ingest

PIPELINE = OUTPUTS["pipeline"].removesuffix(":live").replace("stateMachine", "execution")


@pytest.fixture
def dataset(place: Place, tmp_path: Path) -> str:
    lake = place.buckets["lake"] = MemoryStore()
    return ingest(write_photos(tmp_path / "photos", per_class=20), lake, seed=1).sha256


@pytest.fixture
def trigger(states: StepFunctions) -> None:
    """The state machine `start`: a pipeline's name is made of its inputs."""

    def on_start(execution: dict[str, Any]) -> None:
        if ":petpark-start:" not in execution["executionArn"]:
            return
        given = json.loads(execution["input"])
        arn = f"{PIPELINE}:{given['dataset'][:12]}-{given['force'] or 'once'}"
        began = arn not in states.executions
        if began:
            states.executions[arn] = {"executionArn": arn, "status": "RUNNING", "startDate": AT} | {
                "input": json.dumps({"dataset": given["dataset"]})
            }
            states.enter(arn, "Check", "Begin", "CheckDataset")
        execution |= {"status": "SUCCEEDED", "output": json.dumps({"started": began, "execution": arn})}

    states.on_start = on_start


def name(dataset: str, force: str = "once") -> str:
    return f"{dataset[:12]}-{force}"


def test_equal_inputs_run_once_and_a_word_makes_them_others(
    run: Command, states: StepFunctions, trigger: None, dataset: str
) -> None:
    first = json.loads(run("pipeline", "start", "--dataset", dataset[:6], "--json").stdout)
    assert first == {"pipeline": name(dataset), "began": True}
    again = run("pipeline", "start", "--dataset", dataset)
    assert "earlier: equal inputs run once" in again.stdout
    assert json.loads(run("pipeline", "start", "--dataset", dataset, "--force", "b", "--json").stdout)["began"]


def test_waiting_for_a_trigger_that_does_not_answer_ends_after_a_minute(
    place: Place, states: StepFunctions, dataset: str
) -> None:
    passed = iter([0.0, 59.9, 60.0])  # it stays RUNNING
    with pytest.raises(PipelineNotStarted, match="did not finish within 60 s"):
        runs.start(opener(place, states)(), dataset, pause=lambda _seconds: None, clock=lambda: next(passed))


def test_a_pipeline_is_not_retried_when_its_execution_names_are_used_up(
    place: Place, states: StepFunctions, trigger: None, dataset: str
) -> None:
    target = opener(place, states)()
    for force in ("", *(f"retry-{number}" for number in range(2, 100))):
        runs.start(target, dataset, force=force)
    states.end("FAILED")
    with pytest.raises(PipelineNotStarted, match="has been retried 99 times"):
        runs.retry(target, name(dataset))


def test_a_pipeline_without_a_dataset_is_refused_in_a_sentence(run: Command, dataset: str) -> None:
    missing = run("pipeline", "start")
    assert missing.exit_code == 2
    result = run("pipeline", "start", "--dataset", "f" * 64)
    assert (result.exit_code, result.stderr.startswith("DatasetMissing: ")) == (1, True)


def test_what_the_trigger_refuses_is_told_with_its_cause(run: Command, states: StepFunctions, dataset: str) -> None:
    def refuse(execution: dict[str, Any]) -> None:
        execution.update(status="FAILED", error="InputInvalid", cause="Unknown: forse; known are dataset, force.")

    states.on_start = refuse
    result = run("pipeline", "start", "--dataset", dataset)
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        1,
        "PipelineNotStarted: The pipeline was not started: Unknown: forse; known are dataset, force.",
    )


def test_a_role_that_may_not_start_it_is_told_so(run: Command, states: StepFunctions, dataset: str) -> None:
    states.denied.add("StartExecution")
    result = run("pipeline", "start", "--dataset", dataset)
    assert (result.exit_code, result.stderr.startswith("AccessDenied: ")) == (2, True)


def test_status_lists_and_shows_where_a_pipeline_is(
    run: Command, states: StepFunctions, trigger: None, dataset: str
) -> None:
    assert "No pipeline yet" in run("pipeline", "status").stdout
    run("pipeline", "start", "--dataset", dataset)
    arn = f"{PIPELINE}:{name(dataset)}"
    assert "CheckDataset" in run("pipeline", "status").stdout
    states.enter(arn, "WaitForCertification")
    shown = run("pipeline", "status", dataset[:5])
    assert "waits for certification" in shown.stdout
    assert "petpark certify N" in shown.stdout
    states.executions[arn] |= {"status": "FAILED", "error": "CertificationExpired", "cause": "nobody", "stopDate": AT}
    ended = run("pipeline", "status", name(dataset))
    assert f"petpark pipeline retry {name(dataset)}" in ended.stdout
    assert json.loads(run("pipeline", "status", "--json").stdout)["pipelines"][0]["error"] == "CertificationExpired"
    missing = run("pipeline", "status", "zzz")
    assert (missing.exit_code, missing.stderr.startswith("PipelineMissing: There is no pipeline zzz.")) == (1, True)


S3_DENIED = (
    "User: arn:aws:sts::123456789012:assumed-role/pipeline-job-role-1a2b/abc is not authorized to perform: "
    's3:PutObject on resource: "arn:aws:s3:::workspace/jobs/x/order.json" because no identity-based policy allows '
    "the s3:PutObject action (Service: S3, Status Code: 403, Request ID: Q)"
)
EC2_DENIED = (
    "EC2 refused the launch: You are not authorized to perform this operation. User: arn:aws:sts::123456789012:"
    "assumed-role/pipeline-job-role-1a2b/abc is not authorized to perform: ec2:CreateFleet on resource: "
    "arn:aws:ec2:eu-west-1:123456789012:fleet/* because no identity-based policy allows the ec2:CreateFleet action. "
    "Encoded authorization failure message: xyz (Service: Ec2, Status Code: 403, Request ID: Q)"
)


@pytest.mark.parametrize(("cause", "action"), [(S3_DENIED, "s3:PutObject"), (EC2_DENIED, "ec2:CreateFleet")])
def test_a_missing_permission_is_reported_with_the_role_and_the_action(
    run: Command, states: StepFunctions, trigger: None, dataset: str, cause: str, action: str
) -> None:
    run("pipeline", "start", "--dataset", dataset)
    states.executions[f"{PIPELINE}:{name(dataset)}"] |= {
        "status": "FAILED",
        "error": "X",
        "cause": cause,
        "stopDate": AT,
    }
    result = " ".join(run("pipeline", "status", name(dataset)).stdout.split())
    assert f"role pipeline-job-role-1a2b may not {action} on arn:aws:" in result
    assert "pulumi up restores the role's deployed permissions" in result
    assert denial("accuracy is 0.4") is None


@pytest.mark.parametrize("error", ["DatasetRefused", "GateRefused", "CertificationRefused"])
def test_an_end_that_stored_jobs_lead_to_again_is_not_advised_to_be_retried(
    run: Command, states: StepFunctions, trigger: None, dataset: str, error: str
) -> None:
    run("pipeline", "start", "--dataset", dataset)
    states.executions[f"{PIPELINE}:{name(dataset)}"] |= {"status": "FAILED", "error": error, "cause": "because"}
    result = " ".join(run("pipeline", "status", name(dataset)).stdout.split())
    assert "equal inputs end the same way" in result
    assert "pipeline retry" not in result


@pytest.mark.parametrize("command", ["start", "retry"])
def test_an_empty_name_as_of_an_unset_variable_starts_no_pipeline_of_the_only_dataset(
    run: Command, states: StepFunctions, trigger: None, dataset: str, command: str
) -> None:
    result = run("pipeline", command, *(["--dataset", ""] if command == "start" else []))
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "DatasetMissing: the name" if command == "start" else "PipelineMissing: No pipeline"
    )
    assert states.executions == {}


@pytest.mark.parametrize("word", ["two words", "x" * 41, 'a"b', "é"])
def test_a_word_that_is_none_is_refused_before_anything_is_started(
    run: Command, states: StepFunctions, trigger: None, dataset: str, word: str
) -> None:
    result = run("pipeline", "start", "--dataset", dataset, "--force", word)
    assert (result.exit_code, "at most 40 letters" in result.stderr) == (2, True)
    assert states.executions == {}


def test_a_state_machine_that_somebody_edited_is_named_by_status(
    run: Command, states: StepFunctions, dataset: str
) -> None:
    assert run("pipeline", "status").stderr == ""
    job, start = (OUTPUTS[machine].removesuffix(":live") for machine in ("job", "start"))
    states.deployed[job] = {"definition": '{"StartAt": "Mine"}', "roleArn": "arn:role"}
    states.deployed[OUTPUTS["start"]] = {
        "routingConfiguration": [{"stateMachineVersionArn": f"{start}:2", "weight": 100}]
    }
    states.deployed[OUTPUTS["pipeline"].removesuffix(":live")] = {"definition": "{}", "roleArn": "arn:mine"}
    del states.deployed[OUTPUTS["janitor"]]
    result = run("pipeline", "status").stderr
    expected = {
        "job": "its definition was edited but not published; executions still run the deployed version",
        "pipeline": "its role was changed to arn:mine",
        "start": "its alias points to version 2; the deployed one is 1",
        "janitor": "the state machine, its alias or its deployed version was deleted",
    }
    for machine, what in expected.items():
        assert (
            f"State machine {machine} differs from its deployment: {what}. To restore it: pulumi up --refresh" in result
        )
    facts = json.loads(run("pipeline", "status", "--json").stdout)
    assert {each["machine"]: each["what"] for each in facts["edited"]} == expected


def test_history_and_graph_show_what_it_went_through(
    run: Command, states: StepFunctions, trigger: None, dataset: str
) -> None:
    run("pipeline", "start", "--dataset", dataset)
    child = json.dumps({"Error": "CodeFailed", "Cause": "out of memory", "Status": "FAILED"})
    failed = {"resource": "startExecution.sync:2", "error": "States.TaskFailed", "cause": child}
    states.enter(f"{PIPELINE}:{name(dataset)}", taskFailedEventDetails=failed)
    result = run("pipeline", "history")
    assert "CodeFailed: out of memory" in result.stdout
    steps = json.loads(run("pipeline", "history", dataset[:4], "--json").stdout)["steps"]
    assert [step["state"] for step in steps] == ["Check", "Begin", "CheckDataset", ""]
    drawn = run("pipeline", "graph", dataset[:4]).stdout
    assert drawn.startswith("flowchart TD")
    assert "  class Check,Begin,CheckDataset passed" in drawn
    assert "classDef" not in run("pipeline", "graph").stdout


def test_status_and_history_show_the_duration_and_cost_of_each_stage(
    run: Command, states: StepFunctions, trigger: None, dataset: str
) -> None:
    run("pipeline", "start", "--dataset", dataset)
    output = json.dumps({"Output": {"seconds": 30.0, "usd": 0.25}})
    details = {
        4: {"timestamp": AT, "taskScheduledEventDetails": {"resource": "startExecution.sync:2"}},
        5: {"timestamp": AT + timedelta(seconds=34), "taskSucceededEventDetails": {"output": output}},
    }
    states.histories[f"{PIPELINE}:{name(dataset)}"] += [
        {"id": number, "previousEventId": number - 1, **each} for number, each in details.items()
    ]
    for command in ("status", "history"):
        (stage,) = json.loads(run("pipeline", command, name(dataset), "--json").stdout)["stages"]
        assert (stage["state"], stage["seconds"], stage["overhead"], stage["usd"]) == ("CheckDataset", 34, 4, 0.25)
        shown = run("pipeline", command, name(dataset)).stdout.splitlines()
        assert ["CheckDataset", "34.0", "30.0", "4.0", "0.2500"] in [line.split() for line in shown]


def test_a_retry_is_a_new_run_of_the_same_dataset(
    run: Command, place: Place, states: StepFunctions, trigger: None, dataset: str
) -> None:
    run("pipeline", "start", "--dataset", dataset)
    running = run("pipeline", "retry")
    assert (running.exit_code, running.stderr.startswith("PipelineRunning: ")) == (1, True)
    states.executions[f"{PIPELINE}:{name(dataset)}"]["status"] = "FAILED"
    assert json.loads(run("pipeline", "retry", "--json").stdout)["pipeline"] == name(dataset, "retry-2")
    with pytest.raises(PipelineRunning, match="retry-2 is already running"):
        runs.retry(opener(place, states)(), name(dataset))
    states.executions[f"{PIPELINE}:{name(dataset, 'retry-2')}"]["status"] = "FAILED"
    assert json.loads(run("pipeline", "retry", name(dataset), "--json").stdout)["pipeline"] == name(dataset, "retry-3")


@pytest.mark.parametrize("given", ["[]", '"x"', "null", "{}"])
def test_an_execution_that_somebody_started_by_hand_is_listed_and_not_tried_again_for_another_dataset(
    run: Command, states: StepFunctions, trigger: None, dataset: str, given: str
) -> None:
    states.executions[f"{PIPELINE}:by-hand"] = {"status": "FAILED", "startDate": AT, "input": given} | {
        "executionArn": f"{PIPELINE}:by-hand"
    }
    assert json.loads(run("pipeline", "status", "--json").stdout)["pipelines"][0]["dataset"] == ""
    result = run("pipeline", "retry", "by-hand")
    assert (result.exit_code, "without a dataset" in result.stderr) == (1, True)


def test_watching_ends_with_the_pipelines_own_end(
    run: Command, states: StepFunctions, trigger: None, dataset: str
) -> None:
    run("pipeline", "start", "--dataset", dataset)
    arn = f"{PIPELINE}:{name(dataset)}"
    looks = iter(range(9))

    def on_look(execution: dict[str, Any]) -> None:
        if execution["executionArn"] == arn and next(looks) == 1:
            states.enter(arn, "Done")
            output = json.dumps({"version": 3, "usd": 1.5})
            states.executions[arn] |= {"status": "SUCCEEDED", "output": output, "stopDate": AT}

    states.on_look = on_look
    result = run("pipeline", "start", "--dataset", dataset, "--watch")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[1:] == ["Check", "Begin", "CheckDataset", "Done"]
    assert "1.50" in result.stdout
    states.on_look = lambda _execution: None
    states.executions[arn] |= {"status": "FAILED", "error": "GateRefused", "cause": "accuracy"}
    assert run("pipeline", "start", "--dataset", dataset, "--watch").exit_code == 1
