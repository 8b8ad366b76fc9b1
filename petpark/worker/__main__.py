"""The entry point of a job's instance: does what the order of the job that the environment names says.

Ends with 0 (the state machine has its answer), 1 (the job failed: its result says why), 2 (the environment or the order
is not right), 3 (interrupted: another attempt goes on). The instance shuts down in any case.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

import boto3
from botocore.config import Config

from petpark.targets.stored_outputs import load_outputs
from petpark.worker import life
from petpark.worker.endings import FAILED, INTERRUPTED, SUCCEEDED, UNUSABLE, Ending, of_error, of_result
from petpark.worker.order import Order
from petpark.worker.purposes import dispatch
from petpark.worker.purposes.trainings import ensure_spec, train
from petpark.worker.tokens import Tokens
from petpark.worker.training_process import TrainingProcess
from registry.errors import ObjectMissing
from registry.layout.variables import Variable
from registry.store.crt_transfer import crt_transfer
from registry.store.s3_client import s3_client
from registry.store.s3_store import S3Store
from training.distributed.rendezvous import Rendezvous, claim
from training.errors import JobMissing, SpecMalformed
from training.instance import metadata
from training.instance.interruption import Interruption
from training.job import JobResult, JobSpec, find_result, load_spec, store_result
from training.jobs.logs import Log, print_line

_LOG_CLIENT: Final = Config(connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2})


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What the user data tells an instance."""

    job: str
    attempt: str
    workspace: str
    stack: str
    heartbeat_seconds: float
    log_group: str | None

    @classmethod
    def read(cls) -> Self:
        """Read the process's environment; KeyError naming what is missing, ValueError for a wrong number."""
        return cls(
            job=os.environ[Variable.JOB],
            attempt=os.environ[Variable.ATTEMPT],
            workspace=os.environ[Variable.WORKSPACE],
            stack=os.environ[Variable.STACK],
            heartbeat_seconds=float(os.environ[Variable.HEARTBEAT_SECONDS]),
            log_group=os.environ.get(Variable.LOG_GROUP),
        )


def main() -> int:
    """Do the job; gives the exit status."""
    try:
        environment = Environment.read()
    except (KeyError, ValueError) as error:
        print(f"petpark's worker needs {error} in its environment; the user data sets it", file=sys.stderr)
        return UNUSABLE
    logs = boto3.client("logs", config=_LOG_CLIENT) if environment.log_group else None
    log = Log(environment.job, group=environment.log_group, client=logs)
    client = s3_client()
    workspace = S3Store(client, environment.workspace, transfer=crt_transfer(boto3.Session(), client))
    with Interruption(rebalance=True) as interruption:
        return _run(environment, workspace, log, interruption)


def _run(environment: Environment, workspace: S3Store, log: Log, interruption: Interruption) -> int:
    def taken_away() -> str | None:
        return interruption.reason if interruption.noticed() else None

    attempt = life.Attempt(
        job=environment.job,
        name=environment.attempt,
        instance=_instance(),
        workspace=workspace,
        tokens=Tokens.of_instance(),
        heartbeat_seconds=environment.heartbeat_seconds,
        taken_away=taken_away,
        report=log.report,
    )
    meeting = _meeting(environment, workspace)
    work = _work(environment, workspace, meeting, log)
    if meeting is not None and meeting.index:
        return _follow(environment, workspace, meeting, taken_away)
    return life.live(attempt, work)


def _work(environment: Environment, workspace: S3Store, meeting: Rendezvous | None, log: Log) -> life.Work:
    """Returns what the order's purpose does. What ended before is not done again: its result is answered."""

    def work(order: Order, stop: life.Stop) -> Ending:
        if (ended := find_result(workspace, order.job)) is not None:
            return of_result(ended)
        try:
            if order.purpose.trains:
                ensure_spec(workspace, order, code=_code(environment, workspace))
                process = TrainingProcess(print_line=print_line)
                return train(order, workspace, stop=stop, meeting=meeting, process=process)
            return dispatch.perform(order, workspace, stop=stop, stack=environment.stack, report=log.report)
        except Exception as error:  # noqa: BLE001 - stored for people, and answered
            ending = of_error(order.job, error)
            if ending.status == INTERRUPTED:
                return ending
            failed = JobResult(job=order.job, status="failed", error=type(error).__name__, message=str(error))
            return of_result(store_result(workspace, failed))

    return work


def _meeting(environment: Environment, workspace: S3Store) -> Rendezvous | None:
    """Take part in a job of several instances, which only a submitted spec can ask for.

    A spec that cannot be read is told to the state machine by the work, which reads it again: without an answer other
    instances would be launched for it.
    """
    try:
        spec: JobSpec = load_spec(workspace, environment.job)
    except (JobMissing, SpecMalformed):
        return None
    return claim(workspace, environment.job, environment.attempt, spec.instances) if spec.instances > 1 else None


def _follow(environment: Environment, workspace: S3Store, meeting: Rendezvous, stop: Callable[[], str | None]) -> int:
    """Train with the instance that leads, which alone answers the state machine."""
    if find_result(workspace, environment.job) is not None:
        return SUCCEEDED
    status = TrainingProcess(print_line=print_line).run(
        lambda: stop() is not None, {Variable.RENDEZVOUS: meeting.to_json()}
    )
    return status if status in (SUCCEEDED, FAILED, UNUSABLE, INTERRUPTED) else INTERRUPTED


def _code(environment: Environment, workspace: S3Store) -> str | None:
    """The code bundle's hash, for the lineage; None if the stack did not write its outputs."""
    try:
        return load_outputs(workspace, environment.stack).code_bundle
    except ObjectMissing:
        return None


def _instance() -> str:
    try:
        return metadata.read(metadata.default_endpoint(), "instance-id") or "unknown"
    except (OSError, ValueError):
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
