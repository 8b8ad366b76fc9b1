"""The entry point of a job's instance: runs the order of the job that the environment names.

Exit status: 0 (succeeded), 1 (the job failed: its result says why), 2 (the environment or the order is invalid), 3
(interrupted: another attempt continues). The instance shuts down in any case.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

import boto3
from botocore.config import Config

from petpark.targets.stored_outputs import load_outputs
from petpark.worker.attempt import Attempt, Stop, Work, run_attempt
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
    """Environment variables that the user data sets."""

    job: str
    attempt: str
    workspace: str
    stack: str
    heartbeat_seconds: float
    log_group: str | None

    @classmethod
    def read(cls) -> Self:
        """Returns the process's settings. Raises KeyError for a missing variable, ValueError for an invalid number."""
        return cls(
            job=os.environ[Variable.JOB],
            attempt=os.environ[Variable.ATTEMPT],
            workspace=os.environ[Variable.WORKSPACE],
            stack=os.environ[Variable.STACK],
            heartbeat_seconds=float(os.environ[Variable.HEARTBEAT_SECONDS]),
            log_group=os.environ.get(Variable.LOG_GROUP),
        )


def main() -> int:
    """Run the job. Returns the exit status."""
    try:
        environment = Environment.read()
    except (KeyError, ValueError) as error:
        print(
            f"petpark's worker: environment variable missing or invalid: {error}; the user data sets it",
            file=sys.stderr,
        )
        return UNUSABLE
    logs = boto3.client("logs", config=_LOG_CLIENT) if environment.log_group else None
    log = Log(environment.job, group=environment.log_group, client=logs)
    client = s3_client()
    workspace = S3Store(client, environment.workspace, transfer=crt_transfer(boto3.Session(), client))
    with Interruption(rebalance=True) as interruption:
        return _run(environment, workspace, log, interruption)


def _run(environment: Environment, workspace: S3Store, log: Log, interruption: Interruption) -> int:
    def interruption_reason() -> str | None:
        return interruption.reason if interruption.noticed() else None

    attempt = Attempt(
        job=environment.job,
        name=environment.attempt,
        instance=_instance(),
        workspace=workspace,
        tokens=Tokens.of_instance(),
        heartbeat_seconds=environment.heartbeat_seconds,
        interruption=interruption_reason,
        report=log.report,
    )
    rendezvous = _rendezvous(environment, workspace)
    work = _work(environment, workspace, rendezvous, log)
    if rendezvous is not None and rendezvous.index:
        return _train_as_peer(environment, workspace, rendezvous, interruption_reason)
    return run_attempt(attempt, work)


def _work(environment: Environment, workspace: S3Store, rendezvous: Rendezvous | None, log: Log) -> Work:
    """Returns the function that runs the order. A job with a result is not run again: that result is reported."""

    def work(order: Order, stop: Stop) -> Ending:
        if (ended := find_result(workspace, order.job)) is not None:
            return of_result(ended)
        try:
            if order.purpose.trains:
                ensure_spec(workspace, order, code=_code(environment, workspace))
                process = TrainingProcess(print_line=print_line)
                return train(order, workspace, stop=stop, rendezvous=rendezvous, process=process)
            return dispatch.perform(order, workspace, stop=stop, stack=environment.stack, report=log.report)
        except Exception as error:  # noqa: BLE001 - stored as the result, and reported
            ending = of_error(order.job, error)
            if ending.status == INTERRUPTED:
                return ending
            failed = JobResult(job=order.job, status="failed", error=type(error).__name__, message=str(error))
            return of_result(store_result(workspace, failed))

    return work


def _rendezvous(environment: Environment, workspace: S3Store) -> Rendezvous | None:
    """Join a distributed training, which only a submitted spec can request. Returns None for one instance.

    A malformed spec is not reported here, but by the work, which reads it again: without a report, the state machine
    would launch other instances.
    """
    try:
        spec: JobSpec = load_spec(workspace, environment.job)
    except (JobMissing, SpecMalformed):
        return None
    return claim(workspace, environment.job, environment.attempt, spec.instances) if spec.instances > 1 else None


def _train_as_peer(
    environment: Environment, workspace: S3Store, rendezvous: Rendezvous, stop: Callable[[], str | None]
) -> int:
    """Train together with the first instance, which alone reports to the state machine. Returns the exit status."""
    if find_result(workspace, environment.job) is not None:
        return SUCCEEDED
    status = TrainingProcess(print_line=print_line).run(
        lambda: stop() is not None, {Variable.RENDEZVOUS: rendezvous.to_json()}
    )
    return status if status in (SUCCEEDED, FAILED, UNUSABLE, INTERRUPTED) else INTERRUPTED


def _code(environment: Environment, workspace: S3Store) -> str | None:
    """Returns the code bundle's SHA-256, for the lineage; None if the stack has not stored its outputs."""
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
