"""Runs the program to see what it declares; what it asks is answered by the caller, from a record."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rehearsal.engine.configuration import Project, Secret, Setting, StackConfig, read_yaml
from rehearsal.engine.display import SECRET_TEXT, Event, Mask, Reporter
from rehearsal.engine.errors import Cancelled, EngineError
from rehearsal.engine.plan import Goal
from rehearsal.engine.program import runner
from rehearsal.engine.program.monitor import Services, serving
from rehearsal.engine.state import Record
from rehearsal.engine.values import Fields, Properties

_PARALLEL = 16
_TOLERATED = frozenset({"additional_secret_outputs", "custom_timeouts"})
"""Options that change neither what is declared nor what would be done to it."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Who answers the program, from any thread; each raises `EngineError` where it cannot.

    `resource` says how a resource will look; `data_source` takes a token and arguments; `reference` the name of a
    stack, and returns its outputs.
    """

    resource: Callable[[Goal], Record]
    data_source: Callable[[str, Fields], Fields]
    reference: Callable[[str], Properties]


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What one run of the program declared, by URN. `errors`: why it is not everything; empty if it is."""

    goals: tuple[Goal, ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def configuration(directory: Path, stack: str) -> StackConfig:
    """The stack's settings. A value that is encrypted for the Pulumi CLI is the text `[secret]`.

    Raises `ConfigurationRefused`.
    """
    file = directory / f"Pulumi.{stack}.yaml"
    block = read_yaml(file).get("config") if file.is_file() else None
    hidden: dict[str, Setting] = {
        key: Secret(SECRET_TEXT)
        for key, value in (block.items() if isinstance(block, dict) else ())
        if isinstance(value, dict) and set(value) == {"secure"}
    }
    return Project.read(directory).config(stack, hidden)


def declare(directory: Path, stack: str, answers: Answers) -> Declaration:
    """Run the program in `directory` for `stack`; raises `ConfigurationRefused` where there is none."""
    project = Project.read(directory)
    warnings: list[str] = []

    def listen(event: Event) -> None:
        if event.severity == "warning":
            warnings.append(event.text)

    reporter = Reporter("preview", stack, mask=Mask(), listener=listen)
    registrar = _Registrar(project.name, stack, answers.resource)
    services = Services(
        registrar,
        config=configuration(directory, stack),
        parallel=_PARALLEL,
        reporter=reporter,
        invoke=answers.data_source,
        reference=answers.reference,
        tolerated=_TOLERATED,
    )
    with serving(services, threads=2 * _PARALLEL + 16) as address:
        problem = runner.run(project, address, reporter=reporter, stop=registrar.ended_early)
    if problem is not None and not reporter.failed:
        reporter.failure(problem)
    return Declaration(goals=registrar.goals, errors=reporter.update({}).errors, warnings=tuple(warnings))


class _Registrar:
    """Takes what the program registers, and deploys nothing."""

    dry_run = True

    def __init__(self, project: str, stack: str, answer: Callable[[Goal], Record]) -> None:
        self.project = project
        self.stack = stack
        self._answer = answer
        self._lock = threading.Lock()
        self._goals: dict[str, Goal] = {}
        self._failed = threading.Event()

    @property
    def goals(self) -> tuple[Goal, ...]:
        with self._lock:
            return tuple(self._goals[urn] for urn in sorted(self._goals))

    def register(self, goal: Goal) -> Record:
        """The resource as it will look."""
        if self._failed.is_set():
            raise Cancelled("An earlier resource failed; this one was not checked.")
        with self._lock:
            if goal.record.urn in self._goals:
                raise EngineError(
                    f"{goal.record.label} is registered twice; names must be unique within a type ({goal.record.urn})."
                )
            self._goals[goal.record.urn] = goal
        record = self._answer(goal)
        return record if record.custom else replace(record, outputs=record.inputs)

    def set_outputs(self, urn: str, outputs: Properties) -> None:
        """Outputs of components and of the stack change no resource."""

    def fail(self) -> None:
        """Register no more resources."""
        self._failed.set()

    def ended_early(self) -> bool:
        """Whether the rest of the program does not matter any more."""
        return self._failed.is_set()
