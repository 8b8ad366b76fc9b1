"""Operations by the embedded engine, in an emulator on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rehearsal.engine import DeploymentFailed, EmbeddedEngine, EngineError, Event
from rehearsal.engine.display import lines
from tests.pulumi_stand_in.backend import Backend, Project
from tests.pulumi_stand_in.result import Content, EventLog, Kind, Result


def _credentials() -> dict[str, str]:
    """Of the environment, as the provider finds them; else the administrator's."""
    names = {
        "aws:accessKey": "AWS_ACCESS_KEY_ID",
        "aws:secretKey": "AWS_SECRET_ACCESS_KEY",
        "aws:token": "AWS_SESSION_TOKEN",
    }
    given = {key: os.environ[name] for key, name in names.items() if os.environ.get(name)}
    return given or {"aws:accessKey": "test", "aws:secretKey": "test"}


def _engine(stack: str, states: Path, project: Project, emulator: str, on_event: Any = None) -> EmbeddedEngine:
    settings = {
        **_credentials(),
        "aws:skipCredentialsValidation": "true",
        "aws:skipMetadataApiCheck": "true",
        "aws:s3UsePathStyle": "true",
        "aws:maxRetries": "5",
        "aws:endpoints": emulator,
    }
    return EmbeddedEngine(
        project.root,
        state_dir=states,
        config={stack: settings},
        passphrase=os.environ.get("PULUMI_CONFIG_PASSPHRASE", ""),
        on_event=on_event,
    )


def run(
    kind: Kind,
    stack: str,
    backend: Backend,
    project: Project,
    emulator: str,
    log: EventLog,
    *,
    quiet: bool,
    only_shown: bool,
) -> Result:
    """Deploy into the emulator; `quiet` leaves standard output to JSON, `only_shown` the state as it was."""

    def handle_event(event: Event) -> None:
        for line in lines(event, kind):
            print(line, file=sys.stderr if quiet else None, flush=True)
        if event.step is not None and event.kind == "finished":
            step = event.step
            told: dict[str, Any] = {"op": step.op, "urn": step.urn, "type": step.type, "provider": ""}
            told |= {when: {"outputs": {c.path: getattr(c, when) for c in step.changes}} for when in ("old", "new")}
            log.write("resOutputsEvent", {"metadata": told, "planning": kind == "preview"})
        elif event.kind == "failed" or event.severity == "error":
            log.write("diagnosticEvent", {"message": event.text, "color": "never", "severity": "error"})

    with _state(backend, copied=only_shown and kind != "preview") as folder:
        return _carry_out(kind, stack, _engine(stack, folder, project, emulator, handle_event))


@contextmanager
def _state(backend: Backend, *, copied: bool) -> Generator[Path]:
    """The engine's states; a copy for operations that must not change them."""
    folder = backend.folder / "embedded"
    if not copied:
        yield folder
        return
    with tempfile.TemporaryDirectory(dir=backend.folder) as other:
        shutil.copytree(folder, other, dirs_exist_ok=True)
        yield Path(other)


def _carry_out(kind: Kind, stack: str, engine: EmbeddedEngine) -> Result:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: engine.cancel())
    operation = {"preview": engine.preview, "up": engine.up, "refresh": engine.refresh, "destroy": engine.destroy}
    try:
        update = operation[kind](stack)
    except DeploymentFailed as failure:
        update = failure.update
    except EngineError as error:
        return Result(changes={}, content=_deployed(stack, engine), errors=(str(error),))
    return Result(
        changes=update.changes, content=_deployed(stack, engine), errors=update.errors, seconds=update.seconds
    )


def _deployed(stack: str, engine: EmbeddedEngine) -> Content:
    try:
        found = engine.resources(stack)
    except EngineError:
        return Content()
    resources = [
        {
            "urn": resource.urn,
            "type": resource.type,
            "custom": bool(resource.id),
            "id": resource.id,
            "parent": resource.parent,
            "dependencies": list(resource.dependencies),
            "outputs": dict(resource.outputs),
        }
        for resource in found
    ]
    shown = engine.outputs(stack) if resources else {}
    outputs = engine.outputs(stack, show_secrets=True) if resources else {}
    secrets = [name for name in outputs if shown[name] != outputs[name]]
    return Content(resources=resources, outputs=outputs, secrets=secrets)
