"""Runs the emulator's instances as local processes: what EC2's hosts are to EC2's API."""

import os
import shlex
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.instances import cloud as facts
from rehearsal.instances.cloud import Cloud, Instance
from rehearsal.instances.credentials import RoleCredentials, stamp
from rehearsal.instances.events import CommandFailed, InstanceEvent, State, StateNotReached, UnknownInstance
from rehearsal.instances.machine import KILLED, Machine, environment, sweep
from rehearsal.instances.metadata import MetadataService
from rehearsal.instances.state_changes import StateChanges
from rehearsal.sandbox import stand_ins

RETRY_SECONDS = 1.0
STOP_GRACE_SECONDS = 3.0


@dataclass
class _Record:
    machine: Machine
    state: State
    timer: threading.Timer | None = None


class InstanceRunner:
    """Keeps one machine up for every instance that the emulator has running, from `start` to `stop`.

    May be made before the emulator has started.

    `directory` takes a folder `instances/<id>` each; `python` is the interpreter with petpark's environment;
    `aws` a real AWS CLI. `on_event` hears, from several threads, what happens. Where the emulator ended an instance,
    its processes are left alone until `on_event` has returned from `shutting-down`: time to take it out of service.
    """

    def __init__(
        self,
        emulator: Cloud,
        directory: Path,
        *,
        python: Path,
        on_event: Callable[[InstanceEvent], None] | None = None,
        aws: Path | None = None,
        grace_seconds: float = 10.0,
        minute_seconds: float = 60.0,
    ) -> None:
        self._cloud = emulator
        self._directory = directory.resolve() / "instances"
        self._python = python.absolute()
        self._on_event = on_event or (lambda _event: None)
        self._aws = aws or emulator_aws()
        self._grace_seconds = grace_seconds
        self._minute_seconds = minute_seconds
        self._changes = StateChanges(emulator)
        self._records: dict[str, _Record] = {}
        self._changed = threading.Condition(threading.RLock())
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="instances", daemon=True)

    @cached_property
    def _ec2(self) -> Any:
        return self._cloud.client("ec2")

    # Requests of others

    def start(self) -> Self:
        """Subscribe to state changes, then bring up what already runs."""
        sweep(self._directory)
        stand_ins.install(self._directory / "bin", python=self._python, aws=self._aws)
        self._changes.open()
        self._watcher.start()
        return self

    def stop(self) -> None:
        """Halt every machine and unsubscribe; the emulated instances stay as they are. May be called twice."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._changes.wake()
        if self._watcher.is_alive():
            self._watcher.join()
        with self._changed:
            records = list(self._records.values())
        for record in records:
            if record.timer:
                record.timer.cancel()
            record.machine.halt(min(self._grace_seconds, STOP_GRACE_SECONDS))
        for record in records:
            record.machine.join(STOP_GRACE_SECONDS + 10)
        self._changes.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def address(self, instance_id: str) -> str:
        """The instance's loopback address, the same for as long as it is up. Raises `UnknownInstance`."""
        return self._record(instance_id).machine.metadata.address

    def log(self, instance_id: str) -> Path:
        """The console log, which may not exist yet."""
        return self._directory / instance_id / "console.log"

    def journal(self, instance_id: str, unit: str) -> Path:
        """The output of a unit that `systemd-run` made."""
        return self._directory / instance_id / "journal" / f"{unit}.log"

    def execute(self, instance_id: str, command: Sequence[str], *, timeout: float) -> str:
        """Run a command on the instance, as its administrator would by Session Manager; returns its output.

        Raises `CommandFailed`, `UnknownInstance`.
        """
        machine = self._record(instance_id).machine
        try:
            done = subprocess.run(
                command,
                env=dict(machine.environment),
                cwd=machine.sandbox,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            reason = getattr(error, "stderr", None) or error
            raise CommandFailed(f"{shlex.join(command)} on {instance_id} failed: {reason}") from error
        return done.stdout

    def sandbox(self, instance_id: str) -> Path:
        """The instance's disk. Raises `UnknownInstance`."""
        return self._record(instance_id).machine.sandbox

    def processes(self, instance_id: str) -> list[int]:
        """Every process of the instance, the supervisor first; empty when it is down. Raises `UnknownInstance`."""
        return self._record(instance_id).machine.processes()

    def states(self) -> dict[str, State]:
        """Every instance seen so far and the state of its machine."""
        with self._changed:
            return {instance_id: record.state for instance_id, record in self._records.items()}

    def wait_for(self, instance_id: str, state: State, timeout: float) -> None:
        """Returns once the machine is in `state`. Raises `StateNotReached`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.states().get(instance_id) == state, timeout):
                raise StateNotReached(
                    f"{instance_id} is {self.states().get(instance_id, 'unknown here')} and was not {state} within "
                    f"{timeout:.0f} s. Its console, {self.log(instance_id)}, ends with:\n"
                    f"{self._console_tail(instance_id)}"
                )

    def _console_tail(self, instance_id: str) -> str:
        try:
            lines = self.log(instance_id).read_text(errors="replace").splitlines()
        except OSError:
            return "(nothing)"
        return "\n".join(lines[-10:])

    def interrupt(self, instance_id: str, *, notice_seconds: float) -> None:
        """Interrupt a spot instance: a notice in its metadata and on the event bus now, termination when it is over."""
        record = self._record(instance_id)
        moment = datetime.now(UTC) + timedelta(seconds=notice_seconds)
        record.machine.metadata.give_notice(moment)
        self._emit(instance_id, "notice", time=stamp(moment))
        record.timer = threading.Timer(notice_seconds, self._terminate, [instance_id])
        record.timer.daemon = True
        record.timer.start()
        facts.announce_interruption(self._cloud, instance_id)

    def recommend_rebalance(self, instance_id: str) -> None:
        """Recommend to move a spot instance's work elsewhere, in its metadata; the instance stays."""
        self._record(instance_id).machine.metadata.recommend_rebalance(datetime.now(UTC))

    # From the emulator to the machines

    def _watch(self) -> None:
        everything = True
        while not self._stopping.is_set():
            try:
                ids = [] if everything else self._changes.wait()
                if everything or ids:
                    self._reconcile(ids)
                everything = False
            except (BotoCoreError, ClientError) as problem:
                self._emit("", "trouble", problem=str(problem))
                everything = True  # missed events are found by reading all instances
                self._stopping.wait(RETRY_SECONDS)

    def _reconcile(self, ids: list[str]) -> None:
        """Bring the machines of `ids`, or all, to the emulator's current state."""
        described = {instance.id: instance for instance in facts.describe(self._ec2, ids)}
        for instance_id in set(described) | set(ids or self._records):
            instance, record = described.get(instance_id), self._records.get(instance_id)
            state = record.state if record else None
            if instance and instance.runs and state in (None, "stopped"):
                self._boot(instance)
            elif record and state == "running" and not (instance and instance.runs):
                self._halt(record)
            elif record and state == "stopped" and not (instance and instance.state != "terminated"):
                record.machine.discard()
                self._enter(record, "terminated")

    def _boot(self, instance: Instance) -> None:
        if self._stopping.is_set():
            return
        data = facts.user_data(self._ec2, instance.id)
        machine = self._machine(instance, self._metadata(instance, data))
        record = _Record(machine, "running")
        with self._changed:
            self._records[instance.id] = record
        machine.boot(data)
        # For commands in other processes, which find a kept rehearsal's instances by this file.
        (self._directory / instance.id / "address").write_text(machine.metadata.address)
        self._enter(record, "running", address=machine.metadata.address)

    def _metadata(self, instance: Instance, user_data: bytes) -> MetadataService:
        role = RoleCredentials(self._cloud, instance.profile_arn, instance.id) if instance.profile_arn else None
        return MetadataService(
            instance,
            user_data,
            region=self._cloud.region,
            look=lambda: next(iter(facts.describe(self._ec2, [instance.id])), instance),
            credentials=role.current if role else lambda: None,
        ).start()

    def _machine(self, instance: Instance, metadata: MetadataService) -> Machine:
        sandbox = self._directory / instance.id
        variables = environment(
            sandbox,
            commands=self._directory / "bin",
            cloud=self._cloud.environment(),
            metadata=metadata,
            python=self._python,
        )
        return Machine(
            instance,
            sandbox,
            metadata,
            environment=variables,
            minute_seconds=self._minute_seconds,
            report=lambda event, detail: self._hear(instance.id, event, detail),
        )

    def _halt(self, record: _Record) -> None:
        self._enter(record, "shutting-down", tell=False)

        def halt() -> None:
            self._emit(record.machine.instance.id, "shutting-down", why="asked")
            record.machine.halt(self._grace_seconds)

        threading.Thread(target=halt, name=f"halt-{record.machine.instance.id}", daemon=True).start()

    # From the machines to the emulator

    def _hear(self, instance_id: str, event: str, detail: Mapping[str, Any]) -> None:
        record = self._record(instance_id)
        if event in {"user-data", "unit"}:
            self._emit(instance_id, event, **detail)
        elif event == "halting" and detail["why"] != "asked":
            self._enter(record, "shutting-down", **detail)
        elif event == "halted" and not self._stopping.is_set():
            if record.timer:
                record.timer.cancel()
            self._settle(record, detail["why"])

    def _settle(self, record: _Record, why: str) -> None:
        """A machine has ended: stop its instance in the emulator too if nobody requested it, and note how it ended."""
        instance_id = record.machine.instance.id
        if why == KILLED and record.state == "running":
            self._enter(record, "shutting-down", why=why)
        try:
            if why != "asked":
                facts.end(self._ec2, instance_id)
            left = facts.describe(self._ec2, [instance_id])
        except (BotoCoreError, ClientError) as problem:
            self._emit(instance_id, "trouble", problem=str(problem))
            left = []
        if left and left[0].state != "terminated":
            self._enter(record, "stopped", why=why)
            self._changes.wake(instance_id)  # it may have been started again while it was halting
        else:
            record.machine.discard()
            self._enter(record, "terminated", why=why)

    def _terminate(self, instance_id: str) -> None:
        try:
            self._ec2.terminate_instances(InstanceIds=[instance_id])
        except (BotoCoreError, ClientError) as problem:
            self._emit(instance_id, "trouble", problem=str(problem))

    # Bookkeeping

    def _record(self, instance_id: str) -> _Record:
        with self._changed:
            if instance_id not in self._records:
                raise UnknownInstance(
                    f"{instance_id} has no machine here. A new instance has one when wait_for(…, 'running') returns."
                )
            return self._records[instance_id]

    def _enter(self, record: _Record, state: State, *, tell: bool = True, **detail: Any) -> None:
        if tell:
            self._emit(record.machine.instance.id, state, **detail)
        with self._changed:
            record.state = state
            self._changed.notify_all()

    def _emit(self, instance_id: str, kind: str, **detail: Any) -> None:
        self._on_event(InstanceEvent(instance_id=instance_id, kind=kind, at=datetime.now(UTC), detail=detail))


def emulator_aws() -> Path | None:
    """The AWS CLI in the emulator's environment, where there is one."""
    python = Path(os.environ.get("PETPARK_EMULATOR_PYTHON") or Path(__file__).parents[2] / ".venv-emulator/bin/python")
    command = python.with_name("aws")
    return command if command.exists() else None
