"""The embedded engine: deploys a Pulumi program to an emulator on this machine, without the Pulumi CLI."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.engine.apply import Worker, delete_all, refuse_protected
from rehearsal.engine.configuration import Project, Setting, StackConfig, provider_properties, require_answer
from rehearsal.engine.deployment import Deployment
from rehearsal.engine.display import DeploymentFailed, Event, Mask, Operation, Reporter, StackResource, Step, Update
from rehearsal.engine.errors import ConfigurationRefused, EngineError, StackMissing
from rehearsal.engine.plan import shown
from rehearsal.engine.program import runner
from rehearsal.engine.program.monitor import ORGANIZATION, Services, serving
from rehearsal.engine.provider.binary import find_provider
from rehearsal.engine.provider.client import Plugin, Provider
from rehearsal.engine.refresh import recover, refresh_all
from rehearsal.engine.state import Record, State, locked, state_file
from rehearsal.engine.translation.resources import AssetFolder, Resources, provider_config
from rehearsal.engine.values import Fields, Properties

ANNOUNCEMENT = (
    "The embedded engine is for rehearsals and tests on this machine; real accounts are deployed by the Pulumi CLI."
)
# A UNIX socket's path may have some 100 bytes, and the provider puts its socket below the scratch folder.
_LONGEST_SCRATCH = 70


@dataclass(frozen=True, kw_only=True)
class _Session:
    """What one running operation works with."""

    config: StackConfig
    state: State
    reporter: Reporter
    worker: Future[Worker]


class EmbeddedEngine:
    """Preview, up, refresh and destroy for the stacks of one project.

    One operation at a time on an object; for two stacks at once, use two objects (in two threads, if you like).
    Operations raise `DeploymentFailed` if they did not succeed, and other `EngineError`s if they could not begin.
    """

    def __init__(
        self,
        project_dir: Path,
        *,
        state_dir: Path,
        config: Mapping[str, Mapping[str, Setting]],
        passphrase: str,
        provider: Path | None = None,
        on_event: Callable[[Event], None] | None = None,
        before_reference: Callable[[str], None] = lambda _stack: None,
        parallel: int = 16,
    ) -> None:
        """`config`: each stack's settings on top of its `Pulumi.<stack>.yaml`; `provider` is found if not given.

        `before_reference` is called before a StackReference to another stack of the project is answered. It may wait
        until that stack's outputs are known: meanwhile everything is deployed that does not need them.
        """
        self._project = Project.read(project_dir.resolve())
        self._state_dir = state_dir.resolve()
        self._config = config
        self._passphrase = passphrase
        self._provider = provider
        self._on_event = on_event
        self._before_reference = before_reference
        self._parallel = parallel
        self._cancelled = threading.Event()

    def preview(self, stack: str) -> Update:
        """What `up` would do; changes nothing, not even the state."""
        return self._run_program("preview", stack)

    def up(self, stack: str) -> Update:
        """Make what the program declares, change what differs, delete what it no longer declares."""
        return self._run_program("up", stack)

    def refresh(self, stack: str) -> Update:
        """Read every resource and bring the state to what is there; the program does not run."""
        with self._session("refresh", stack) as session:
            worker = _when_ready(session)
            if worker is not None:
                refresh_all(worker, parallel=self._parallel, cancelled=self._cancelled.is_set)
            return self._end(session, _shown(session.state.outputs()))

    def destroy(self, stack: str) -> Update:
        """Delete every resource of the stack; refused as a whole if one is protected."""
        with self._session("destroy", stack) as session:
            worker = _when_ready(session)
            if worker is not None:
                self._delete(session, worker, [*session.state.resources.values(), *session.state.pending_deletes])
            return self._end(session, {})

    def outputs(self, stack: str, *, show_secrets: bool = False) -> dict[str, Any]:
        """The stack's outputs as of the last `up`; secret ones as "[secret]" unless `show_secrets`."""
        outputs = self._read(stack).outputs()
        return outputs.values if show_secrets else _shown(outputs)

    def resources(self, stack: str) -> list[StackResource]:
        """What is deployed, in the order in which it came; no secret is in it."""
        return [
            StackResource(
                urn=record.urn,
                type=record.type,
                name=record.name,
                parent=record.parent,
                dependencies=record.dependencies,
                id=record.id,
                outputs=shown(record.outputs, record.secrets),
            )
            for record in self._read(stack).resources.values()
        ]

    def forget(self, stack: str, urn: str) -> None:
        """Drop a resource from the state without touching it, as after a creation that cannot be found again."""
        file = state_file(self._state_dir, self._project.name, stack)
        with locked(file):
            state = State(file, passphrase=self._passphrase)
            records = [r for r in (*state.resources.values(), *state.pending_deletes) if r.urn == urn]
            if not records:
                raise EngineError(f"Stack {stack} has no resource {urn}; `stack` lists what it has.")
            for record in records:
                state.forget(record)
            state.save()

    def cancel(self) -> None:
        """From any thread: begin nothing new; the running operation ends when what is in flight is recorded."""
        self._cancelled.set()

    def _run_program(self, kind: Operation, stack: str) -> Update:
        with self._session(kind, stack) as session:
            deployment = Deployment(
                project=self._project.name,
                stack=stack,
                dry_run=kind == "preview",
                worker=session.worker.result,
                cancelled=self._cancelled,
            )
            services = Services(
                deployment,
                config=session.config,
                parallel=self._parallel,
                reporter=session.reporter,
                invoke=lambda token, arguments: session.worker.result().resources.invoke(token, arguments),
                reference=self._reference,
            )
            # Each registration in flight takes a thread; the rest are for logs and invokes.
            with serving(services, threads=2 * self._parallel + 16) as address:
                problem = runner.run(
                    self._project,
                    address,
                    reporter=session.reporter,
                    stop=deployment.ended_early,
                )
                deployment.wait_until_idle()
            if problem is not None and not session.reporter.failed and not self._cancelled.is_set():
                session.reporter.failure(problem)
            if not session.reporter.failed and (worker := _when_ready(session)) is not None:
                gone = [r for r in session.state.resources.values() if r.urn not in deployment.seen]
                self._delete(session, worker, [*gone, *session.state.pending_deletes], dry_run=deployment.dry_run)
            return self._end(session, _shown(deployment.stack_outputs))

    def _delete(self, session: _Session, worker: Worker, records: list[Record], *, dry_run: bool = False) -> None:
        try:
            refuse_protected(records)
        except EngineError as error:
            session.reporter.failure(str(error))
            return
        if dry_run:
            for record in records:
                session.reporter.finished(Step.on(record, "delete"))
        else:
            delete_all(
                records,
                delete=worker.delete,
                reporter=session.reporter,
                parallel=self._parallel,
                cancelled=self._cancelled.is_set,
            )

    def _end(self, session: _Session, outputs: Mapping[str, Any]) -> Update:
        """Save, and return the report; raises `DeploymentFailed` if it has errors."""
        session.state.save()
        if self._cancelled.is_set():
            session.reporter.failure(
                "Cancelled. What was in flight has ended and is recorded; run the same command to go on."
            )
        update = session.reporter.update(outputs)
        if not update.ok:
            raise DeploymentFailed(update)
        return update

    @contextmanager
    def _session(self, kind: Operation, stack: str) -> Generator[_Session]:
        """Everything an operation needs, taken in the order in which it may be refused, and given back."""
        self._cancelled.clear()
        config = self._project.config(stack, self._config.get(stack, {}))
        mask = Mask()
        mask.learn([config.values[key] for key in config.secret_keys])
        reporter = Reporter(kind, stack, mask=mask, listener=self._on_event)
        reporter.message(ANNOUNCEMENT)
        properties, endpoint = provider_properties(config.values)
        require_answer(endpoint)
        binary = self._provider or find_provider()
        file = state_file(self._state_dir, self._project.name, stack)
        with locked(file), _scratch(file) as scratch:
            state = State(file, passphrase=self._passphrase, writable=kind != "preview")
            if not state.exists and kind in ("refresh", "destroy"):
                raise self._missing(stack)
            plugin = Plugin(binary, scratch=scratch)
            starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="provider")

            def connect() -> Worker:
                provider = Provider(plugin)
                provider.configure(provider_config(provider.config_block, properties, endpoint))
                assets = AssetFolder(scratch, project=self._project.directory)
                resources = Resources(provider, assets=assets, region=properties["region"])
                if kind != "preview":
                    recover(state, resources, report=reporter.message)
                return Worker(state=state, resources=resources, reporter=reporter)

            try:
                yield _Session(config=config, state=state, reporter=reporter, worker=starter.submit(connect))
            finally:
                starter.shutdown()
                plugin.close()

    def _reference(self, name: str) -> Properties:
        """The outputs that a StackReference to `name` sees: `[[organization/]project/]stack`."""
        *path, stack = name.split("/")
        if len(path) > 2 or (len(path) == 2 and path[0] != ORGANIZATION):
            raise ConfigurationRefused(
                f"The stack reference {name!r} must be {ORGANIZATION}/<project>/<stack>, <project>/<stack> or <stack>."
            )
        project = path[-1] if path else self._project.name
        if project == self._project.name:
            self._before_reference(stack)
        state = self._read(stack, project)
        if not state.resources:
            raise self._missing(stack)
        return state.outputs()

    def _read(self, stack: str, project: str | None = None) -> State:
        file = state_file(self._state_dir, project or self._project.name, stack)
        state = State(file, passphrase=self._passphrase, writable=False)
        if not state.exists:
            raise self._missing(stack)
        return state

    def _missing(self, stack: str) -> StackMissing:
        return StackMissing(f"There is no stack {stack} in {self._state_dir}; `up` makes it.")


def _when_ready(session: _Session) -> Worker | None:
    """The worker, or None when the provider could not be started, which is then reported."""
    try:
        return session.worker.result()
    except EngineError as error:
        session.reporter.failure(str(error))
        return None


def _shown(outputs: Properties) -> Fields:
    return shown(outputs.values, outputs.secrets)


@contextmanager
def _scratch(file: Path) -> Generator[Path]:
    """A folder for the provider's socket, log and assets, removed afterwards; next to the state if paths allow."""
    folder = file.with_suffix(".run")
    if len(os.fsencode(folder)) > _LONGEST_SCRATCH:
        folder = Path(tempfile.mkdtemp(prefix="petpark-"))
    shutil.rmtree(folder, ignore_errors=True)  # of an operation that was killed; the lock is ours
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
