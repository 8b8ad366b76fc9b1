"""`petpark pipeline`, and the decision that a pipeline waits for."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from petpark.__main__ import app
from petpark.errors import PipelineRunning
from petpark.pipeline import runs
from registry.layout import certification_key
from registry.store.memory_store import MemoryStore
from registry.version import Version
from tests.petpark.conftest import Place
from tests.petpark.jobs.states import AT, OUTPUTS, StepFunctions, opener
from tests.training.photos import write_photos
from training.dataset.ingest import ingest

PIPELINE = OUTPUTS["pipeline"].removesuffix(":live").replace("stateMachine", "execution")
type Command = Callable[..., Result]


@pytest.fixture
def states() -> StepFunctions:
    return StepFunctions()


@pytest.fixture
def run(place: Place, states: StepFunctions) -> Command:
    return lambda *words: CliRunner().invoke(app, [*words], obj=opener(place, states))


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


def test_a_start_that_step_functions_repeats_for_a_running_pipeline_is_none(
    run: Command, states: StepFunctions, dataset: str
) -> None:
    arn = f"{PIPELINE}:{name(dataset)}"
    states.executions[arn] = {"executionArn": arn, "status": "RUNNING", "input": json.dumps({"dataset": dataset})} | {
        "startDate": AT - timedelta(minutes=1)
    }
    states.on_start = lambda execution: execution.update(
        status="SUCCEEDED", output=json.dumps({"started": True, "execution": arn})
    )
    assert json.loads(run("pipeline", "start", "--dataset", dataset, "--json").stdout)["began"] is False


def test_a_pipeline_without_a_dataset_is_refused_in_a_sentence(run: Command, dataset: str) -> None:
    missing = run("pipeline", "start")
    assert missing.exit_code == 2
    said = run("pipeline", "start", "--dataset", "f" * 64)
    assert (said.exit_code, said.stderr.startswith("DatasetMissing: ")) == (1, True)


def test_what_the_trigger_refuses_is_told_with_its_cause(run: Command, states: StepFunctions, dataset: str) -> None:
    def refuse(execution: dict[str, Any]) -> None:
        execution.update(status="FAILED", error="InputInvalid", cause="Unknown: forse; known are dataset, force.")

    states.on_start = refuse
    said = run("pipeline", "start", "--dataset", dataset)
    assert (said.exit_code, said.stderr.splitlines()[0]) == (
        1,
        "PipelineNotStarted: The pipeline was not started: Unknown: forse; known are dataset, force.",
    )


def test_a_role_that_may_not_start_it_is_told_so(run: Command, states: StepFunctions, dataset: str) -> None:
    states.denied.add("StartExecution")
    said = run("pipeline", "start", "--dataset", dataset)
    assert (said.exit_code, said.stderr.startswith("AccessDenied: ")) == (2, True)


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


def test_history_and_graph_show_what_it_went_through(
    run: Command, states: StepFunctions, trigger: None, dataset: str
) -> None:
    run("pipeline", "start", "--dataset", dataset)
    child = json.dumps({"Error": "CodeFailed", "Cause": "out of memory", "Status": "FAILED"})
    failed = {"resource": "startExecution.sync:2", "error": "States.TaskFailed", "cause": child}
    states.enter(f"{PIPELINE}:{name(dataset)}", taskFailedEventDetails=failed)
    said = run("pipeline", "history")
    assert "CodeFailed: out of memory" in said.stdout
    steps = json.loads(run("pipeline", "history", dataset[:4], "--json").stdout)["steps"]
    assert [step["state"] for step in steps] == ["Check", "Begin", "CheckDataset", ""]
    drawn = run("pipeline", "graph", dataset[:4]).stdout
    assert drawn.startswith("flowchart TD")
    assert "  class Check,Begin,CheckDataset passed" in drawn
    assert "classDef" not in run("pipeline", "graph").stdout


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
    said = run("pipeline", "retry", "by-hand")
    assert (said.exit_code, "names no dataset" in said.stderr) == (1, True)


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
    said = run("pipeline", "start", "--dataset", dataset, "--watch")
    assert said.exit_code == 0, said.output
    assert said.stderr.splitlines()[1:] == ["Check", "Begin", "CheckDataset", "Done"]
    assert "1.50" in said.stdout
    states.on_look = lambda _execution: None
    states.executions[arn] |= {"status": "FAILED", "error": "GateRefused", "cause": "accuracy"}
    assert run("pipeline", "start", "--dataset", dataset, "--watch").exit_code == 1


# the decision


@pytest.fixture
def asked(place: Place, states: StepFunctions, publish: Callable[..., Version]) -> str:
    """A pipeline waits for a decision about version 1; its token."""
    version = publish()
    place.buckets["workspace"] = MemoryStore()
    ask(place, "p-1", version, "token-1")
    states.tokens["token-1"] = {}
    return "token-1"


def ask(place: Place, execution: str, version: Version, token: str) -> None:
    body = {"token": token, "execution": execution, "version": version.number, "digest": version.digest}
    place.buckets["workspace"].create(certification_key(execution), json.dumps(body).encode())


@pytest.mark.parametrize("decision", ["certified", "refused"])
def test_a_decision_wakes_the_pipeline_that_waits(
    run: Command, states: StepFunctions, asked: str, decision: str
) -> None:
    token = states.tokens[asked]
    said = run("certify", "1", "--decision", decision, "--note", "looked", "--json")
    assert said.exit_code == 0, said.output
    assert json.loads(token["output"])["decision"] == decision
    assert json.loads(token["output"])["by"].endswith("/vera")
    assert json.loads(said.stdout)["pipelines"] == [{"execution": "p-1", "waited": True, "problem": ""}]


def test_a_revocation_and_a_decision_about_another_version_wake_nobody(
    run: Command, states: StepFunctions, asked: str, publish: Callable[..., Version]
) -> None:
    publish()
    assert run("certify", "1", "--decision", "revoked", "--note", "x").exit_code == 0
    assert run("certify", "2", "--decision", "certified", "--note", "x").exit_code == 0
    assert states.tokens == {asked: {}}


def test_a_pipeline_that_is_over_is_named_and_the_decision_is_signed(
    run: Command, states: StepFunctions, asked: str
) -> None:
    states.tokens.clear()
    said = run("certify", "1", "--decision", "certified", "--note", "looked")
    assert said.exit_code == 0
    assert "has ended without this decision; to continue: petpark pipeline retry p-1" in said.stdout


def test_a_certifier_who_may_not_answer_is_told_what_to_do(run: Command, states: StepFunctions, asked: str) -> None:
    states.denied.add("SendTaskSuccess")
    said = run("certify", "1", "--decision", "certified", "--note", "looked")
    assert said.exit_code == 0
    assert "the certifier's role may not answer pipeline p-1" in said.stdout


def test_only_pipelines_that_wait_are_told_of_where_some_do(
    run: Command, place: Place, states: StepFunctions, asked: str
) -> None:
    ask(place, "p-0", place.catalog.version(1), "old")
    said = json.loads(run("certify", "1", "--decision", "certified", "--note", "x", "--json").stdout)
    assert [each["execution"] for each in said["pipelines"]] == ["p-1"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"digest": 1}', b"\xff"])
def test_a_question_that_is_none_keeps_no_decision_from_its_pipeline(
    run: Command, place: Place, states: StepFunctions, asked: str, body: bytes
) -> None:
    place.buckets["workspace"].create(certification_key("p-0"), body)
    token = states.tokens[asked]
    said = run("certify", "1", "--decision", "certified", "--note", "x")
    assert said.exit_code == 0, said.output
    assert json.loads(token["output"])["decision"] == "certified"
