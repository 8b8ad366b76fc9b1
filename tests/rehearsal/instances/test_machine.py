import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from rehearsal.instances.machine import Machine, sweep

TIMEOUT_SECONDS = 60.0


class Booted(Protocol):
    machine: Machine

    def wait(self, event: str, **detail: Any) -> dict[str, Any]: ...
    def console(self) -> str: ...


Boot = Callable[..., Booted]

# Two forks, a session of its own, an empty environment and no ear for SIGTERM: as hard to find as a process can be.
RUNAWAY = "(setsid env -i /bin/sh -c \"trap '' TERM; echo runaway; exec sleep 1000\" &)"


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {TIMEOUT_SECONDS:.0f} s"
        time.sleep(0.02)


def all_ended(pids: list[int]) -> bool:
    """Whether no process is left of these but, at most, entries that nobody has collected yet."""
    return all(state(pid) in {"", "Z"} for pid in pids)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_user_data_runs_once_in_an_environment_of_its_own(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the operator's")
    booted = boot("#!/bin/bash\nenv; pwd\n[ -t 0 ] || echo no terminal\nexit 7\n")

    assert booted.wait("user-data")["code"] == 7
    console = booted.console()
    assert "the operator's" not in console
    assert f"PETPARK_HOST={booted.machine.metadata.address}" in console
    assert f"HOME={booted.machine.sandbox}/home" in console
    assert "no terminal" in console


def test_an_instance_goes_on_when_its_user_data_has_ended(boot: Boot) -> None:
    booted = boot("#!/bin/sh\ntrue\n")
    booted.wait("user-data", code=0)
    assert len(booted.machine.processes()) == 1


def test_user_data_that_is_no_script_is_not_run_and_the_console_says_so(boot: Boot) -> None:
    booted = boot("touch /nonexistent\n")
    booted.wait("up")
    assert "not a script" in booted.console()


def test_shutdown_ends_every_process_even_those_that_hide(boot: Boot) -> None:
    booted = boot(f"#!/bin/bash\n{RUNAWAY}\nread -t 1000 < <(sleep 1000)\n")
    wait_until(lambda: "runaway" in booted.console(), "the runaway process")
    pids = booted.machine.processes()
    assert len(pids) >= 4

    booted.machine.halt(0.3)
    assert booted.wait("halted")["why"] == "asked"
    assert all_ended(pids)


def test_a_process_has_time_to_end_well(boot: Boot) -> None:
    booted = boot(
        "#!/bin/bash\ntrap 'echo ended well; exit 0' TERM\necho ready\nwhile :; do read -t 0.1 <> <(:); done\n"
    )
    wait_until(lambda: "ready" in booted.console(), "the start")
    booted.machine.halt(TIMEOUT_SECONDS)
    booted.wait("halted")
    assert "ended well" in booted.console()


def test_shutdown_from_inside_halts_the_machine_and_says_that_it_did(boot: Boot) -> None:
    booted = boot("#!/bin/bash\ntrap 'shutdown -h now' EXIT\nfalse\n")
    assert booted.wait("halted")["why"] == "shutdown"


def test_a_scheduled_shutdown_comes_unless_it_is_called_off(boot: Boot) -> None:
    called_off = boot("#!/bin/sh\nshutdown -h +15; shutdown -c; sleep 3.5; echo still here\n", sandbox="i-1")
    comes = boot("#!/bin/sh\nshutdown -h +1\nsleep 1000\n", sandbox="i-2")
    assert comes.wait("halted")["why"] == "shutdown"
    called_off.wait("user-data", code=0)
    assert "still here" in called_off.console()


def test_a_machine_whose_processes_were_all_killed_has_died(boot: Boot) -> None:
    booted = boot("#!/bin/bash\necho $$ up\nsleep 1000\n")
    wait_until(lambda: "up" in booted.console(), "the start")
    for pid in booted.machine.processes()[1:]:
        os.kill(pid, signal.SIGKILL)
    assert booted.wait("halted")["why"] == "died"


def test_a_killed_child_leaves_the_rest_to_the_user_data(boot: Boot) -> None:
    booted = boot("#!/bin/bash\ntrap 'echo trapped; shutdown -h now' EXIT\nsleep 1000 & echo \"child $!\"\nwait $!\n")
    wait_until(lambda: "child" in booted.console(), "the start")
    found = re.search(r"child (\d+)", booted.console())
    assert found
    os.kill(int(found[1]), signal.SIGKILL)
    assert booted.wait("halted")["why"] == "shutdown"
    assert "trapped" in booted.console()


def test_nothing_is_left_when_the_supervisor_itself_is_killed(boot: Boot) -> None:
    booted = boot("#!/bin/bash\n(setsid sleep 1000 &)\necho up\nsleep 1000\n")
    wait_until(lambda: "up" in booted.console(), "the start")
    pids = booted.machine.processes()
    os.kill(pids[0], signal.SIGKILL)
    assert booted.wait("halted")["why"] == "killed"
    wait_until(lambda: all_ended(pids), "the end of the instance")


def test_nothing_is_left_when_the_rehearsal_has_gone(boot: Boot) -> None:
    booted = boot(f"#!/bin/bash\n{RUNAWAY}\nsleep 1000\n")
    wait_until(lambda: "runaway" in booted.console(), "the start")
    pids = booted.machine.processes()
    booted.machine._control.shutdown(socket.SHUT_RDWR)  # what the kernel does when the rehearsal is killed
    wait_until(lambda: all_ended(pids), "the end of the instance")


def test_a_sweep_ends_processes_of_its_folder_and_no_others(tmp_path: Path) -> None:
    def sleeper(folder: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "1000"], env={"PETPARK_SANDBOX": str(folder), "PATH": os.environ["PATH"]})

    with sleeper(tmp_path / "a" / "i-1") as ours, sleeper(tmp_path / "ab") as theirs:
        sweep(tmp_path / "a")
        assert ours.wait(TIMEOUT_SECONDS) == -signal.SIGKILL
        assert theirs.poll() is None
        theirs.kill()
