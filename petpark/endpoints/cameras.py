"""The camera agent for operators: start it here, query it over HTTP, read its events from disk or data lake."""

from __future__ import annotations

import importlib.util
import json
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import httpx

from petpark.errors import NOT_SO, OperatorError
from registry.layout.data_lake import events_prefix
from registry.layout.roles import Role
from registry.layout.variables import Variable
from registry.masking import shown_address

if TYPE_CHECKING:
    from camera.capture.collect import Collected, CollectionPlan
    from camera.delivery.spool import SpoolCounts, Spooled, Unreadable
    from camera.settings import AgentSettings
    from petpark.targets.target import Target

_LIBRARIES = ("av", "cv2", "granian", "prometheus_client", "starlette")
_TIMEOUT = httpx.Timeout(5.0, connect=2.0)
_STATE = "petpark/camera"
_AT_ONCE = 8
_SHOWN: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("at", "camera", "label", "kind", "recorded_at"), str),
    **dict.fromkeys(("score", "seconds"), (int, float)),
    "why": (str, type(None)),
    "sequence": int,
}
"""Fields of an event that are shown or sorted by."""


class LibrariesMissing(OperatorError):
    """The agent's libraries are not installed."""


class FolderRefused(OperatorError):
    """Collected frames cannot be written."""


class AgentSilent(OperatorError):
    """No camera agent responds."""

    exit_code = NOT_SO


def default_home() -> Path:
    """Returns the folder of events: in the install root on an instance, otherwise in the user's state directory.

    https://specifications.freedesktop.org/basedir-spec/latest/
    """
    if root := os.environ.get(Variable.HOME):
        return Path(root) / "camera"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / _STATE


def settings_of(config: Path | None, sources: Sequence[str], overrides: Mapping[str, object]) -> AgentSettings:
    """Returns the settings of a file, or of the command line without a file. Raises `SettingsInvalid`."""
    from camera.settings import SettingsInvalid, load_settings, parse_settings, parse_source

    options = {name: value for name, value in overrides.items() if value is not None}
    if sources:
        options["cameras"] = [parse_source(source) for source in sources]
    if config is not None:
        return load_settings(config, overrides=options)
    if not sources:
        raise SettingsInvalid(
            "No camera is named: --source gate=rtsp://192.0.2.7/stream1 (may be repeated), or --config FILE."
        )
    return parse_settings(options, where="the command line", defaults={"home": str(default_home())})


def run_agent(settings: AgentSettings) -> NoReturn:
    """Run an agent until it gets a signal to stop, then exit this process.

    Raises `LibrariesMissing` and the errors of `camera.process.run`.
    """
    _refuse_without_libraries()
    from camera.process import run
    from serving.process_exit import end

    run(settings)
    end(0)


def collection_plan(folder: Path, *, count: int, every: float, still: float) -> CollectionPlan:
    """Returns the plan for `collect_frames`. Raises `LibrariesMissing`."""
    _refuse_without_libraries()
    from camera.capture.collect import CollectionPlan

    return CollectionPlan(folder=folder, count=count, every_seconds=every, still_seconds=still)


def _refuse_without_libraries() -> None:
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise LibrariesMissing(
            f"The camera agent needs {', '.join(missing)}, which are not installed here.",
            next_step="pip install -r requirements/camera.txt",
        )


def collect_frames(settings: AgentSettings, plan: CollectionPlan) -> Mapping[str, Collected]:
    """Collect frames without visitors until there are enough, or until Ctrl-C. Raises `FolderRefused`."""
    from camera.capture.collect import FolderUnusable, collect

    try:
        return collect(settings, plan, threading.Event())
    except FolderUnusable as error:
        raise FolderRefused(
            f"Cannot write a frame: {error}.", next_step="Name a folder that you may write to: --out FOLDER"
        ) from error


def ask_agent(url: str) -> Mapping[str, Any]:
    """Returns the status of a running agent. Raises `AgentSilent`."""
    address = f"{url.rstrip('/')}/v1/cameras"
    try:
        answer = httpx.get(address, timeout=_TIMEOUT, trust_env=False)
        facts = answer.raise_for_status().json()
        _ = facts["cameras"], facts["spool"], facts["forwarding"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise AgentSilent(
            f"No camera agent responds at {shown_address(url)}: {type(error).__name__}.",
            next_step="Start one (petpark camera run --source NAME=ADDRESS), or pass its address: --agent URL",
        ) from None
    return facts


def recorded(
    home: Path | None, *, count: int, camera: str | None
) -> tuple[list[Spooled], list[Unreadable], SpoolCounts]:
    """Returns the newest events on this machine's disk, and the invalid files. Raises `SpoolUnusable`."""
    from camera.delivery.spool import read_counts, read_events

    folder = home or default_home()
    return *read_events(folder, count=count, camera=camera), read_counts(folder)


def in_lake(target: Target, *, camera: str, day: date) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the events of one camera and one day (UTC) in the data lake, newest first, from all machines.

    Their format is in `docs/design/formats.md`. Also returns the keys of objects that are not events.
    """
    lake = target.store(target.outputs.data_lake, role=Role.PUBLISHER)

    def read(key: str) -> tuple[str, dict[str, Any] | None]:
        try:
            event: dict[str, Any] = json.loads(lake.get(key))
            known = all(isinstance(event[name], kind) for name, kind in _SHOWN.items())
        except (ValueError, KeyError, TypeError):
            known, event = False, {}
        return key, event if known else None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(read, lake.keys(events_prefix(camera, day.isoformat()))))
    events = [event for _, event in found if event is not None]
    newest = sorted(events, key=lambda event: (event["recorded_at"], event["sequence"]), reverse=True)
    return newest, [key for key, event in found if event is None]
