"""Jobs, certificates and S3 as the state machine `pipeline` meets them in tests."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from securesystemslib.dsse import Envelope

from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline import study_machine
from infra.pipeline.lifecycle import lifecycle_machine
from infra.pipeline.lifecycle.stages import LifecycleFacts
from registry.certificates.statement import PAYLOAD_TYPE, Certificate
from registry.encoding import canonical, format_time
from registry.layout.model_store import certificate_key
from tests.infra.pipeline import test_study_machine
from tests.infra.pipeline.asl_interpreter import Ended, Refused, ended_execution, run

DATASET = "ab" * 32
DIGEST = "sha256:" + "cd" * 32
GOOD = {
    "CheckDataset": "passed",
    "Train": "published",
    "MoveTest": "moved",
    "ApplicationTest": "passed",
    "Canary": "promoted",
    "MoveProd": "moved",
    "ReadBack": "passed",
}

ENDS = {
    ("CheckDataset", "refused"): "DatasetRefused",
    ("Train", "refused"): "GateRefused",
    ("MoveTest", "refused"): "MoveRefused",
    ("ApplicationTest", "refused"): "TestRefused",
    ("Canary", "rejected"): "CanaryRejected",
    ("Canary", "undecided"): "CanaryRejected",
    ("MoveProd", "refused"): "MoveRefused",
    ("ReadBack", "refused"): "ReadBackFailed",
}


def facts(**changes: Any) -> LifecycleFacts:
    given: dict[str, Any] = {"canary_percent": 5, **changes}
    return LifecycleFacts(
        job="arn:aws:states:eu-west-1:000000000000:stateMachine:job:live",
        study="arn:aws:states:eu-west-1:000000000000:stateMachine:study:live",
        workspace="workspace",
        lake="lake",
        model="pets",
        model_store="store",
        topic="arn:aws:sns:eu-west-1:000000000000:alarms",
        code="ef" * 32,
        gates={"data": {}, "model": {"accuracy": 0.6}, "checks": {}},
        stack="test",
        channel="test",
        settings=PipelineSettings(**given),
    )


class Jobs:
    """Answers the pipeline's tasks: jobs with outcomes, and a person who decides."""

    def __init__(self, *, decision: str = "certified", silent: int = 0, **outcomes: Any) -> None:
        self.outcomes = {name: [value] if isinstance(value, str) else list(value) for name, value in outcomes.items()}
        self.decision = decision
        self.silent = silent
        """Reminders before the person answers."""
        self.started: list[tuple[str, Mapping[str, Any]]] = []
        self.studies: list[Mapping[str, Any]] = []
        self.mails: list[Mapping[str, Any]] = []
        self.expiries: list[str] = []
        """When each wait for a certification says that the last of them ends."""
        self.scores: dict[str, float | None] = {}
        """Score of a trial, by its settings in one text; None fails it."""
        self.signed: dict[str, str] = {}
        """Decisions in the model store, by key."""
        self.listing: dict[str, Any] = {"IsTruncated": False}

    def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
        match state:
            case "FindManifest":
                return {"KeyCount": 1 if arguments["Prefix"] == f"datasets/{DATASET}.jsonl" else 0}
            case "FindDecision":
                assert arguments["Bucket"] == "store"
                found = [{"Key": key} for key in sorted(self.signed) if key.startswith(arguments["Prefix"])]
                return self.listing | {"KeyCount": len(found), **({"Contents": found} if found else {})}
            case "ReadDecision":
                return {"Body": self.signed[arguments["Key"]]}
            case "AskForCertification":
                self.mails.append(arguments)
                return {}
            case "WaitForCertification":
                self.expiries.append(arguments["Body"]["expires_at"])
                assert arguments["Key"] == "pipelines/an-execution/certification.json"
                assert arguments["Body"]["token"] == "a-token"
                if self.silent:
                    self.silent -= 1
                    raise Refused("States.HeartbeatTimeout")
                return {"decision": self.decision, "by": "arn"}
            case "Books":
                return {"KeyCount": 0}
            case "Search":
                return self._study(arguments)
            case _:
                return self._job(state, arguments)

    def _study(self, arguments: Mapping[str, Any]) -> Any:
        """What the state machine `study` says: it is played as well."""
        assert len(arguments["Name"]) <= 80
        assert arguments["StateMachineArn"].endswith(":study:live")
        self.studies.append(arguments["Input"])
        end = run(
            study_machine.definition(test_study_machine.facts()), arguments["Input"], self, name=arguments["Name"]
        )
        if end.status == "FAILED":
            raise Refused("States.TaskFailed", json.dumps({"Error": end.error, "Cause": end.cause}))
        return ended_execution(arguments, end.output)

    def _job(self, state: str, arguments: Mapping[str, Any]) -> Any:
        assert len(arguments["Name"]) <= 80
        given = arguments["Input"]
        self.started.append((state, given))
        output: dict[str, Any] = {"job": given["job"], "result": f"jobs/{given['job']}/result.json", "usd": 0.5}
        if state == "Trial":
            score = self.scores[" ".join(given["inputs"]["settings"])]
            if score is None:
                raise Refused("States.TaskFailed", json.dumps({"Error": "CodeFailed", "Cause": "diverged"}))
            return ended_execution(arguments, output | {"metrics": {"balanced_accuracy_low": score}})
        planned = self.outcomes.get(state, [GOOD[state]])
        outcome = planned.pop(0) if len(planned) > 1 else planned[0]
        if outcome.startswith("!"):
            cause = json.dumps({"Status": "FAILED", "Error": outcome[1:], "Cause": 'log: "x"'})
            raise Refused("States.TaskFailed", cause)
        output |= {"outcome": outcome, "message": "because", "report": "s3://store/report.html"}
        return ended_execution(arguments, output | ({"version": 7, "digest": DIGEST} if state == "Train" else {}))

    def of(self, state: str) -> list[Mapping[str, Any]]:
        """Inputs of the jobs of one stage."""
        return [given for name, given in self.started if name == state]


def certificate(number: int = 1, *, digest: str = DIGEST, days: float = 1.0, **changes: Any) -> dict[str, str]:
    """A stored decision about version 7 by its key, as a certifier signs it; its signature is left out."""
    now = datetime.now(UTC)
    certified = Certificate(
        model="pets",
        version=7,
        digest=digest,
        number=number,
        decision="certified",
        by="arn:vera",
        at=format_time(now),
        expires_at=format_time(now + timedelta(days=days)),
        report_sha256=None,
        note="QA, 40 cameras – señal",
    )
    decided = replace(certified, **changes)
    body = canonical(Envelope(decided.statement(), PAYLOAD_TYPE, {}).to_dict()).decode()
    return {certificate_key("pets", 7, number): body}


def play(jobs: Jobs, *, dataset: str = DATASET, **changes: Any) -> Ended:
    return run(lifecycle_machine.definition(facts(**changes)), {"dataset": dataset}, jobs, machine="pipeline")
