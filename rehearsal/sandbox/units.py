"""Units: transient ones, as `systemd-run` makes them, and enabled ones, which come back when the instance boots."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearsal.sandbox.processes import spawn
from rehearsal.sandbox.properties import TARGET, PropertyNotRehearsed, Service, read_unit

SLOWEST_RESTART_SECONDS = 5.0
SETTLED_SECONDS = 10.0  # a unit that ran this long is restarted without back-off
NOT_RUNNING, NOT_FOUND = 3, 5  # systemctl's exit codes
USAGE = 64  # EX_USAGE
UNIT_FILES = Path("etc", "systemd", "system")
OWN = ("PETPARK_HOST", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_ENDPOINT_URL")
"""Variables with addresses of this machine at this boot: they override those of any unit."""

Answer = tuple[int, str]


@dataclass(kw_only=True)
class Unit:
    """One unit and how it does."""

    name: str
    command: list[str]
    environment: dict[str, str]
    directory: str
    restart: str
    restart_seconds: float
    stop_seconds: float
    pid: int | None = None
    wanted: bool = True
    again: bool = False  # a restart was requested while it ran
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    started: float = 0.0
    failures: int = 0
    code: int | None = None

    def delay(self) -> float:
        """How long to wait before the next start: RestartSec, doubled by every quick failure after the first."""
        doubled = self.restart_seconds * 2 ** (max(self.failures, 1) - 1)
        return max(self.restart_seconds, min(doubled, SLOWEST_RESTART_SECONDS))

    def restarts(self) -> bool:
        """Whether it is started again, now that it has ended with `code`."""
        asked = self.restart == "always" or (self.restart == "on-failure" and self.code != 0)
        return self.again or (self.wanted and asked)

    def describe(self) -> str:
        """The output of `systemctl status`."""
        state = f"active (running), main process {self.pid}" if self.pid else f"inactive, last exit code {self.code}"
        return f"{self.name}.service: {state}"

    def signal(self, number: signal.Signals) -> None:
        """Signal every process of the unit that has not made a session of its own."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)


class Units:
    """The units of one instance. `changed(name, state, code)` is called at every start and end."""

    def __init__(self, sandbox: Path, changed: Callable[[str, str, int | None], None]) -> None:
        self._sandbox = sandbox
        self._files = sandbox / UNIT_FILES
        self._changed = changed
        self._units: dict[str, Unit] = {}
        # "All addresses" means one machine's on AWS; here it would mean all instances' and the host's own.
        self._own = {name: os.environ[name] for name in OWN if name in os.environ}
        self._closed = False

    def of_process(self, pid: int) -> Unit | None:
        """The unit whose main process this is."""
        return next((unit for unit in self._units.values() if unit.pid == pid), None)

    @property
    def wanted(self) -> bool:
        """Whether any unit runs or waits for its next start."""
        return any(unit.pid or unit.restarts() for unit in self._units.values())

    def close(self) -> None:
        """Start none any more: the instance halts."""
        self._closed = True

    def ended(self, unit: Unit, code: int) -> None:
        """A unit's main process has ended: restart it if the unit says so."""
        lasted = time.monotonic() - unit.started
        unit.pid, unit.code = None, code
        unit.idle.set()
        self._changed(unit.name, "ended", code)
        if unit.restarts() and not self._closed:
            unit.failures = 0 if lasted > SETTLED_SECONDS else unit.failures + 1
            asyncio.get_running_loop().call_later(0.0 if unit.again else unit.delay(), self._start, unit)

    def create(self, request: Mapping[str, Any]) -> Answer:
        """A request of `systemd-run`."""
        name = request["name"]
        if name in self._units and (self._units[name].pid or self._units[name].restarts()):
            return 1, f"Unit {name}.service is already loaded. Stop it first: systemctl stop {name}"
        service = Service(sandbox=self._sandbox, command=request["command"], directory=request["directory"])
        service.environment.update(request["environment"])
        try:
            for given in request["properties"]:
                service.set(*given.split("=", 1))
        except (PropertyNotRehearsed, OSError, TypeError, ValueError) as problem:
            return USAGE, f"systemd-run --property: {problem}"
        self._start(self._add(name, service))
        return 0, f"Running as unit: {name}.service"

    def enable(self, file: Path) -> Answer:
        """Do what `systemctl enable FILE` does: the file becomes a unit, and is started at every boot."""
        try:
            service = read_unit(file, sandbox=self._sandbox)
        except (PropertyNotRehearsed, OSError, ValueError) as problem:
            return USAGE, f"{file}: {problem}"
        if service.wanted_by != TARGET:
            return USAGE, f"{file.name} is not rehearsed: its WantedBy is not {TARGET}."
        for link in (self._files / file.name, self._wants / file.name):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(file)
        return 0, f"Created symlink {self._wants / file.name} → {file}."

    def boot(self) -> list[str]:
        """Start the enabled units, by name; return a sentence for each that cannot be started."""
        links = sorted(self._wants.iterdir()) if self._wants.is_dir() else []
        problems: list[str] = []
        for link in links:
            unit, problem = self._load(link.stem)
            problems += [problem] if problem else []
            if unit:
                self._start(unit)
        return problems

    @property
    def _wants(self) -> Path:
        return self._files / f"{TARGET}.wants"

    def _load(self, name: str) -> tuple[Unit | None, str]:
        """The unit as its file defines it now, or as `systemd-run` made it; or why there is none."""
        file = self._files / f"{name}.service"
        if not file.is_symlink():
            return self._units.get(name), ""
        try:
            return self._add(name, read_unit(file, sandbox=self._sandbox)), ""
        except (PropertyNotRehearsed, OSError, ValueError) as problem:
            return None, f"{name}.service: {problem}"

    def _add(self, name: str, service: Service) -> Unit:
        """Set what defines the service; if it runs, the change takes effect at its next start."""
        told = Unit(
            name=name,
            command=service.command,
            environment=dict(os.environ) | service.variables | self._own,
            directory=service.directory,
            restart=service.restart,
            restart_seconds=service.restart_seconds,
            stop_seconds=service.stop_seconds,
        )
        runs = self._units.get(name)
        if runs is None or runs.pid is None:
            self._units[name] = told
            return told
        for one in ("command", "environment", "directory", "restart", "restart_seconds", "stop_seconds"):
            setattr(runs, one, getattr(told, one))
        return runs

    async def control(self, request: Mapping[str, Any]) -> Answer:
        """A request of `systemctl`; a stop returns when the unit has stopped."""
        action, name = request["action"], request["name"]
        unit, problem = self._load(name) if action in {"start", "restart"} else (self._units.get(name), "")
        if unit is None:
            return (
                NOT_FOUND,
                problem
                or f"Unit {name}.service could not be found: no file was enabled and systemd-run did not make it.",
            )
        if action in {"status", "is-active"}:
            state = "active" if unit.pid else "inactive"
            return (0 if unit.pid else NOT_RUNNING), unit.describe() if action == "status" else state
        if action in {"stop", "restart"}:
            self._stop(unit)
        if action in {"start", "restart"}:
            unit.wanted, unit.failures = True, 0
            unit.again = unit.pid is not None and action == "restart"
            self._start(unit)
        elif unit.pid:
            await unit.idle.wait()
        return 0, ""

    def _start(self, unit: Unit) -> None:
        if unit.pid or not unit.wanted or self._closed:
            return
        unit.again = False
        unit.idle.clear()
        log = self._sandbox / "journal" / f"{unit.name}.log"
        unit.pid = spawn(unit.command, environment=unit.environment, directory=unit.directory, log=log)
        unit.started = time.monotonic()
        self._changed(unit.name, "started", None)

    def _stop(self, unit: Unit) -> None:
        unit.wanted = False
        unit.signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(unit.stop_seconds, self._kill, unit, unit.pid)

    def _kill(self, unit: Unit, pid: int | None) -> None:
        if unit.pid == pid:
            unit.signal(signal.SIGKILL)
