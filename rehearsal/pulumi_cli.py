"""The official Pulumi CLI, pointed at the emulator: the same operations as the embedded engine, by the real one.

Each stack's project is mirrored by links into a folder of its own, so that what the CLI writes (settings, encryption
salt) never touches the checkout; state is in a file backend next to it. The program runs in the environment that we
run in: nothing is installed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from petpark.errors import PulumiFailed, PulumiMissing
from petpark.loopback import direct
from petpark.targets import pulumi_cli
from registry.strict_yaml import read_yaml
from rehearsal.engine import Cancelled, DeploymentFailed, Event, StackResource, Step, Update
from rehearsal.engine.configuration import require_loopback
from rehearsal.engine.display import Operation as Kind
from rehearsal.pulumi_process import Operation

OLDEST = (3, 150)
"""The first CLI version with everything used here: `toolchain: pip`, and previews as a stream of events."""

_ENDPOINTS = "aws:endpoints"
_SECONDS = 120.0
"""Seconds for a command that changes nothing in the cloud."""

_WORDS: Mapping[Kind, tuple[str, ...]] = {
    "preview": ("preview",),
    "up": ("up", "--yes", "--skip-preview"),
    "refresh": ("refresh", "--yes", "--skip-preview"),
    "destroy": ("destroy", "--yes", "--skip-preview"),
}
_UNHEARD = ("PULUMI_STACK", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_CONFIG", "PULUMI_PYTHON_CMD")
"""Settings of the caller's own Pulumi that would redirect the CLI."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key under which Pulumi marks a special value."""


def find_cli() -> Path:
    """The `pulumi` program, wherever it is; raises `PulumiMissing`, or `PulumiFailed` for an unsuitable version."""
    program = pulumi_cli.find()
    if program is None:
        raise PulumiMissing(
            "The Pulumi CLI is not on this machine.",
            next_step="petpark doctor --install-pulumi, or: petpark rehearse --engine embedded",
        )
    printed = pulumi_cli.version(program)
    found = re.match(r"(\d+)\.(\d+)", printed)
    if found is None:
        raise PulumiFailed(
            f"{program} prints {printed!r}, which is not a version: an unknown build.",
            next_step="Install a release: petpark doctor --install-pulumi, or: petpark rehearse --engine embedded",
        )
    version = int(found[1]), int(found[2])
    if not OLDEST <= version < (OLDEST[0] + 1, 0):
        oldest = ".".join(map(str, OLDEST))
        raise PulumiFailed(
            f"{program} is version {printed}; the rehearsal needs {oldest} or newer, below {OLDEST[0] + 1}.",
            next_step="petpark doctor --install-pulumi, or: petpark rehearse --engine embedded",
        )
    return program.absolute()


class PulumiEngine:
    """`rehearsal.engine.Engine` by the Pulumi CLI that `petpark doctor` finds.

    `config` adds settings to a stack's own; its `aws:endpoints` must be loopback, and reaches the provider as
    `AWS_ENDPOINT_URL`. Raises `EndpointRefused` for any other, `PulumiMissing` or `PulumiFailed` where no CLI can be
    used, `Cancelled` after `cancel`, and `DeploymentFailed` with the CLI's words.
    """

    def __init__(
        self,
        project_dir: Path,
        *,
        state_dir: Path,
        config: Mapping[str, Mapping[str, Any]],
        environment: Mapping[str, str],
        passphrase: str,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        for settings in config.values():
            require_loopback(settings[_ENDPOINTS])
        self._program = find_cli()
        self._project = project_dir.resolve()
        self._directory = state_dir.resolve()
        self._config = config
        self._environment = environment
        self._passphrase = passphrase
        self._on_event = on_event or (lambda _event: None)
        self._cancelled = False
        self._prepared: set[str] = set()
        self._running: tuple[str, Operation] | None = None

    def preview(self, stack: str) -> Update:
        """What `up` would do."""
        return self._operate("preview", stack)

    def up(self, stack: str) -> Update:
        """Deploy."""
        return self._operate("up", stack)

    def refresh(self, stack: str) -> Update:
        """Read what really is."""
        return self._operate("refresh", stack)

    def destroy(self, stack: str) -> Update:
        """Take everything down."""
        return self._operate("destroy", stack)

    def outputs(self, stack: str) -> dict[str, Any]:
        """What the stack exports; secrets are masked by the CLI, as `[secret]`."""
        self._prepare_once(stack)
        return json.loads(self._call(stack, "stack", "output", "--json", "--stack", stack) or "{}")

    def resources(self, stack: str) -> list[StackResource]:
        """What the stack consists of."""
        self._prepare_once(stack)
        exported = json.loads(self._call(stack, "stack", "export", "--stack", stack))
        return [_resource(entry) for entry in exported["deployment"].get("resources") or ()]

    def cancel(self) -> None:
        """End the running operation, with all of its processes, and unlock its stack; nothing new begins."""
        self._cancelled = True
        if self._running is not None:
            stack, operation = self._running
            operation.end()
            self._unlock(stack)

    def _operate(self, kind: Kind, stack: str) -> Update:
        self._prepare(stack)
        heard = _OperationEvents(self._on_event)
        operation = Operation()
        self._running = stack, operation
        started = time.monotonic()
        if self._cancelled:
            raise Cancelled(f"{kind} of stack {stack} was cancelled before it began.")
        try:
            ended = operation.run(
                [str(self._program), "--non-interactive", *_WORDS[kind], "--json", "--stack", stack],
                directory=self._mirror(stack),
                environment=self._surroundings(stack),
                on_event=heard.take,
            )
            if ended.status < 0:
                self._unlock(stack)
        except BaseException:
            self._unlock(stack)
            raise
        finally:
            self._running = None
        errors = tuple(heard.errors)
        if ended.status != 0 and not errors:
            errors = (ended.said or f"pulumi {kind} ended with exit status {ended.status} and no message",)
        failed = ended.status != 0
        update = Update(
            kind=kind,
            stack=stack,
            ok=not failed,
            changes=heard.changes,
            outputs={} if failed or kind == "preview" else self.outputs(stack),
            steps=tuple(heard.steps),
            errors=errors if failed else (),
            seconds=time.monotonic() - started,
        )
        if failed:
            raise DeploymentFailed(update)
        return update

    def _prepare_once(self, stack: str) -> None:
        if stack not in self._prepared:
            self._prepare(stack)

    def _prepare(self, stack: str) -> None:
        """Rewrite the mirror from the current project, and create the stack if there is none."""
        folder = self._mirror(stack)
        folder.mkdir(parents=True, exist_ok=True)
        _link(self._project, folder)
        project = read_yaml((self._project / "Pulumi.yaml").read_text())
        project["runtime"] = {"name": "python", "options": {"toolchain": "pip", "virtualenv": sys.prefix}}
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        settings = folder / f"Pulumi.{stack}.yaml"
        own = read_yaml((self._project / settings.name).read_text())
        before = yaml.safe_load(settings.read_text()) if settings.exists() else {}
        added = {key: value for key, value in self._config[stack].items() if key != _ENDPOINTS}
        salt = {key: before[key] for key in ("encryptionsalt",) if key in before}
        settings.write_text(yaml.safe_dump({**own, "config": {**own["config"], **added}, **salt}))
        listed = json.loads(self._call(stack, "stack", "ls", "--json"))
        if stack not in {entry["name"].rpartition("/")[2] for entry in listed}:
            self._call(stack, "stack", "init", stack, "--no-select")
        self._prepared.add(stack)

    def _call(self, stack: str, *words: str) -> str:
        if self._cancelled:
            raise Cancelled(f"Stack {stack}: cancelled.")
        return self._run(stack, *words)

    def _unlock(self, stack: str) -> None:
        self._run(stack, "cancel", "--yes", "--stack", stack)

    def _run(self, stack: str, *words: str) -> str:
        return pulumi_cli.run(
            self._program,
            *words,
            cwd=self._mirror(stack),
            timeout=_SECONDS,
            environment=self._surroundings(stack),
        )

    def _surroundings(self, stack: str) -> dict[str, str]:
        """The CLI's environment: the caller's, with our backend, the emulator, and the CLI's folder on the PATH.

        The language host and the plugins of an unpacked archive are next to the program, which may be a link. A CLI
        that set-up fetched, as `pulumi/<version>/bin/pulumi`, has its plugins in `pulumi/home`, which no login ever
        uses.
        """
        backend = self._directory / "backend"
        backend.mkdir(parents=True, exist_ok=True)
        folders = dict.fromkeys([str(self._program.parent), str(self._program.resolve().parent)])
        inherited = {name: value for name, value in direct(os.environ).items() if name not in _UNHEARD}
        home = self._program.resolve().parent.parent.parent / "home"
        return {
            **inherited,
            **({"PULUMI_HOME": str(home)} if (home / "plugins").is_dir() else {}),
            **self._environment,
            "AWS_ENDPOINT_URL": self._config[stack][_ENDPOINTS],
            "AWS_PROFILE": "",
            "PATH": os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)]),
            "PULUMI_BACKEND_URL": backend.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": self._passphrase,
            "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def _mirror(self, stack: str) -> Path:
        return self._directory / "projects" / stack


class _OperationEvents:
    """Counts, steps and errors of an operation's events."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self.changes: dict[str, int] = {}
        self.steps: list[Step] = []
        self.errors: list[str] = []
        self._on_event = on_event

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one event of the CLI's."""
        if outputs := event.get("resOutputsEvent"):
            step = _step(outputs["metadata"])
            self.steps.append(step)
            self._on_event(Event(kind="finished", text=step.urn, step=step))
        elif failed := event.get("resOpFailedEvent"):
            step = _step(failed["metadata"])
            self._on_event(Event(kind="failed", text=step.urn, severity="error", step=step))
        elif (diagnostic := event.get("diagnosticEvent")) and diagnostic["severity"] == "error":
            message = diagnostic["message"].strip()
            self.errors.append(message)
            self._on_event(Event(kind="message", severity="error", text=message))
        elif summary := event.get("summaryEvent"):
            self.changes = dict(summary["resourceChanges"] or {})


def _link(project: Path, folder: Path) -> None:
    """Link all of the project's files, except its stacks' settings and hidden files."""
    for link in folder.iterdir():
        if link.is_symlink():
            link.unlink()
    for entry in project.iterdir():
        if not entry.name.startswith((".", "Pulumi.")):
            (folder / entry.name).symlink_to(entry)


def _step(metadata: Mapping[str, Any]) -> Step:
    urn: str = metadata["urn"]
    return Step(op=metadata["op"], urn=urn, type=metadata["type"], name=urn.rpartition("::")[2])


def _resource(entry: Mapping[str, Any]) -> StackResource:
    outputs = entry.get("outputs") or {}
    return StackResource(
        urn=entry["urn"],
        type=entry["type"],
        name=entry["urn"].rpartition("::")[2],
        parent=entry.get("parent", ""),
        dependencies=tuple(entry.get("dependencies") or ()),
        id=entry.get("id", ""),
        outputs={name: value for name, value in outputs.items() if not _holds_secret(value)},
    )


def _holds_secret(value: object) -> bool:
    if isinstance(value, Mapping):
        return _SIGNATURE in value or any(map(_holds_secret, value.values()))
    return isinstance(value, list) and any(map(_holds_secret, value))
