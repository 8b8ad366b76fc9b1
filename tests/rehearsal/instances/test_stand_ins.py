import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from rehearsal.instances.machine import Machine
from rehearsal.sandbox.units import Unit

TIMEOUT_SECONDS = 60.0


class Booted(Protocol):
    machine: Machine

    def wait(self, event: str, **detail: Any) -> dict[str, Any]: ...
    def console(self) -> str: ...


Boot = Callable[..., Booted]


def test_a_unit_gets_its_own_environment_and_not_its_callers(boot: Boot) -> None:
    booted = boot(
        "#!/bin/bash\nexport SECRET=x\n"
        "systemd-run --unit=park --property=Environment='A=1 B=\"2 3\"' --setenv=C=4 --working-directory=/usr "
        "sh -c 'env; pwd'\n"
    )
    booted.wait("unit", name="park", state="ended", code=0)
    output = (booted.machine.sandbox / "journal" / "park.log").read_text().splitlines()
    assert {"A=1", "B=2 3", "C=4", "/usr"} <= set(output)
    assert not any(line.startswith("SECRET") for line in output)


def test_a_unit_listens_on_its_instances_address_even_when_told_to_listen_on_all(boot: Boot) -> None:
    booted = boot("#!/bin/bash\nsystemd-run --unit=park --setenv=PETPARK_HOST=0.0.0.0 sh -c 'echo $PETPARK_HOST'\n")
    booted.wait("unit", name="park", state="ended", code=0)
    output = (booted.machine.sandbox / "journal" / "park.log").read_text()
    assert output.strip() == booted.machine.metadata.address


def test_a_unit_that_is_killed_starts_again_after_all_of_it_has_ended(boot: Boot) -> None:
    booted = boot(
        "#!/bin/bash\nsystemd-run --unit=park --property=Restart=always --property=RestartSec=100ms "
        "bash -c 'sleep 1000 & echo $$ $! up; wait'\n"
    )
    booted.wait("unit", name="park", state="started")
    journal = booted.machine.sandbox / "journal" / "park.log"
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (journal.exists() and "up" in journal.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    main, helper = (int(pid) for pid in journal.read_text().split()[:2])
    os.kill(main, signal.SIGKILL)

    booted.wait("unit", name="park", state="ended", code=-9)
    booted.wait("unit", name="park", state="started")
    assert not {main, helper} & set(booted.machine.processes())
    assert len(booted.machine.processes()) >= 2


@pytest.mark.parametrize(
    ("restart", "code", "again"), [("always", 0, True), ("on-failure", 0, False), ("no", 1, False)]
)
def test_a_unit_restarts_as_its_property_says(restart: str, code: int, *, again: bool) -> None:
    unit = Unit(
        name="u",
        command=[],
        environment={},
        directory="/",
        restart=restart,
        restart_seconds=1,
        stop_seconds=1,
        code=code,
    )
    assert unit.restarts() == again


def test_quick_failures_wait_longer_and_longer_up_to_a_limit() -> None:
    unit = Unit(
        name="u",
        command=[],
        environment={},
        directory="/",
        restart="always",
        restart_seconds=0.1,
        stop_seconds=1,
    )
    delays: list[float] = []
    for unit.failures in range(1, 9):
        delays.append(unit.delay())
    assert delays[0] == 0.1
    assert delays == sorted(delays)
    assert delays[-1] == 5.0


def test_units_are_stopped_started_and_asked_about(boot: Boot) -> None:
    booted = boot(
        """#!/bin/bash
systemd-run --unit=park --collect sleep 1000
systemctl is-active park.service
systemctl stop park; systemctl is-active park; echo "is-active: $?"
systemctl start park; systemctl restart park; systemctl status park
systemctl status nobody; echo "status: $?"
journalctl -u park -n 5; journalctl -u nobody; echo "journalctl: $?"
"""
    )
    booted.wait("user-data", code=0)
    console = booted.console()
    assert "Running as unit: park.service" in console
    assert "\nactive\n" in console
    assert "inactive\nis-active: 3" in console
    assert "active (running)" in console or "park.service: inactive, last exit code -15" in console
    assert "no file was enabled and systemd-run did not make it" in console
    assert "status: 5" in console
    assert "journalctl: 1" in console


def test_a_unit_that_is_told_to_stop_has_the_time_that_its_property_says(boot: Boot) -> None:
    slow = "bash -c 'trap \"sleep 1; exit 7\" TERM; while :; do sleep 0.05; done'"
    booted = boot(
        f"""#!/bin/bash
systemd-run --unit=hasty --property=TimeoutStopSec=100ms {slow}
systemd-run --unit=patient --property=TimeoutStopSec=1min {slow}
sleep 0.5; systemctl stop hasty patient
"""
    )
    booted.wait("unit", name="hasty", state="ended", code=-9)
    booted.wait("unit", name="patient", state="ended", code=7)


@pytest.mark.parametrize(
    "command",
    [
        "dnf install git",
        "systemctl enable park",
        "systemctl enable --now /etc/park.service",
        "systemctl disable park",
        "systemd-run --scope true",
        "systemd-run --property=PrivateNetwork=yes true",
        "shutdown -r now",
        "journalctl --since today",
    ],
)
def test_what_is_not_rehearsed_is_refused_with_a_sentence(boot: Boot, command: str) -> None:
    booted = boot(f"#!/bin/bash\n{command}\n")
    assert booted.wait("user-data")["code"] == 64
    assert "not rehearsed" in booted.console()


def test_a_stand_in_outside_an_instance_does_nothing(boot: Boot, tmp_path: Path) -> None:
    boot("#!/bin/sh\n")
    answer = subprocess.run(
        [tmp_path / "bin" / "shutdown", "-h", "now"],
        env={},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert answer.returncode == 64
    assert "PETPARK_SANDBOX is not set" in answer.stderr
