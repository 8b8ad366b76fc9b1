"""Units with a file: what systemd reads of it, and that they are back after a reboot without the user data."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from rehearsal.instances.machine import Machine
from rehearsal.sandbox.properties import PropertyNotRehearsed, read_unit, variables_of
from rehearsal.sandbox.units import NOT_FOUND
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
UNIT = ROOT / "serving" / "petpark.service"
TIMEOUT_SECONDS = 60.0


class Booted(Protocol):
    machine: Machine

    def wait(self, event: str, **detail: Any) -> dict[str, Any]: ...
    def console(self) -> str: ...


Boot = Callable[..., Booted]

ECHO = """#!/bin/bash
cat > "$PETPARK_HOME/park.service" <<END
[Unit]
Description=says who it is
[Service]
EnvironmentFile=$PETPARK_HOME/park.env
CacheDirectory=park
ExecStart=sh -c 'echo says; env'
[Install]
WantedBy=multi-user.target
END
echo 'PARK="a \\"b\\" c"' > "$PETPARK_HOME/park.env"
echo once >> "$PETPARK_HOME/boots"
systemctl enable "$PETPARK_HOME/park.service"
systemctl start park
"""


def _reboot(boot: Boot, booted: Booted) -> Booted:
    booted.machine.halt(0.5)
    booted.wait("halted")
    return boot("")


def test_an_enabled_unit_is_back_after_a_reboot_and_the_user_data_is_not(boot: Boot) -> None:
    booted = boot(ECHO)
    booted.wait("unit", name="park", state="ended", code=0)
    again = _reboot(boot, booted)
    again.wait("unit", name="park", state="ended", code=0)
    sandbox = again.machine.sandbox
    lines = (sandbox / "journal" / "park.log").read_text().splitlines()
    assert lines.count("says") == 2
    assert lines.count('PARK=a "b" c') == 2
    assert lines.count(f"CACHE_DIRECTORY={sandbox}/var/cache/park") == 2
    assert (sandbox / "opt" / "petpark" / "boots").read_text() == "once\n"
    assert "user data ended" not in again.console().rpartition("halting")[2]


def test_a_unit_of_systemd_run_is_gone_after_a_reboot(boot: Boot) -> None:
    booted = boot("#!/bin/sh\nsystemd-run --unit=passing true\n")
    booted.wait("unit", name="passing", state="ended")
    again = _reboot(boot, booted)
    again.wait("up")
    machine = again.machine
    asked = subprocess.run(
        ["systemctl", "status", "passing"], env=dict(machine.environment), check=False, timeout=TIMEOUT_SECONDS
    )
    assert asked.returncode == NOT_FOUND


def test_a_unit_that_cannot_be_read_at_boot_is_told_and_hinders_nothing(boot: Boot) -> None:
    booted = boot(ECHO)
    booted.wait("unit", name="park", state="ended")
    (booted.machine.sandbox / "opt" / "petpark" / "park.env").unlink()
    again = _reboot(boot, booted)
    again.wait("up")
    booted_again = again.machine
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while "park.service: " not in booted_again.console.read_text().rpartition("halting")[2]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert len(booted_again.processes()) == 1


def test_a_restarted_unit_is_as_its_file_says_now(boot: Boot) -> None:
    changed = ECHO + 'sleep 0.3; sed -i s/says/asks/ "$PETPARK_HOME/park.service"; systemctl restart park\n'
    booted = boot(changed)
    booted.wait("unit", name="park", state="ended")
    booted.wait("unit", name="park", state="ended")
    assert "asks" in (booted.machine.sandbox / "journal" / "park.log").read_text()


@pytest.mark.parametrize(
    "line",
    ["PrivateNetwork=yes", "ExecStart=echo $HOME", "Environment=A=%h", "no equals sign", "ExecStart=true \\"],
)
def test_what_a_unit_asks_that_is_not_rehearsed_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "park.service"
    file.write_text(f"[Service]\n{line}\n")
    with pytest.raises(PropertyNotRehearsed):
        read_unit(file, sandbox=tmp_path)


def test_a_unit_without_a_command_is_refused(tmp_path: Path) -> None:
    (tmp_path / "park.service").write_text("[Service]\nUser=petpark\n")
    with pytest.raises(PropertyNotRehearsed, match="no ExecStart"):
        read_unit(tmp_path / "park.service", sandbox=tmp_path)


@pytest.mark.parametrize("text", ["A=b\n", "A='b'\n", 'A="b', 'A="b" # c\n', 'export A="b"\n'])
def test_variables_that_are_not_written_as_ours_are_refused(text: str) -> None:
    with pytest.raises(PropertyNotRehearsed):
        variables_of(text)


def test_the_endpoints_unit_is_not_root_and_starts_again_for_ever(tmp_path: Path) -> None:
    told = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and line[0] not in "#[")
    assert (told["DynamicUser"], told["NoNewPrivileges"], told["ProtectSystem"]) == ("yes", "yes", "strict")
    assert (told["Restart"], told["StartLimitIntervalSec"]) == ("always", "0")
    assert told["WantedBy"] == "multi-user.target"
    # A GPU is a device, and its libraries compile as they run.
    assert not {"PrivateDevices", "ProtectClock", "DeviceAllow", "MemoryDenyWriteExecute"} & set(told)


def test_the_real_endpoint_answers_again_after_a_reboot_of_its_instance(boot: Boot, tmp_path: Path) -> None:
    """The repository's own `bootstrap.sh`, unit and server; the user data of the first boot only starts them."""
    port = free_port()
    code = tmp_path / "i-0123456789abcdef0" / "opt" / "petpark" / "code"
    code.mkdir(parents=True)
    shutil.copy(ROOT / "bootstrap.sh", code)
    for part in ("imaging", "registry", "serving"):
        (code / part).symlink_to(ROOT / part)
    first = boot(
        "#!/bin/bash\n"
        "export AWS_DEFAULT_REGION=eu-west-1 AWS_ENDPOINT_URL=http://127.0.0.1:9 PETPARK_MODEL_STORE=store\n"
        f"export PETPARK_MODEL=pets PETPARK_CHANNEL=test PETPARK_REQUIRE_CERTIFICATE=false PETPARK_PORT={port}\n"
        'export PETPARK_API_KEYS=open\nbash "$PETPARK_HOME/code/bootstrap.sh" serving\n'
    )
    assert first.wait("user-data")["code"] == 0, first.console()
    _await_life(first, port)
    second = _reboot(boot, first)
    _await_life(second, port)
    (link,) = (second.machine.sandbox / "etc").rglob("*.wants/*")
    assert link.resolve() == second.machine.sandbox / "opt" / "petpark" / "petpark.service"


def _await_life(booted: Booted, port: int) -> None:
    """Wait until the instance's endpoint says that it is alive; it listens on the instance's address only."""
    url = f"http://{booted.machine.metadata.address}:{port}/healthz/live"
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            assert httpx.get(url, timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            journal = booted.machine.sandbox / "journal" / "petpark.log"
            assert time.monotonic() < deadline, journal.read_text() if journal.exists() else booted.console()
            time.sleep(0.05)
        else:
            return
