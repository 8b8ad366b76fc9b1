"""`preview`, `up`, `refresh` and `destroy`: by the embedded engine if an emulator is named, else as a script says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from rehearsal.engine import DeploymentFailed, EmbeddedEngine, EngineError, Event
from rehearsal.engine.digest import of
from rehearsal.engine.display import lines
from rehearsal.engine.events import Update
from tests import pulumi_stand_in
from tests.pulumi_stand_in.backend import Backend, CommandFailed, Project, unlock

type Kind = Literal["preview", "up", "refresh", "destroy"]

_CANCELLED = "operation canceled"
_AS_PULUMI_SAYS: Mapping[str, str] = {"create": "+", "update": "~", "replace": "+-", "delete": "-", "same": " "}
_DONE: Mapping[str, str] = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "same": "unchanged",
}


class EventLog:
    """The file of `--event-log`: a line of JSON for each engine event (apitype.EngineEvent)."""

    def __init__(self, file: str | None) -> None:
        self._file = Path(file) if file else None
        self._sequence = 0

    def write(self, kind: str, content: Mapping[str, Any]) -> None:
        """Append one event."""
        if self._file is None:
            return
        entry = {"sequence": self._sequence, "timestamp": int(time.time()), kind: content}
        self._sequence += 1
        with self._file.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def run(kind: Kind, stack: str, given: Any) -> int:
    """Run one operation as the CLI does, and return its exit status."""
    backend, project = Backend(), Project.here()
    recorded = backend.read(project, stack)
    unlock(project.settings(stack))
    log = EventLog(given.event_log)
    log.write("preludeEvent", {"config": {}})
    emulator = os.environ.get(pulumi_stand_in.EMULATOR)
    started = time.time()
    with _locked(backend.lock(project, stack), kind):
        if emulator:
            update = _embedded(kind, stack, backend, project, emulator, log, quiet=given.json)
            content = _deployed(stack, backend, project)
        else:
            update, content = _scripted(kind, stack, recorded, log)
    log.write(
        "summaryEvent",
        {"maybeCorrupt": False, "durationSeconds": round(update.seconds), "resourceChanges": dict(update.changes)},
    )
    log.write("cancelEvent", {})
    if kind != "preview":
        result = {
            "kind": {"up": "update"}.get(kind, kind),
            "startTime": _moment(started),
            "endTime": _moment(time.time()),
            "message": "",
            "environment": {},
            "config": {},
            "result": "succeeded" if update.ok else "failed",
            "version": len(recorded["history"]) + 1,
            "resourceChanges": dict(update.changes),
        }
        history = [result, *recorded["history"]]
        backend.write(project, stack, {**content, "history": history})
    if given.json:
        print(json.dumps(of(update), indent=2))
    else:
        print("\n".join(_summary(update)))
    for error in update.errors:
        print(f"error: {error}", file=_stderr())
    return 0 if update.ok else 255


@contextmanager
def _locked(lock: Path, kind: Kind) -> Generator[None]:
    """The file backend's lock: a file that stays if the process is killed, until `pulumi cancel`."""
    if kind == "preview":
        yield
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with lock.open("x") as file:
            json.dump({"pid": os.getpid()}, file)
    except FileExistsError:
        raise CommandFailed(
            "the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the "
            f"lock file with `pulumi cancel`.\n  {lock}"
        ) from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


# --- an emulator --------------------------------------------------------------------------------------------------


def _engine(stack: str, backend: Backend, project: Project, emulator: str, on_event: Any = None) -> EmbeddedEngine:
    settings = {
        "aws:accessKey": "test",
        "aws:secretKey": "test",
        "aws:skipCredentialsValidation": "true",
        "aws:skipMetadataApiCheck": "true",
        "aws:s3UsePathStyle": "true",
        "aws:maxRetries": "5",
        "aws:endpoints": emulator,
    }
    return EmbeddedEngine(
        project.root,
        state_dir=backend.folder / "embedded",
        config={stack: settings},
        passphrase=os.environ.get("PULUMI_CONFIG_PASSPHRASE", ""),
        on_event=on_event,
    )


def _embedded(
    kind: Kind, stack: str, backend: Backend, project: Project, emulator: str, log: EventLog, *, quiet: bool
) -> Update:
    def hear(event: Event) -> None:
        for line in lines(event, kind):
            print(line, file=_stderr() if quiet else None, flush=True)
        if event.step is not None and event.kind == "finished":
            step = event.step
            told = {"op": step.op, "urn": step.urn, "type": step.type, "provider": ""}
            log.write("resOutputsEvent", {"metadata": told, "planning": kind == "preview"})
        elif event.kind == "failed" or event.severity == "error":
            log.write("diagnosticEvent", {"message": event.text, "color": "never", "severity": "error"})

    engine = _engine(stack, backend, project, emulator, hear)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: engine.cancel())
    operation = {"preview": engine.preview, "up": engine.up, "refresh": engine.refresh, "destroy": engine.destroy}
    try:
        return operation[kind](stack)
    except DeploymentFailed as failure:
        return failure.update
    except EngineError as error:
        return _failed(kind, stack, str(error))


def _deployed(stack: str, backend: Backend, project: Project) -> dict[str, Any]:
    """What `stack export` and `stack output` show: resources, outputs, and which of these are secret."""
    engine = _engine(stack, backend, project, "http://127.0.0.1:1")
    try:
        found = engine.resources(stack)
    except EngineError:
        return {"resources": [], "outputs": {}, "secrets": []}
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
    return {"resources": resources, "outputs": outputs, "secrets": secrets}


# --- a script -------------------------------------------------------------------------------------------------------


def _scripted(kind: Kind, stack: str, recorded: Mapping[str, Any], log: EventLog) -> tuple[Update, dict[str, Any]]:
    """How the operation ends by the script: `{<kind>: {...}}`, every key optional.

    `changes`: op to count. `resources`, `outputs`, `secrets` (names of outputs): what the stack then has. `finished`:
    URNs of events. `errors`: diagnostics, with which it fails. `children`: number of processes that run meanwhile.
    `waits`: a file to write when it has begun; it then runs until a signal comes, and `ignores` lists those that it
    ignores. `crash`: true to end by SIGKILL.
    """
    file = os.environ.get(pulumi_stand_in.SCRIPT)
    script: dict[str, Any] = json.loads(Path(file).read_text()).get(kind, {}) if file else {}
    children = [subprocess.Popen(["sleep", "600"]) for _ in range(script.get("children", 0))]
    for urn in script.get("finished", ()):
        log.write("resOutputsEvent", {"metadata": {"op": "create", "urn": urn, "type": "", "provider": ""}})
    if script.get("crash"):
        os.kill(os.getpid(), signal.SIGKILL)
    errors: list[str] = list(script.get("errors", ()))
    if "waits" in script and not _interrupted(Path(script["waits"]), children, script.get("ignores", ())):
        errors.append(_CANCELLED)
    for child in children:
        child.kill()
        child.wait()
    for error in errors:
        log.write("diagnosticEvent", {"message": error, "color": "never", "severity": "error"})
    gone: dict[str, Any] = {"resources": [], "outputs": {}, "secrets": []}
    content: dict[str, Any] = (
        gone if kind == "destroy" and not errors else {key: script.get(key, recorded[key]) for key in gone}
    )
    update = Update(
        kind=kind,
        stack=stack,
        ok=not errors,
        changes=script.get("changes", {}),
        outputs=content["outputs"],
        steps=(),
        errors=tuple(errors),
        seconds=0.0,
    )
    return update, content


def _interrupted(told: Path, children: list[subprocess.Popen[bytes]], ignored: Any) -> bool:
    """Wait for SIGINT or SIGTERM, as an operation under way does; False when one came."""
    ended = threading.Event()
    for name in ("SIGINT", "SIGTERM"):
        handler = signal.SIG_IGN if name in ignored else lambda *_: ended.set()
        signal.signal(getattr(signal, name), handler)
    told.write_text(json.dumps([os.getpid(), *(child.pid for child in children)]))
    ended.wait()
    return False


def _failed(kind: Kind, stack: str, message: str) -> Update:
    return Update(kind=kind, stack=stack, ok=False, changes={}, outputs={}, steps=(), errors=(message,), seconds=0.0)


def _summary(update: Update) -> Iterator[str]:
    if update.ok and update.outputs:
        yield "Outputs:"
        width = max(map(len, update.outputs))
        for name, value in update.outputs.items():
            text = json.dumps(value) if isinstance(value, str) else json.dumps(value, indent=4)
            yield f"    {name:<{width}}: {text}"
        yield ""
    yield "Resources:"
    for op, count in update.changes.items():
        word = f"to {op}" if update.kind == "preview" and op != "same" else _DONE.get(op, op)
        yield f"    {_AS_PULUMI_SAYS.get(op, ' ')} {count} {word}"
    if update.kind != "preview":
        yield f"\nDuration: {update.seconds:.0f}s"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def _stderr() -> Any:
    import sys

    return sys.stderr
