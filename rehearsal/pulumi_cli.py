"""The official Pulumi CLI, pointed at the emulator: the same operations as the embedded engine, by the real one.

The project is mirrored by links into a folder of its own, so that what the CLI writes (settings, encryption salt)
never touches the checkout; state lies in a file backend beside it.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pulumi.automation import LocalWorkspaceOptions, PulumiCommand, create_or_select_stack
from pulumi.automation.errors import CommandError

from petpark import pulumi_cli
from petpark.loopback import direct
from rehearsal.engine import DeploymentFailed, Event, StackResource, Update
from rehearsal.engine.loopback import require_loopback

if TYPE_CHECKING:
    from pulumi.automation import Stack
    from pulumi.automation.events import EngineEvent

_LINKED = (
    "__main__.py",
    "bootstrap.sh",
    "imaging",
    "infra",
    "pyproject.toml",
    "registry",
    "requirements",
    "serving",
    "training",
)
_ENDPOINTS = "aws:endpoints"


class PulumiEngine:
    """`rehearsal.engine.Engine` by the Pulumi CLI that `petpark doctor` finds.

    `config` adds settings to a stack's own; its `aws:endpoints` must be loopback, and reaches the provider as
    `AWS_ENDPOINT_URL`. Raises `EndpointRefused` for any other, and `DeploymentFailed` with the CLI's words.
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
        self._project = project_dir
        self._directory = state_dir
        self._config = config
        self._environment = environment
        self._passphrase = passphrase
        self._on_event = on_event or (lambda _event: None)
        self._running: Stack | None = None

    def preview(self, stack: str) -> Update:
        """What `up` would do."""
        return self._operate("preview", stack, lambda made: dict(made.preview(on_event=self._hear).change_summary))

    def up(self, stack: str) -> Update:
        """Deploy."""
        return self._operate("up", stack, lambda made: made.up(on_event=self._hear).summary.resource_changes or {})

    def refresh(self, stack: str) -> Update:
        """Read what really is."""
        return self._operate(
            "refresh", stack, lambda made: made.refresh(on_event=self._hear).summary.resource_changes or {}
        )

    def destroy(self, stack: str) -> Update:
        """Take everything down."""
        return self._operate(
            "destroy", stack, lambda made: made.destroy(on_event=self._hear).summary.resource_changes or {}
        )

    def outputs(self, stack: str) -> dict[str, Any]:
        """What the stack exports, secrets masked."""
        found = self._stack(stack).outputs()
        return {name: "[secret]" if output.secret else output.value for name, output in found.items()}

    def resources(self, stack: str) -> list[StackResource]:
        """What the stack consists of."""
        deployment = self._stack(stack).export_stack().deployment or {}
        return [_resource(entry) for entry in deployment.get("resources", [])]

    def cancel(self) -> None:
        """Ask a running operation to stop."""
        if self._running is not None:
            self._running.cancel()

    def _operate(
        self,
        kind: Literal["preview", "up", "refresh", "destroy"],
        stack: str,
        operation: Callable[[Stack], Mapping[Any, int]],
    ) -> Update:
        made = self._running = self._stack(stack)
        started = time.monotonic()
        changes: dict[str, int] = {}
        errors: tuple[str, ...] = ()
        try:
            changes = {str(getattr(op, "value", op)): count for op, count in operation(made).items()}
        except CommandError as error:
            errors = (str(error),)
        finally:
            self._running = None
        update = Update(
            kind=kind,
            stack=stack,
            ok=not errors,
            changes=changes,
            outputs={} if errors else self.outputs(stack),
            steps=(),
            errors=errors,
            seconds=time.monotonic() - started,
        )
        if errors:
            raise DeploymentFailed(update)
        return update

    def _stack(self, stack: str) -> Stack:
        program = pulumi_cli.find()
        folder = self._mirror(stack)
        options = LocalWorkspaceOptions(
            env_vars={
                **_loopback(),
                **self._environment,
                "AWS_ENDPOINT_URL": self._config[stack][_ENDPOINTS],
                "AWS_PROFILE": "",
                "PULUMI_BACKEND_URL": self._backend(),
                "PULUMI_CONFIG_PASSPHRASE": self._passphrase,
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "UV_NO_SYNC": "1",
                "UV_PROJECT_ENVIRONMENT": sys.prefix,
                "PATH": f"{self._project / '.tools' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            },
            pulumi_command=None if program is None else PulumiCommand(root=str(program.parent.parent)),
        )
        return create_or_select_stack(stack, work_dir=str(folder), opts=options)

    def _backend(self) -> str:
        folder = self._directory / "backend"
        folder.mkdir(parents=True, exist_ok=True)
        return folder.resolve().as_uri()

    def _mirror(self, stack: str) -> Path:
        """The project as links, with the stack's settings and ours in one file; made once."""
        folder = self._directory / "project"
        settings = folder / f"Pulumi.{stack}.yaml"
        if not settings.exists():
            folder.mkdir(parents=True, exist_ok=True)
            for name in _LINKED:
                link = folder / name
                if not link.is_symlink():
                    link.symlink_to((self._project / name).resolve())
            shutil.copy(self._project / "Pulumi.yaml", folder)
            own = yaml.safe_load((self._project / settings.name).read_text())
            added = {key: value for key, value in self._config[stack].items() if key != _ENDPOINTS}
            settings.write_text(yaml.safe_dump({**own, "config": {**own["config"], **added}}))
        return folder

    def _hear(self, event: EngineEvent) -> None:
        if event.res_outputs_event is not None:
            self._on_event(Event(kind="finished", text=event.res_outputs_event.metadata.urn))
        elif event.diagnostic_event is not None and event.diagnostic_event.severity == "error":
            self._on_event(Event(kind="message", severity="error", text=event.diagnostic_event.message))


def _loopback() -> dict[str, str]:
    """The exceptions from proxies that lead the CLI, its plugins and the program to the emulator."""
    return {name: value for name, value in direct(os.environ).items() if name.lower().startswith("no_")}


def _resource(entry: Mapping[str, Any]) -> StackResource:
    outputs = entry.get("outputs", {})
    return StackResource(
        urn=entry["urn"],
        type=entry["type"],
        name=entry["urn"].rpartition("::")[2],
        parent=entry.get("parent", ""),
        dependencies=tuple(entry.get("dependencies", ())),
        id=entry.get("id", ""),
        outputs={name: value for name, value in outputs.items() if not _holds_secret(value)},
    )


def _holds_secret(value: object) -> bool:
    if isinstance(value, Mapping):
        return "4dabf18193072939515e22adb298388d" in value or any(map(_holds_secret, value.values()))
    return isinstance(value, list) and any(map(_holds_secret, value))
