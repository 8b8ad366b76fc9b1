"""What must be true when a run has ended, seen from outside: EC2, S3, the registry, Step Functions, processes."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from registry.certificates.certificate import Certificates
from registry.layout.jobs import JOBS
from registry.layout.workspace import PIPELINES, SPENDING
from rehearsal.instances import StateNotReached
from tests.chaos.faults import Injector
from tests.chaos.plan import EPOCHS, Fault, Kind, Plan
from tests.chaos.site import MODEL, Site

SUCCEEDED: Final = "SUCCEEDED"
_HALT_SECONDS: Final = 60.0
_OVER: Final = ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken")
_REFUSED: Final = ("CertificationRefused", "MoveRefused")


@dataclass(frozen=True, kw_only=True)
class Found:
    """The outcome of a run and its problems."""

    end: str
    attempts: int
    """Of the training."""
    instances: int
    twice: int
    """Epochs that were trained again after an interruption."""
    problems: tuple[str, ...]


def look(site: Site, plan: Plan, injector: Injector, executions: Sequence[str]) -> Found:
    """Look at everything that a run left."""
    states = site.client("stepfunctions")
    (ended,) = (states.describe_execution(executionArn=arn) for arn in executions)
    end = SUCCEEDED if ended["status"] == SUCCEEDED else str(ended.get("error") or ended["status"])
    machines = _machines(site)
    orphans = [*_orphans(site, machines, injector)]  # the janitor runs, and closes reservations of stopped jobs
    epochs = list(injector.trained.values())
    keys = [entry.key for entry in site.store(site.workspace).stats("")]
    launches = [key for key in keys if key.endswith("/launch.json")]
    problems = [
        *_wrong_end(plan, injector, end, ended),
        *orphans,
        *_versions(site, end),
        *_channels(site, plan, end),
        *_decisions(site, plan, end),
        *_results(site, keys),
        *_lost_work(injector),
        *_money(keys, launches),
        *_tokens(site, keys),
        *_executions(site, plan),
    ]
    twice = sum(map(len, epochs)) - len({epoch for each in epochs for epoch in each})
    attempts = sum("/train-" in key for key in launches)
    return Found(end=end, attempts=attempts, instances=len(machines), twice=twice, problems=tuple(problems))


def _wrong_end(plan: Plan, injector: Injector, end: str, ended: Any) -> Iterator[str]:
    expected = {SUCCEEDED}
    if injector.cancelled:
        expected = {"Cancelled", "ABORTED"}  # the error of a stopped execution is not reported by the emulator
    how = next((each.how for each in plan.injections if each.fault is Fault.TWO_DECISIONS), "")
    if how == "refused+refused":
        expected = set(_REFUSED)
    elif "refused" in how:
        expected |= set(_REFUSED)
    if end not in expected:
        yield f"ended as {end}, not as {' or '.join(sorted(expected))}: {ended.get('cause', '')[:600]}"


# Instances


def _machines(site: Site) -> list[dict[str, Any]]:
    wanted = [{"Name": "tag:petpark:stack", "Values": [site.name]}]
    pages = site.client("ec2").get_paginator("describe_instances").paginate(Filters=wanted)
    found = [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]
    return sorted(found, key=lambda one: _tag(one, "petpark:attempt"))


def _tag(machine: dict[str, Any], key: str) -> str:
    return next((tag["Value"] for tag in machine["Tags"] if tag["Key"] == key), "")


def _orphans(site: Site, machines: list[dict[str, Any]], injector: Injector) -> Iterator[str]:
    """Instances and processes that are still running, and what the janitor terminates."""
    for machine in machines:
        if machine["State"]["Name"] in ("pending", "running", "stopping", "stopped"):
            yield f"instance {machine['InstanceId']} is {machine['State']['Name']}"
    runner = site.account.runner
    for machine in machines:
        try:
            runner.wait_for(machine["InstanceId"], "terminated", _HALT_SECONDS)
        except StateNotReached as problem:
            yield f"processes are left: {str(problem).partition('.')[0]}"
    states = site.client("stepfunctions")
    for execution in (*injector.janitors, injector.look()):
        while (found := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
            injector.pause.wait(0.2)
        if found["status"] != SUCCEEDED:
            yield f"the janitor failed: {found.get('error')}: {found.get('cause')}"
        elif ended := json.loads(found["output"])["terminated"]:
            yield f"the janitor had to end {ended}"


# Registry


def _versions(site: Site, end: str) -> Iterator[str]:
    numbers = site.catalog().numbers()
    runs = Counter(str(site.catalog().version(number).lineage.get("run")) for number in numbers)
    for job, count in runs.items():
        if count > 1:
            yield f"job {job} published {count} versions"
    if len(numbers) > 1 or (end == SUCCEEDED and not numbers):
        yield f"{len(numbers)} versions"


def _channels(site: Site, plan: Plan, end: str) -> Iterator[str]:
    if plan.kind is Kind.JOB:
        return
    for name in ("test", "prod"):
        moves = site.channel(name).history()  # raises HistoryBroken for a gap
        if [move.number for move in moves] != list(range(1, len(moves) + 1)) or len(moves) > 1:
            yield f"{name} was moved {len(moves)} times"
        if (name == "test" or end == SUCCEEDED) and not moves:
            yield f"{name} was not moved"
        if name == "prod" and moves and end != SUCCEEDED:
            yield f"prod was moved, and the pipeline ended as {end}"


def _decisions(site: Site, plan: Plan, end: str) -> Iterator[str]:
    """A version is in prod only if the decision that stood when it was moved was good."""
    moves = site.channel("prod").history()
    if plan.kind is Kind.JOB or not site.catalog().numbers():
        return
    certificates = Certificates(site.store(site.models), MODEL)
    signed = certificates.of(site.catalog().version(1))
    if not signed:
        yield "there is no decision"
    if moves:
        before = [each for each in signed if each.at <= moves[0].at]
        if not before or before[-1].decision != "certified":
            yield f"in prod, and decided before that: {[each.decision for each in before]}; the run ended as {end}"


# Workspace


def _results(site: Site, keys: Sequence[str]) -> Iterator[str]:
    """Each job has one result, which was never replaced."""
    jobs = {key.split("/")[1] for key in keys if key.startswith(JOBS)}
    for job in jobs:
        found = site.client("s3").list_object_versions(Bucket=site.workspace, Prefix=f"{JOBS}{job}/result.json")
        count = len(found.get("Versions", [])) + len(found.get("DeleteMarkers", []))
        if count != 1:
            yield f"job {job} has {count} results"


def _lost_work(injector: Injector) -> Iterator[str]:
    """Each attempt goes on from the last checkpoint that was stored, and leaves no epoch out."""
    for instance, epochs in injector.trained.items():
        if epochs != list(range(epochs[0], epochs[0] + len(epochs))) or epochs[-1] > EPOCHS:
            yield f"epochs are missing: {injector.trained}"
        if injector.found[instance] != epochs[0] - 1:
            yield f"{instance} did not go on from checkpoint {injector.found[instance]}: {injector.trained}"


def _money(keys: Sequence[str], launches: Sequence[str]) -> Iterator[str]:
    """Nothing stays reserved, and each launch was paid once."""
    spent = [key for key in keys if key.startswith(SPENDING)]
    if reserved := [key for key in spent if "/reserved/" in key]:
        yield f"still reserved: {reserved}"
    paid = Counter(key.split("/")[2] for key in spent if "/paid/" in key)
    wanted = {key.split("/")[3] for key in launches}
    if not wanted <= set(paid) or any(count > 1 for count in paid.values()):
        yield f"paid {dict(paid)} for launches {sorted(wanted)}"


def _tokens(site: Site, keys: Sequence[str]) -> Iterator[str]:
    """No token can be answered again: each task has its end."""
    states = site.client("stepfunctions")
    for key in keys:
        if not (key.startswith((JOBS, PIPELINES)) and key.endswith(("/boot.json", "/run.json", "/certification.json"))):
            continue
        token = json.loads(site.store(site.workspace).get(key))["token"]
        try:
            states.send_task_success(taskToken=token, output="{}")
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _OVER:
                continue
            raise
        yield f"the token in {key} could be answered after the end"


# Step Functions


def _executions(site: Site, plan: Plan) -> Iterator[str]:
    """One execution of the pipeline, one a job, and none that runs."""
    for machine in ("job", "pipeline", "start"):
        arn = site.aliases[machine].rpartition(":")[0]
        found = site.client("stepfunctions").list_executions(stateMachineArn=arn)["executions"]
        names = Counter(each["name"] for each in found)
        if running := [each["name"] for each in found if each["status"] == "RUNNING"]:
            yield f"executions of {machine} still run: {running}"
        if any(count > 1 for count in names.values()):
            yield f"executions of {machine}: {dict(names)}"
        if machine == "pipeline" and len(found) != (plan.kind is Kind.PIPELINE):
            yield f"{len(found)} executions of the pipeline"
        if machine == "start" and (bad := [each["name"] for each in found if each["status"] != SUCCEEDED]):
            yield f"triggers failed: {bad}"
