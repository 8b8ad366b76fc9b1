"""EC2, S3 and the worker as the state machine `job` meets them in tests."""

import json
from collections.abc import Mapping
from typing import Any

from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline import job_machine
from infra.pipeline.job.facts import JobFacts, LaunchTemplate
from tests.infra.pipeline.asl_interpreter import Ended, Refused, run

JOB = "train-0123456789abcdef"
INPUT: dict[str, Any] = {
    "job": JOB,
    "purpose": "train",
    "machine": "training",
    "max_seconds": 600,
    "inputs": {"dataset": "ab" * 32},
}
USD = {"g5.xlarge": 1.2, "g6.xlarge": 1.0}


def facts(**changes: Any) -> JobFacts:
    training = LaunchTemplate(template="lt-1", usd_per_hour=USD, spot=True)
    small = LaunchTemplate(template="lt-2", usd_per_hour={"m7i.large": 0.1}, spot=False)
    return JobFacts(
        workspace="workspace",
        subnets=("subnet-a", "subnet-b"),
        machines={"training": training, "small": small},
        tags={"petpark:stack": "test"},
        settings=PipelineSettings(**changes),
    )


class Cloud:
    """Answers a job's tasks: S3 in a dictionary, a fleet whose pools may be full, and a worker with a plan."""

    def __init__(self, *worker: Any, full: int = 0, stored: Mapping[str, Any] | None = None) -> None:
        self.objects: dict[str, Any] = dict(stored or {})
        self.worker = list(worker)
        """What each attempt ends with: None for success, or an error."""
        self.full = full
        self.live: set[str] = set()
        self.launches: list[Mapping[str, Any]] = []

    def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
        match state:
            case "FindResult" | "ReadResult":
                if arguments["Key"] not in self.objects:
                    raise Refused("S3.NoSuchKeyException")
                return {"Body": json.dumps(self.objects[arguments["Key"]])}
            case "DeleteResult" | "ReleaseReservation" | "ReleaseMonth" | "ReleaseLaunch":
                del self.objects[arguments["Key"]]
                return {}
            case "WriteOrder" if arguments["Key"] in self.objects:
                raise Refused("S3.S3Exception", "412")
            case "WriteOrder" | "Reserve" | "RecordLaunch" | "RecordCost":
                self.objects[arguments["Key"]] = arguments["Body"]
                return {}
            case "SumMonth":
                keys = sorted(key for key in self.objects if key.startswith(arguments["Prefix"]))
                later = [key for key in keys if key > arguments["StartAfter"]]
                page = later[: min(2, arguments["MaxKeys"])]
                answer = {"IsTruncated": len(later) > len(page), "KeyCount": len(page)}
                return answer | ({"Contents": [{"Key": key} for key in page]} if page else {})
            case "LaunchSpot" | "LaunchOnDemand":
                return self._fleet(arguments)
            case "Boot" | "Run":
                return self._work(state, arguments)
            case "FindInstances":
                found = sorted(self.live)
                return {"Reservations": [{"Instances": [{"InstanceId": one}]} for one in found]}
            case "EndInstances":
                self.live -= set(arguments["InstanceIds"])
                return {}
            case _:
                raise AssertionError(state)

    def _fleet(self, arguments: Mapping[str, Any]) -> Any:
        assert self.live == set()
        self.launches.append(arguments)
        if self.full:
            self.full -= 1
            return {"Errors": [{"ErrorCode": "InsufficientInstanceCapacity"}], "Instances": []}
        pool = arguments["LaunchTemplateConfigs"][0]["Overrides"][0]
        count = arguments["TargetCapacitySpecification"]["TotalTargetCapacity"]
        ids = [f"i-{len(self.launches)}-{number}" for number in range(count)]
        self.live |= set(ids)
        made = {"InstanceIds": ids, "InstanceType": pool["InstanceType"]}
        return {"Errors": [], "Instances": [made | {"LaunchTemplateAndOverrides": {"Overrides": pool}}]}

    def _work(self, state: str, arguments: Mapping[str, Any]) -> Any:
        self.objects[arguments["Key"]] = arguments["Body"]
        if state == "Boot" and self.worker[0] not in ("States.Timeout of Boot", "States.HeartbeatTimeout of Boot"):
            return {"instance": "i-1"}
        plan = self.worker.pop(0)
        if plan is not None:
            raise Refused(plan.removesuffix(" of Boot"), "because")
        self.objects[f"jobs/{JOB}/result.json"] = {
            "job": JOB,
            "status": "succeeded",
            "outcome": "published",
            "version": 7,
            "digest": "sha256:ab",
            "metrics": {},
        }
        return {"result": f"jobs/{JOB}/result.json"}

    def spending(self) -> dict[str, int]:
        """Kind -> how many entries there are."""
        kinds = [key.split("/")[3] for key in self.objects if key.startswith("spending/")]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def play(cloud: Cloud, *, input_: Mapping[str, Any] = INPUT, **changes: Any) -> Ended:
    return run(job_machine.definition(facts(**changes)), dict(input_), cloud, name=JOB, machine="job")
