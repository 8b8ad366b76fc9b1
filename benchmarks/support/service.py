"""A server of this machine that benchmarks start, freeze, end and begin again, and what its processes use."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rehearsal.child_process import start, stop

LOOK_EVERY = 0.01


def free_port() -> int:
    """Returns a port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int, path: str, *, timeout: float = 1.0) -> bool:
    """Returns whether GET `path` returns 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as line:
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            return line.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What the processes of a server have used or hold."""

    cpu_seconds: float
    pss_mb: float
    """Proportional set size: pages that processes share are counted in parts."""
    switches: int
    """Context switches of all threads that there are now, whether they waited or were made to."""


class Service:
    """One server, its children included; killed if we are."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        log: Path,
        environment: Mapping[str, str],
        ready: str | Callable[[], bool],
        directory: Path | None = None,
        timeout: float = 120.0,
    ) -> None:
        """`ready`: a path that returns 200 when ready, or a function that checks it."""
        self.port, self.log = port, log
        self.url = f"http://127.0.0.1:{port}"
        self._command, self._environment = command, environment
        self._directory = directory or Path.cwd()
        self._is_ready = ready if callable(ready) else lambda: answers(port, ready)
        self._timeout = timeout
        self.process: subprocess.Popen[str] | None = None
        self.start_seconds = 0.0
        """From its last start until it was ready."""

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether that process runs."""
        return self.process is not None and self.process.poll() is None

    def begin(self) -> None:
        """Start it and wait until it is ready. Ends the benchmark with its log if it does not become so."""
        began = time.perf_counter()
        with self.log.open("ab") as output:
            self.process = start(
                self._command,
                directory=self._directory,
                environment=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            share_priority(self.pid)
            while not self._is_ready():
                if not self.alive or time.perf_counter() - began > self._timeout:
                    text = self.log.read_text(errors="replace")
                    sys.exit(f"{self._command} did not become ready:\n{text[-4000:]}")
                time.sleep(LOOK_EVERY)
        except BaseException:
            self.end()
            raise
        self.start_seconds = time.perf_counter() - began

    def end(self) -> None:
        """End it and its children."""
        if self.process is None:
            return
        children = tree(self.pid)[1:]
        self.process.send_signal(signal.SIGCONT)
        stop(self.process, timeout=10)
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def freeze(self) -> None:
        """Accept connections without responding, like a machine that lost its disk."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        os.kill(self.pid, signal.SIGCONT)

    def usage(self) -> Usage:
        """Of all its processes together, now."""
        pids = tree(self.pid)
        return Usage(
            cpu_seconds=sum(map(cpu_seconds, pids)),
            pss_mb=sum(map(_pss_mb, pids)),
            switches=sum(map(context_switches, pids)),
        )

    def resident_mb(self) -> float:
        """Resident memory of the process that was started."""
        found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found
        return int(found[1]) / 1024

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def share_priority(pid: int, *, proc: Path = Path("/proc")) -> None:
    """Give a process in another session this session's priority, if Linux shares processors by session.

    A benchmark with more priority than others would otherwise outrun the very server that it measures.
    sched(7), "The autogroup feature". The file is empty for a process in its own control group (a container),
    whose processors are shared by group and not by session: there is nothing to set there.
    """
    own = proc / "self" / "autogroup"
    words = own.read_text().split() if own.exists() else []
    if words and words[-1] != "0":
        (proc / str(pid) / "autogroup").write_text(words[-1])


def cpu_seconds(pid: int) -> float:
    """Returns the processor time of a process; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def thread_seconds(pid: int) -> float:
    """Processor time of all threads that a process has now, to the nanosecond. Documentation/scheduler/sched-stats."""
    paths = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[0]) for path in paths) / 1e9


def context_switches(pid: int) -> int:
    """Context switches of all threads that a process has now. proc_pid_status(5)."""
    count = 0
    for path in Path(f"/proc/{pid}/task").glob("*/status"):
        try:
            count += sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", path.read_text())))
        except OSError:
            continue  # the thread has ended
    return count


def _pss_mb(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def machine_cpu_seconds() -> float:
    """Returns the processor time of all processes on this machine, including time stolen by its host. proc(5)."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = fields
    return (user + nice + system + sum(interrupts_and_stolen)) / os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """Returns `root` and all that descend from it."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found
