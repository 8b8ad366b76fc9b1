"""The first process of a rehearsed instance: what init and systemd are to a machine.

Runs the user data, keeps units running, and leaves nothing behind: as a child subreaper it is the ancestor of every
process of the instance, double-forked ones included, so halting means ending all of its descendants. It talks to the
runner over an inherited socket (JSON lines; the runner's end closing means that the runner is gone, so the instance
halts) and to the stand-ins over `run/control.sock` in the sandbox.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rehearsal.sandbox.processes import adopt_orphans, descendants, send, spawn
from rehearsal.sandbox.units import Answer, Units

GRACE_SECONDS = 2.0  # if the runner sets none


class Supervisor:
    """One rehearsed instance, from boot to halt."""

    def __init__(self, sandbox: Path, control: socket.socket, *, minute_seconds: float) -> None:
        self._console = sandbox / "console.log"
        self._run_folder = sandbox / "run"
        self._control = control
        self._minute = minute_seconds
        self._units = Units(sandbox, self._unit_changed)
        self._user_data: int | None = None
        self._killed = False
        self._scheduled: asyncio.TimerHandle | None = None
        self._deadline: float | None = None
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
        os.chdir(self._run_folder)
        Path("control.sock").unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve_stand_in, "control.sock")
        listening = asyncio.create_task(self._listen(reader))
        self._report("up")
        for problem in self._units.boot():
            self._say(problem)
        await self._halted.wait()
        listening.cancel()
        server.close()

    # To and from the runner

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                order = json.loads(line)
                if order["do"] == "run":
                    self._user_data = spawn(order["command"], environment=os.environ, directory="/", log=self._console)
                elif order["do"] == "halt":
                    self._halt("asked", grace=order["grace"])
        self._halt("runner gone")

    def _report(self, event: str, **detail: Any) -> None:
        if self._writer and not self._writer.is_closing():
            self._writer.write(json.dumps({"event": event, **detail}).encode() + b"\n")

    def _say(self, sentence: str) -> None:
        with self._console.open("a") as console:
            console.write(f"[{time.strftime('%H:%M:%S')}] {sentence}\n")

    # Processes

    def _reap(self) -> None:
        """Collect what has ended: children, and orphans that were adopted."""
        while True:
            try:
                # Looked at before it is reaped: until then its process group cannot be another's.
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None:
                    return
                unit = self._units.of_process(ended.si_pid)
                if unit:
                    unit.signal(signal.SIGKILL)  # remaining processes must not keep its port
                code = os.waitstatus_to_exitcode(os.waitpid(ended.si_pid, 0)[1])
            except ChildProcessError:
                break
            if unit:
                self._units.ended(unit, code)
            elif ended.si_pid == self._user_data:
                self._user_data_ended(code)
        if self._halting:
            self._childless.set()
        elif self._killed and not self._units.wanted:
            self._halt("died")

    def _user_data_ended(self, code: int) -> None:
        self._user_data = None
        self._report("user-data", code=code)
        if not self._halting:
            # A script that ends leaves the machine running, as on AWS; one that was killed takes it down once nothing
            # else of the instance is left, as a machine that died.
            self._killed = code < 0
            self._say(f"user data ended with {code}")

    def _unit_changed(self, name: str, state: str, code: int | None) -> None:
        self._report("unit", name=name, state=state, code=code)
        self._say(f"{name}.service {state}" + ("" if code is None else f" with {code}"))

    # The end

    def _halt(self, why: str, grace: float = GRACE_SECONDS) -> None:
        deadline = time.monotonic() + grace
        self._deadline = min(deadline, self._deadline or deadline)
        if not self._halting:
            self._halting = asyncio.create_task(self._end_everything(why))

    async def _end_everything(self, why: str) -> None:
        self._report("halting", why=why)
        self._say(f"halting: {why}")
        self._units.close()
        send(descendants(os.getpid()), signal.SIGTERM)
        self._reap()
        while not self._childless.is_set():
            if time.monotonic() > (self._deadline or 0.0):
                send(descendants(os.getpid()), signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._childless.wait(), 0.05)
        self._report("halted", why=why)
        if self._writer:
            with contextlib.suppress(ConnectionError):
                await self._writer.drain()
        self._halted.set()

    # Requests of the stand-ins

    async def _serve_stand_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            code, output = await self._answer(json.loads(await reader.readline()))
            writer.write(json.dumps({"code": code, "output": output}).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _answer(self, request: Mapping[str, Any]) -> Answer:
        match request["verb"]:
            case "shutdown":
                return self._shutdown(int(request["minutes"]))
            case "cancel":
                return self._cancel()
            case "run-unit":
                return self._units.create(request)
            case "enable":
                return self._units.enable(Path(request["file"]))
            case "unit":
                return await self._units.control(request)
            case verb:
                return 64, f"{verb} is not rehearsed."

    def _shutdown(self, minutes: int) -> Answer:
        self._cancel()
        self._scheduled = asyncio.get_running_loop().call_later(minutes * self._minute, self._halt, "shutdown")
        self._say(f"shutdown in {minutes} min")
        return 0, f"Shutdown in {minutes} min." if minutes else ""

    def _cancel(self) -> Answer:
        if self._scheduled:
            self._scheduled.cancel()
            self._scheduled = None
        return 0, ""


def main() -> None:
    """Supervise `SANDBOX SOCKET_FD MINUTE_SECONDS`; the environment is the instance's."""
    sandbox, descriptor, minute = sys.argv[1:]
    adopt_orphans()
    control = socket.socket(fileno=int(descriptor))
    control.set_inheritable(False)
    control.setblocking(False)

    async def supervise() -> None:
        await Supervisor(Path(sandbox), control, minute_seconds=float(minute)).run()

    asyncio.run(supervise())
