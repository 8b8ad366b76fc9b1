"""`preview`, `up`, `refresh` and `destroy`: by the embedded engine if an emulator is named, else as a script says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests import pulumi_stand_in
from tests.pulumi_stand_in.backend import Backend, CommandFailed, Project, unlock
from tests.pulumi_stand_in.result import Content, EventLog, Kind, Result

_CANCELLED = "update canceled"
_AS_PULUMI_SAYS: Mapping[str, str] = {"create": "+", "update": "~", "replace": "+-", "delete": "-", "same": " "}
_DONE: Mapping[str, str] = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "same": "unchanged",
}


def run(kind: Kind, stack: str, given: Any) -> int:
    """Run one operation as the CLI does, and return its exit status."""
    backend, project = Backend(), Project.here()
    recorded = backend.read(project, stack)
    unlock(project.settings(stack))
    streamed = given.json and (kind != "preview" or bool(os.environ.get("PULUMI_ENABLE_STREAMING_JSON_PREVIEW")))
    log = EventLog(given.event_log, printed=streamed)
    log.write("preludeEvent", {"config": {}})
    emulator = os.environ.get(pulumi_stand_in.EMULATOR)
    started = time.time()
    only_shown = kind == "preview" or getattr(given, "preview_only", False)
    with _locked(backend.lock(project, stack), only_shown=only_shown):
        if emulator:
            from tests.pulumi_stand_in import embedded  # the SDK takes a second to load

            result = embedded.run(kind, stack, backend, project, emulator, log, quiet=given.json, only_shown=only_shown)
        else:
            result = _scripted(kind, recorded, log)
    outcome = "failed" if result.errors else "succeeded"
    summary = {"maybeCorrupt": False, "durationSeconds": round(result.seconds), "resourceChanges": dict(result.changes)}
    log.write("summaryEvent", {**summary, "isPreview": only_shown, "result": outcome})
    log.write("cancelEvent", {})
    if not only_shown:
        entry = {
            "kind": {"up": "update"}.get(kind, kind),
            "startTime": _moment(started),
            "endTime": _moment(time.time()),
            "message": "",
            "environment": {},
            "config": {},
            "result": outcome,
            "version": len(recorded["history"]) + 1,
            "resourceChanges": dict(result.changes),
        }
        backend.write(project, stack, {**asdict(result.content), "history": [entry, *recorded["history"]]})
    if given.json and not streamed:
        print(json.dumps(_report(result), indent=2))
    elif not given.json:
        print("\n".join(_summary(kind, result)))
        for error in result.errors:
            print(f"error: {error}", file=sys.stderr)
    return 1 if result.errors else 0


@contextmanager
def _locked(lock: Path, *, only_shown: bool) -> Generator[None]:
    """The file backend's lock: a file that stays if the process is killed, until `pulumi cancel`."""
    if only_shown:
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


# --- a script -------------------------------------------------------------------------------------------------------


def _scripted(kind: Kind, recorded: Mapping[str, Any], log: EventLog) -> Result:
    """How the operation ends by the script: `{<kind>: {...}}`, every key optional.

    `changes`: op to count. `resources`, `outputs`, `secrets` (names of outputs): what the stack then has. `finished`:
    URNs of events. `events`: the metadata of others. `steps`: those that `preview --json` prints. `errors`:
    diagnostics, with which it fails.
    `says`: text on standard error, with which it fails. `children`: number of processes that run meanwhile, each in a
    process group of its own, as the language host does.
    `waits`: a file to write when it has begun; it then runs until a signal comes, and `ignores` lists those that it
    ignores. `crash`: true to end by SIGKILL.
    """
    file = os.environ.get(pulumi_stand_in.SCRIPT)
    script: dict[str, Any] = json.loads(Path(file).read_text()).get(kind, {}) if file else {}
    children = [subprocess.Popen(["sleep", "600"], process_group=0) for _ in range(script.get("children", 0))]
    for urn in script.get("finished", ()):
        log.write("resOutputsEvent", {"metadata": {"op": "create", "urn": urn, "type": urn.split("::")[2]}})
    for metadata in script.get("events", ()):
        log.write("resOutputsEvent", {"metadata": {"type": metadata["urn"].split("::")[2], **metadata}})
    if script.get("crash"):
        os.kill(os.getpid(), signal.SIGKILL)
    if says := script.get("says"):
        raise CommandFailed(says)
    errors: list[str] = list(script.get("errors", ()))
    if "waits" in script:
        _wait_for_a_signal(Path(script["waits"]), children, script.get("ignores", ()))
        errors.append(_CANCELLED)
    for child in children:
        child.kill()
        child.wait()
    for error in errors:
        log.write("diagnosticEvent", {"message": f"{error}\n", "color": "never", "severity": "error"})
    if kind == "destroy" and not errors:
        content = Content()
    else:
        content = Content(**{key: script.get(key, recorded[key]) for key in ("resources", "outputs", "secrets")})
    return Result(
        changes=script.get("changes", {}), content=content, errors=tuple(errors), steps=script.get("steps", ())
    )


def _wait_for_a_signal(told: Path, children: list[subprocess.Popen[bytes]], ignored: Any) -> None:
    """Wait for SIGINT or SIGTERM, as an operation under way does."""
    ended = threading.Event()
    for name in ("SIGINT", "SIGTERM"):
        handler = signal.SIG_IGN if name in ignored else lambda *_: ended.set()
        signal.signal(getattr(signal, name), handler)
    pids = json.dumps([os.getpid(), *(child.pid for child in children)])
    (draft := told.with_suffix(".draft")).write_text(pids)
    draft.rename(told)
    ended.wait()


# --- what people read -----------------------------------------------------------------------------------------------


def _report(result: Result) -> dict[str, Any]:
    report = {"config": {}, "steps": list(result.steps), "duration": round(result.seconds * 1e9)}
    report |= {"changeSummary": dict(result.changes)}
    return report | {"diagnostics": [{"message": error, "severity": "error"} for error in result.errors]}


def _summary(kind: Kind, result: Result) -> Iterator[str]:
    outputs = result.content.outputs
    if outputs and not result.errors:
        yield "Outputs:"
        width = max(map(len, outputs))
        for name, value in outputs.items():
            shown = "[secret]" if name in result.content.secrets else value
            yield f"    {name:<{width}}: {json.dumps(shown, indent=4)}"
        yield ""
    yield "Resources:"
    for op, count in result.changes.items():
        word = f"to {op}" if kind == "preview" and op != "same" else _DONE.get(op, op)
        yield f"    {_AS_PULUMI_SAYS.get(op, ' ')} {count} {word}"
    if kind != "preview":
        yield f"\nDuration: {result.seconds:.0f}s"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))
