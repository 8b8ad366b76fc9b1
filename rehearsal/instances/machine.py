"""One rehearsed instance while it is up: a sandbox, a metadata service, and a process tree under a supervisor."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from registry.layout.variables import Variable
from rehearsal.instances.cloud import Instance
from rehearsal.instances.metadata import MetadataService
from rehearsal.sandbox.processes import descendants, send
from rehearsal.sandbox.stand_ins import SANDBOX

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FOLDERS = ("etc", "home", "journal", "opt/petpark", "run", "tmp", "var")
KILLED = "killed"
ROOT = str(Path(__file__).resolve().parents[2])
SUPERVISE = f"import sys; sys.path.insert(0, {ROOT!r}); from rehearsal.sandbox.supervisor import main; main()"
SUPERVISOR = (sys.executable, "-I", "-S", "-c", SUPERVISE)  # nothing of the environment, no site-packages


class Machine:
    """The processes of one instance from boot to halt.

    `report(event, detail)` is called from a thread of this machine's own; the last event is `halted`, whose `why` is
    `asked` (by `halt`), `shutdown` (the instance did it itself), `died` or `killed` (its processes were).
    """

    def __init__(
        self,
        instance: Instance,
        sandbox: Path,
        metadata: MetadataService,
        *,
        environment: Mapping[str, str],
        minute_seconds: float,
        report: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self.instance = instance
        self.sandbox = sandbox
        self.metadata = metadata
        self.environment = environment
        self._minute_seconds = minute_seconds
        self._report = report
        self._control, self._supervisors = socket.socketpair()
        self._process: subprocess.Popen[bytes] | None = None
        self._listener = threading.Thread(target=self._listen, name=f"machine-{instance.id}", daemon=True)

    @property
    def console(self) -> Path:
        """What the user data and the supervisor wrote."""
        return self.sandbox / "console.log"

    def boot(self, user_data: bytes) -> None:
        """Start the supervisor and, on the first boot of this sandbox, the user data, as cloud-init does."""
        for folder in FOLDERS:
            (self.sandbox / folder).mkdir(parents=True, exist_ok=True)
        self._process = self._start_supervisor()
        script = self.sandbox / "user-data"
        if not script.exists():
            script.write_bytes(user_data)
            script.chmod(0o700)
            if user_data.startswith(b"#!"):
                self._order(do="run", command=[str(script)])
            elif user_data:
                self._say("the user data is not a script (it does not begin with #!), so it is not run")
        self._listener.start()

    def halt(self, grace_seconds: float) -> None:
        """Ask every process to end, and kill after the grace what has not. Returns at once; `halted` follows."""
        self._order(do="halt", grace=grace_seconds)

    def join(self, timeout: float) -> None:
        """Wait until the machine has halted and reported so."""
        self._listener.join(timeout)

    def discard(self) -> None:
        """Remove the disk of a machine that is down; what its processes wrote to the console and journal stays."""
        for folder in FOLDERS:
            if folder != "journal":
                shutil.rmtree(self.sandbox / folder, ignore_errors=True)

    def processes(self) -> list[int]:
        """The supervisor and all its descendants."""
        if self._process is None or self._process.poll() is not None:
            return []
        return [self._process.pid, *descendants(self._process.pid)]

    def _start_supervisor(self) -> subprocess.Popen[bytes]:
        theirs = self._supervisors
        with theirs, self.console.open("ab") as console:
            return subprocess.Popen(
                [*SUPERVISOR, str(self.sandbox), str(theirs.fileno()), str(self._minute_seconds)],
                env=dict(self.environment),
                cwd="/",
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=console,
                start_new_session=True,
            )

    def _order(self, **order: Any) -> None:
        try:
            self._control.sendall(json.dumps(order).encode() + b"\n")
        except OSError:
            return  # the supervisor is gone, and the listener says so

    def _listen(self) -> None:
        why = KILLED
        for event in self._events():
            if event["event"] == "halted":
                why = event["why"]
            else:
                self._report(event.pop("event"), event)
        if self._process:
            self._process.wait()
        sweep(self.sandbox)
        self.metadata.stop()
        self._report("halted", {"why": why})

    def _events(self) -> Iterator[dict[str, Any]]:
        with self._control, self._control.makefile("rb") as lines:
            try:
                for line in lines:
                    yield json.loads(line)
            except (ConnectionError, ValueError):
                return

    def _say(self, sentence: str) -> None:
        with self.console.open("a") as console:
            console.write(f"{sentence}\n")


def environment(
    sandbox: Path, *, commands: Path, cloud: Mapping[str, str], metadata: MetadataService, python: Path
) -> dict[str, str]:
    """All that an instance's processes find in their environment.

    Of the rehearsal's own they inherit in how many processes a job trains: an instance here has no GPUs to count.
    """
    processes = {name: os.environ[name] for name in (Variable.PROCESSES,) if name in os.environ}
    return {
        **cloud,
        **processes,
        "PETPARK_ADDRESSES": str(sandbox.parent.parent),  # of instances and endpoints: petpark.worker.stack_target
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url,
        "HOME": str(sandbox / "home"),
        "LANG": "C.UTF-8",
        "PATH": f"{commands}:{SYSTEM_PATH}",
        "PETPARK_HOME": str(sandbox / "opt" / "petpark"),
        "PETPARK_HOST": metadata.address,
        "PETPARK_PYTHON": str(python),
        SANDBOX: str(sandbox),
        "TMPDIR": str(sandbox / "tmp"),
        "USER": "root",
    }


def sweep(folder: Path) -> None:
    """Kill every process whose sandbox is `folder` or below it: what a supervisor that was killed left behind."""
    prefix = os.fsencode(f"{SANDBOX}={folder}")
    while left := [pid for pid in _own_processes() if _belongs(pid, prefix)]:
        send(left, signal.SIGKILL)


def _own_processes() -> Iterator[int]:
    me = os.getuid()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == me:
                yield int(entry.name)
        except OSError:
            continue


def _belongs(pid: int, prefix: bytes) -> bool:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(one == prefix or one.startswith(prefix + b"/") for one in variables)
