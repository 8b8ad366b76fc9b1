"""The entry point of a training instance: runs the job that the environment names.

Exit status: 0 (succeeded), 1 (failed: the result says why), 2 (the environment or the spec is invalid), 3
(interrupted: start the job again on any instance, and it continues), 4 (a store is unavailable: start it again, too).

With several GPUs it starts a process for each, as torchrun does: the first runs the job, and the others assist. With
several instances each of them does so, and the first process of the first instance runs the job.
"""

import atexit
import gc
import os
import sys
import tempfile
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import boto3
import torch
from botocore.config import Config

from registry.channels.channel import Channel
from registry.errors import RegistryError, StoreUnavailable
from registry.layout.variables import Variable
from registry.store.crt_transfer import crt_transfer
from registry.store.s3_client import s3_client
from registry.store.s3_outcomes import lacks_credentials
from registry.store.s3_store import S3Store
from registry.versions.catalog import Catalog
from training.distributed import processes
from training.distributed.group import Group, processes_here
from training.distributed.rendezvous import Rendezvous
from training.errors import Interrupted, JobMissing, SpecMalformed
from training.evaluation.baseline.comparison import PROD
from training.instance.interruption import Interruption
from training.job import JobResult, JobSpec, load_spec, store_result
from training.jobs.logs import Log, print_line
from training.jobs.run import run_job
from training.jobs.trackers import tracked
from training.jobs.worker import assist

SUCCEEDED, FAILED, UNUSABLE, INTERRUPTED, UNREACHABLE = range(5)
_LOG_CONFIG = Config(connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2})
_CLIENT_CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 3})


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The environment variables that user data sets on a training instance."""

    job: str
    model: str
    model_store: str
    data_lake: str
    workspace: str
    log_group: str | None

    @classmethod
    def read(cls) -> Self:
        """Returns the process's settings. Raises KeyError for a missing variable."""
        return cls(
            job=os.environ[Variable.JOB],
            model=os.environ[Variable.MODEL],
            model_store=os.environ[Variable.MODEL_STORE],
            data_lake=os.environ[Variable.DATA_LAKE],
            workspace=os.environ[Variable.WORKSPACE],
            log_group=os.environ.get(Variable.LOG_GROUP),
        )


def main() -> int:
    """Run the job. Returns the exit status."""
    # At exit, Python runs garbage collection, which takes a second with torch loaded. freeze() skips it.
    atexit.register(gc.freeze)
    try:
        environment = Environment.read()
    except KeyError as error:
        print(f"petpark training: {error.args[0]} is not set; the user data sets it", file=sys.stderr)
        return UNUSABLE
    status = _work(environment)
    processes.report_status(status)
    return status


def _work(environment: Environment) -> int:
    torch.set_num_threads(max(1, (os.process_cpu_count() or 1) // processes_here()))
    logs = boto3.client("logs", config=_LOG_CONFIG) if environment.log_group else None
    log = Log(environment.job, group=environment.log_group, client=logs)
    with Interruption() as interruption:
        return _run(environment, log, interruption)


def _run(environment: Environment, log: Log, interruption: Interruption) -> int:
    client = s3_client()
    transfer = crt_transfer(boto3.Session(), client)
    workspace = S3Store(client, environment.workspace, transfer=transfer)
    try:
        spec = load_spec(workspace, environment.job)
        count = 1 if spec.hyper_parameters.frozen else processes.process_count()
        if count > 1 or (spec.instances > 1 and not processes.is_launched_process()):
            return _start_several(environment.job, spec, count)
        group = Group.join()
        with tempfile.TemporaryDirectory(prefix="petpark-job-") as directory:
            lake = S3Store(client, environment.data_lake, transfer=transfer, transfer_reads=True)
            models = S3Store(client, environment.model_store, transfer=transfer, transfer_reads=True)
            if not group.is_leader:
                return _assist(spec, lake, group, Path(directory), log, interruption)
            result = run_job(
                environment.job,
                spec,
                workspace=workspace,
                lake=lake,
                catalog=Catalog(models, environment.model),
                model_store=environment.model_store,
                directory=Path(directory),
                prod=Channel(models, environment.model, PROD),
                should_stop=interruption.noticed,
                trained_by=_caller(),
                report=tracked(log.report, environment.job, spec),
                group=group,
            )
            group.close()
    except Interrupted as error:
        log.report("interrupted", {"reason": interruption.reason, "message": str(error)})
        return INTERRUPTED
    except (JobMissing, SpecMalformed) as error:
        log.report("no job", {"error": type(error).__name__, "message": str(error)})
        return UNUSABLE
    except StoreUnavailable as error:
        log.report("store", {"error": type(error).__name__, "message": str(error)})
        return UNREACHABLE
    except Exception as error:  # noqa: BLE001 - the result must say that the job failed
        if lacks_credentials(error):
            log.report("store", {"error": type(error).__name__, "message": str(error)})
            return UNREACHABLE
        failed = JobResult(job=environment.job, status="failed", error=type(error).__name__, message=str(error))
        with suppress(RegistryError):  # the store may be the cause
            store_result(workspace, failed)
        log.report("failed", {"error": failed.error, "message": failed.message, "traceback": traceback.format_exc()})
        return FAILED
    log.report(result.status, {"version": result.version, "error": result.error, "message": result.message})
    return SUCCEEDED if result.status == "succeeded" else FAILED


def _start_several(job: str, spec: JobSpec, count: int) -> int:
    """Start the processes of this instance. Returns their exit status."""
    rendezvous = None
    if text := os.environ.get(Variable.RENDEZVOUS):
        rendezvous = Rendezvous.from_json(text)
    elif spec.instances > 1:
        raise SpecMalformed(
            f"the job has {spec.instances} instances, but {Variable.RENDEZVOUS}, which the worker sets, is not set"
        )
    print_line(f"petpark training starts {count} processes")
    return processes.launch(job, count, rendezvous=rendezvous)


def _assist(spec: JobSpec, lake: S3Store, group: Group, directory: Path, log: Log, interruption: Interruption) -> int:
    """Train in a non-leading process until the job ends. The leader reports the result."""
    try:
        assist(spec, lake=lake, group=group, directory=directory, should_stop=interruption.noticed)
        group.close()
    except (Interrupted, SpecMalformed) as error:
        log.report("assistant ended", {"rank": group.rank, "message": str(error)})
    return SUCCEEDED


def _caller() -> str:
    """Returns the ARN of the role that trains, for the version's lineage."""
    try:
        return boto3.client("sts", config=_CLIENT_CONFIG).get_caller_identity()["Arn"]
    except Exception:  # noqa: BLE001 - a missing detail of the lineage must not fail a training
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
