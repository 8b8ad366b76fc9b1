"""Injects a plan's faults, each right before the request of an instance that it names."""

import contextlib
import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from petpark.errors import JobFinished
from petpark.jobs import cancellation
from registry.layout.jobs import JOB_TAG, checkpoints_prefix
from rehearsal.instances import UnknownInstance
from rehearsal.sandbox.processes import send
from tests.chaos.plan import INTERRUPTING, OF_STAGES, Fault, Injection, Moment, Plan, Stage
from tests.chaos.site import Site, Times
from tests.chaos.small_machines import DIES
from tests.chaos.wire import Request, Wire

_EPOCH: Final = re.compile(r"/epochs/(\d{6})\.json$")
_CREDENTIAL: Final = re.compile(r"Credential=([A-Z0-9]+)/")


class Injector:
    """One run's faults. `job` is the training's id, once it is known."""

    def __init__(self, plan: Plan, times: Times) -> None:
        self.site: Site | None = None
        self.wire: Wire | None = None
        self.done: list[Injection] = []
        self.cancelled = False
        self.janitors: list[str] = []
        self.trained: dict[str, list[int]] = {}
        """Epochs that each instance was about to record, in the order of the instances."""
        self.found: dict[str, int] = {}
        """The last checkpoint that was stored when each of them recorded its first epoch."""
        self.problems: list[Exception] = []
        self.pause = threading.Event()
        self._times = times
        self._training = [each for each in plan.injections if each.stage is None and each.moment is not None]
        self._stages = [each for each in plan.injections if each.fault in OF_STAGES]
        self._struck = set[str]()
        self._keys: dict[str, str] = {}
        self._lock = threading.Lock()
        self._timers: list[threading.Timer] = []

    def close(self) -> None:
        """Stop injecting faults."""
        for timer in self._timers:
            timer.cancel()

    def watch(self, request: Request) -> bool:
        """See `tests.chaos.wire.Watch`."""
        with self._lock:
            try:
                instance = self._sender(request)
                injection = None if instance is None else self._next(request, instance)
                if instance is None or injection is None or instance in self._struck:
                    return True
                return self._strike(injection, instance)
            except Exception as problem:
                self.problems.append(problem)
                return True

    def ask(self, stage: Stage, moment: Moment) -> str:
        """See `tests.chaos.small_machines.Ask`."""
        with self._lock:
            for each in self._stages:
                if (each.stage, each.moment) == (stage, moment):
                    self._stages.remove(each)
                    self.done.append(each)
                    return DIES if each.fault is Fault.STAGE_LOST else "spot notice: terminate"
        return ""

    def _sender(self, request: Request) -> str | None:
        """The instance that makes a request: each has its own credentials."""
        assert self.site is not None
        if (found := _CREDENTIAL.search(request.beginning)) is None:
            return None
        runner = self.site.account.runner
        for instance, record in [*runner._records.items()]:
            if instance not in self._keys:
                session = record.machine.metadata._credentials()
                self._keys[instance] = "" if session is None else session.document["AccessKeyId"]
        return next((instance for instance, key in self._keys.items() if key == found[1]), None)

    def _next(self, request: Request, instance: str) -> Injection | None:
        """The fault whose moment this is: the first of those that have not been."""
        if request.method == "PUT" and (found := _EPOCH.search(request.path)) is not None:
            self._record(instance, request.path.split("/")[3], int(found[1]))
        return next((each for each in self._training if self._is_at(each, request)), None)

    def _record(self, instance: str, job: str, epoch: int) -> None:
        if instance not in self.found:
            self.found[instance] = self._last_checkpoint(job)
        epochs = self.trained.setdefault(instance, [])
        if epoch not in epochs:  # the SDK may send it again
            epochs.append(epoch)

    def _last_checkpoint(self, job: str) -> int:
        assert self.site is not None
        keys = self.site.store(self.site.workspace).keys(checkpoints_prefix(job))
        return max((int(Path(key).stem) for key in keys), default=0)

    def _is_at(self, injection: Injection, request: Request) -> bool:
        assert self.site is not None
        written = request.method == "PUT"
        match injection.moment:
            case Moment.FETCH:
                return request.path.endswith(".zip")
            case Moment.BOOT:
                return request.path.endswith("/boot.json")
            case Moment.EPOCH:
                found = _EPOCH.search(request.path)
                return written and found is not None and int(found[1]) >= injection.epoch
            case Moment.CHECKPOINT:
                trained = max((epoch for each in self.trained.values() for epoch in each), default=0)
                return written and "/checkpoints/" in request.path and trained >= injection.epoch
            case Moment.VERSION:
                return written and f"/{self.site.models}/" in request.path and "/versions/" in request.path
            case Moment.RESULT:
                return written and request.path.endswith("/result.json")
            case Moment.ANSWER:
                return not request.of_s3 and "SendTaskSuccess" in request.beginning and "result" in request.beginning
            case None:
                return False

    def _strike(self, injection: Injection, instance: str) -> bool:
        self._training.remove(injection)
        if injection.fault in INTERRUPTING:
            self._struck.add(instance)
        self.done.append(injection)
        return self._effect(injection, instance)

    def _effect(self, injection: Injection, instance: str) -> bool:
        """Whether the request goes on."""
        assert self.site is not None
        assert self.wire is not None
        runner, times = self.site.account.runner, self._times
        match injection.fault:
            case Fault.NOTICE:
                runner.interrupt(instance, notice_seconds=times.notice)
            case Fault.REBALANCE:
                runner.recommend_rebalance(instance)
            case Fault.TERMINATED:
                self.site.client("ec2").terminate_instances(InstanceIds=[instance])
            case Fault.LOST:
                send(runner.processes(instance), signal.SIGKILL)
                return False
            case Fault.WORKER_KILLED:
                send(self._running(instance, "petpark.worker"), signal.SIGKILL)
                return injection.moment is not Moment.ANSWER
            case Fault.TRAINING_KILLED:
                send(self._running(instance, "training"), signal.SIGKILL)
                return False
            case Fault.LATE:
                self._freeze(instance, times.heartbeat / 2)
            case Fault.SILENT:
                self._freeze(instance, times.heartbeat + 4)
            case Fault.STORE_FAILS:
                self.wire.fail(injection.how)
                wire = self.wire
                self._later(times.outage, lambda: wire.fail(""))
            case Fault.JANITOR:
                self.janitors.append(self.look())
            case Fault.CANCELLED:
                self._cancel(instance)
            case _:
                raise AssertionError(f"{injection.fault} has no moment")
        return True

    def look(self) -> str:
        """Start the janitor; gives its execution."""
        assert self.site is not None
        states = self.site.client("stepfunctions")
        return states.start_execution(stateMachineArn=self.site.aliases["janitor"])["executionArn"]

    def _cancel(self, instance: str) -> None:
        assert self.site is not None
        found = self.site.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        job = next(tag["Value"] for tag in found["Tags"] if tag["Key"] == JOB_TAG)
        with contextlib.suppress(JobFinished):
            cancellation.cancel(self.site.target(), job, why="chaos")
            self.cancelled = True

    def _freeze(self, instance: str, seconds: float) -> None:
        pids = [*self._running(instance, "petpark.worker"), *self._running(instance, "training")]
        send(pids, signal.SIGSTOP)
        self._later(seconds, lambda: send(pids, signal.SIGCONT))

    def _running(self, instance: str, module: str) -> list[int]:
        """Processes `python -m <module>` of an instance."""
        assert self.site is not None
        with contextlib.suppress(UnknownInstance):
            return [pid for pid in self.site.account.runner.processes(instance) if _module(pid) == module]
        return []

    def _later(self, seconds: float, what: Callable[[], Any]) -> None:
        timer = threading.Timer(seconds, what)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)


def _module(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if words[1:2] == [b"-m"]:
            return os.fsdecode(words[2])
    return ""
