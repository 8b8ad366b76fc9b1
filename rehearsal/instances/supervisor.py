"""The first process of a rehearsed instance: what init and systemd are to a machine.

Runs the user data, keeps units running, and leaves nothing behind: as a child subreaper it is the ancestor of every
process of the instance, double-forked ones included, so halting means ending all of its descendants. It talks to the
runner over an inherited socket (JSON lines; the runner's end closing means that the runner is gone, so the instance
halts) and to the stand-ins over `run/control.sock` in the sandbox.

Started by path with `-I -S`, so it needs the standard library only. Linux only: prctl(2), /proc.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SLOWEST_RESTART_SECONDS = 5.0
SETTLED_SECONDS = 10.0  # a unit that ran this long is restarted without back-off

_libc = ctypes.CDLL(None, use_errno=True)


def descendants(root: int) -> list[int]:
    """Every process below `root`, children before grandchildren; zombies are left out."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - Path objects for every process would cost more than the reading
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except OSError:
            continue
        if state != b"Z":
            children.setdefault(int(parent), []).append(int(entry))
    found: list[int] = []
    level = [root]
    while level:
        level = [child for parent in level for child in children.get(parent, [])]
        found += level
    return found


def send(pids: Sequence[int], number: signal.Signals) -> None:
    """Signal processes; those already gone are no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def spawn(command: Sequence[str], *, environment: Mapping[str, str], directory: str, log: Path) -> int:
    """Start a session of its own whose first process dies with this one; returns its process id."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 127
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGPIPE, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            os.chdir(directory)
            os.execvpe(command[0], list(command), dict(environment))  # noqa: S606
    except OSError as problem:
        os.write(2, f"cannot run {command[0]}: {problem}\n".encode())
        code = 126 if isinstance(problem, PermissionError) else 127
    finally:
        os._exit(code)


@dataclass(kw_only=True)
class Unit:
    """A transient unit as `systemd-run` makes them."""

    name: str
    command: list[str]
    environment: dict[str, str]
    directory: str
    restart: str
    restart_seconds: float
    pid: int | None = None
    wanted: bool = True
    again: bool = False  # a restart was asked for while it ran
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
        """What `systemctl status` says."""
        state = f"active (running), main process {self.pid}" if self.pid else f"inactive, last exit code {self.code}"
        return f"{self.name}.service: {state}"


class Supervisor:
    """One rehearsed instance, from boot to halt."""

    def __init__(self, sandbox: Path, control: socket.socket, *, minute_seconds: float) -> None:
        self._sandbox = sandbox
        self._control = control
        self._minute = minute_seconds
        self._units: dict[str, Unit] = {}
        self._user_data: int | None = None
        self._killed = False
        self._scheduled: asyncio.TimerHandle | None = None
        self._deadline: float | None = None
        self._why = ""
        self._halting: asyncio.Task[None] | None = None
        self._childless = asyncio.Event()
        self._halted = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        """Serve until the instance has halted."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        loop.add_signal_handler(signal.SIGTERM, lambda: self._halt("killed"))
        reader, self._writer = await asyncio.open_connection(sock=self._control)
        # A relative path: the sandbox's own may be longer than the 108 bytes that a socket's address can have.
        os.chdir(self._sandbox / "run")
        Path("control.sock").unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve_stand_in, "control.sock")
        listening = asyncio.create_task(self._listen(reader))
        self._report("up")
        await self._halted.wait()
        listening.cancel()
        server.close()

    # What the runner says

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                order = json.loads(line)
                if order["do"] == "run":
                    self._run_user_data(order["command"])
                elif order["do"] == "halt":
                    self._halt("asked", grace=order["grace"])
        self._halt("runner gone")

    def _run_user_data(self, command: list[str]) -> None:
        self._childless.clear()
        self._user_data = spawn(command, environment=os.environ, directory="/", log=self._console)

    def _report(self, event: str, **detail: Any) -> None:
        if self._writer and not self._writer.is_closing():
            self._writer.write(json.dumps({"event": event, **detail}).encode() + b"\n")

    @property
    def _console(self) -> Path:
        return self._sandbox / "console.log"

    def _say(self, sentence: str) -> None:
        with self._console.open("a") as console:
            console.write(f"[{time.strftime('%H:%M:%S')}] {sentence}\n")

    # Processes

    def _reap(self) -> None:
        while True:
            try:
                # Looked at before it is reaped: until then its process group cannot be another's.
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None:
                    return
                unit = next((unit for unit in self._units.values() if unit.pid == ended.si_pid), None)
                if unit:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(ended.si_pid, signal.SIGKILL)  # what is left of the unit must not hold its port
                code = os.waitstatus_to_exitcode(os.waitpid(ended.si_pid, 0)[1])
            except ChildProcessError:
                break
            if unit:
                self._unit_ended(unit, code)
            elif ended.si_pid == self._user_data:
                self._user_data_ended(code)
        self._childless.set()
        if self._killed and not any(unit.wanted for unit in self._units.values()):
            self._halt("died")

    def _user_data_ended(self, code: int) -> None:
        self._user_data = None
        self._report("user-data", code=code)
        if not self._halting:
            # A script that ends leaves the machine running, as on AWS; one that was killed takes it down once nothing
            # else of the instance is left, as a machine that died.
            self._killed = code < 0
            self._say(f"user data ended with {code}")

    def _unit_ended(self, unit: Unit, code: int) -> None:
        lasted = time.monotonic() - unit.started
        unit.pid, unit.code = None, code
        unit.idle.set()
        self._report("unit", name=unit.name, state="ended", code=code)
        if self._halting:
            return
        self._say(f"{unit.name}.service ended with {code} after {lasted:.1f} s")
        if unit.restarts():
            unit.failures = 0 if lasted > SETTLED_SECONDS else unit.failures + 1
            asyncio.get_running_loop().call_later(0.0 if unit.again else unit.delay(), self._start_unit, unit)

    def _start_unit(self, unit: Unit) -> None:
        if unit.pid or not unit.wanted or self._halting:
            return
        unit.again = False
        unit.idle.clear()
        self._childless.clear()
        log = self._sandbox / "journal" / f"{unit.name}.log"
        unit.pid = spawn(unit.command, environment=unit.environment, directory=unit.directory, log=log)
        unit.started = time.monotonic()
        self._say(f"{unit.name}.service started as process {unit.pid}; output in {log}")
        self._report("unit", name=unit.name, state="started", code=None)

    def _stop_unit(self, unit: Unit) -> None:
        unit.wanted = False
        if unit.pid:
            pid = unit.pid
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
            asyncio.get_running_loop().call_later(SLOWEST_RESTART_SECONDS, self._kill_unit, unit, pid)

    def _kill_unit(self, unit: Unit, pid: int) -> None:
        if unit.pid == pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    # The end

    def _halt(self, why: str, grace: float = 2.0) -> None:
        deadline = time.monotonic() + grace
        self._deadline = min(deadline, self._deadline or deadline)
        if not self._halting:
            self._why = why
            self._halting = asyncio.create_task(self._end_everything())

    async def _end_everything(self) -> None:
        self._report("halting", why=self._why)
        self._say(f"halting: {self._why}")
        send(descendants(os.getpid()), signal.SIGTERM)
        self._reap()
        while not self._childless.is_set():
            if time.monotonic() > (self._deadline or 0.0):
                send(descendants(os.getpid()), signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._childless.wait(), 0.05)
        self._report("halted", why=self._why)
        if self._writer:
            with contextlib.suppress(ConnectionError):
                await self._writer.drain()
        self._halted.set()

    # What the stand-ins ask

    async def _serve_stand_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = json.loads(await reader.readline())
        handlers: dict[str, Callable[[dict[str, Any]], tuple[int, str]]] = {
            "shutdown": self._shutdown,
            "cancel": self._cancel,
            "run-unit": self._run_unit,
            "unit": self._unit,
        }
        code, output = handlers[request["verb"]](request)
        if request.get("action") == "stop" and code == 0:
            await self._units[request["name"]].idle.wait()
        writer.write(json.dumps({"code": code, "output": output}).encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    def _shutdown(self, request: dict[str, Any]) -> tuple[int, str]:
        self._cancel(request)
        minutes = int(request["minutes"])
        self._scheduled = asyncio.get_running_loop().call_later(minutes * self._minute, self._halt, "shutdown")
        self._say(f"shutdown in {minutes} min")
        return 0, f"Shutdown in {minutes} min." if minutes else ""

    def _cancel(self, _request: dict[str, Any]) -> tuple[int, str]:
        if self._scheduled:
            self._scheduled.cancel()
            self._scheduled = None
        return 0, ""

    def _run_unit(self, request: dict[str, Any]) -> tuple[int, str]:
        name = request["name"]
        if name in self._units and (self._units[name].pid or self._units[name].restarts()):
            return 1, f"Unit {name}.service is already loaded. Stop it first: systemctl stop {name}"
        unit = Unit(
            name=name,
            command=request["command"],
            environment=dict(os.environ) | request["environment"],
            directory=request["directory"],
            restart=request["restart"],
            restart_seconds=float(request["restart_seconds"]),
        )
        self._units[name] = unit
        self._start_unit(unit)
        return 0, f"Running as unit: {name}.service"

    def _unit(self, request: dict[str, Any]) -> tuple[int, str]:
        unit = self._units.get(request["name"])
        if unit is None:
            return (
                5,
                f"Unit {request['name']}.service could not be found: only units made by systemd-run are rehearsed.",
            )
        action = request["action"]
        if action == "status":
            return (0 if unit.pid else 3), unit.describe()
        if action == "is-active":
            return (0 if unit.pid else 3), "active" if unit.pid else "inactive"
        if action in {"stop", "restart"}:
            self._stop_unit(unit)
        if action in {"start", "restart"}:
            unit.wanted, unit.failures = True, 0
            unit.again = unit.pid is not None and action == "restart"
            self._start_unit(unit)
        return 0, ""


def main() -> None:
    """`supervisor.py SANDBOX SOCKET_FD MINUTE_SECONDS`; the environment is the instance's."""
    sandbox, descriptor, minute = sys.argv[1:]
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    control = socket.socket(fileno=int(descriptor))
    control.set_inheritable(False)
    control.setblocking(False)

    async def supervise() -> None:
        await Supervisor(Path(sandbox), control, minute_seconds=float(minute)).run()

    asyncio.run(supervise())


if __name__ == "__main__":
    main()
