"""The camera agent on an endpoint's instance: a unit around `python -m camera`, as on a machine in the park."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import yaml

from petpark.endpoints import cameras
from rehearsal.instances import InstanceRunner

UNIT = "petpark-camera"
_ENDS_WITHIN = 25.0
"""A stopping agent records and forwards its last events first."""
_TIMEOUT_SECONDS = 60.0
_VISIT_SECONDS = 30.0
"""Animals pass all the time, but the model need not be certain of any."""
_PATIENT_WITH_METADATA = ("AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS")
"""As the user data sets them for the endpoint: SDKs request credentials once, for a second, by default."""


class CameraSilent(Exception):
    """The agent did not show, in the time that it had, that the endpoint answers what its camera sees."""


class CameraAgent:
    """Runs on `instance_id`, in its role, while the block does. `settings`: as in `docs/design/camera.md`."""

    def __init__(
        self, runner: InstanceRunner, instance_id: str, settings: Mapping[str, Any], *, api_key: str | None = None
    ) -> None:
        self._runner = runner
        self._instance_id = instance_id
        self._settings = settings
        self._api_key = api_key
        self._port = _free_port()

    def __enter__(self) -> Self:
        disk = self._runner.sandbox(self._instance_id)
        home = disk / "home" / "camera"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = {**self._settings, "home": str(home), "port": self._port}
        if self._api_key is not None:
            key = home / "api-key"
            key.touch(mode=0o600)
            key.write_text(self._api_key)
            settings["api_key_file"] = str(key)
        file = home / "cameras.yaml"
        file.write_text(yaml.safe_dump(settings, sort_keys=False))
        code = disk / "opt" / "petpark" / "code"
        self._call(
            "systemd-run",
            f"--unit={UNIT}",
            "--property=Restart=on-failure",
            f"--property=TimeoutStopSec={_ENDS_WITHIN:.0f}",
            f"--working-directory={code}",
            *(f"--setenv={variable}=5" for variable in _PATIENT_WITH_METADATA),
            sys.executable,
            "-m",
            "camera",
            str(file),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.end()  # a rehearsal that fails ends the instance, and everything on it

    def await_visit(self) -> Mapping[str, Any]:
        """The agent's status after a visit has begun, or after frames were answered but no animal was recognised.

        Raises `CameraSilent` if no frame is answered.
        """
        began = time.monotonic()
        deadline = began + _TIMEOUT_SECONDS
        pause = threading.Event()
        why = ""
        while time.monotonic() < deadline:
            try:
                state = cameras.ask_agent(f"http://127.0.0.1:{self._port}")
            except cameras.AgentSilent as error:
                why = str(error)
            else:
                camera = state["cameras"][0]
                visited = camera["visits"] or camera["visiting"]
                if camera["frames"]["classified"] and (visited or time.monotonic() > began + _VISIT_SECONDS):
                    return state
                why = f"It says {camera}."
            pause.wait(0.1)
        journal = self._runner.journal(self._instance_id, UNIT)
        raise CameraSilent(f"No frame was answered in {_TIMEOUT_SECONDS:.0f} s. {why} The agent's log is {journal}.")

    def end(self) -> None:
        """Stop it, and wait until its last events are on their way. Raises `CommandFailed`."""
        self._call("systemctl", "stop", UNIT)

    def _call(self, *command: str) -> None:
        self._runner.execute(self._instance_id, command, timeout=_ENDS_WITHIN + _TIMEOUT_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
