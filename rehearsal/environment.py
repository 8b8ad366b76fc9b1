"""The cloud of a rehearsal, running: emulator, engine, instances and load balancers, made and ended together."""

import contextlib
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from petpark.targets.stacks import StackOutputs, parse
from petpark.targets.target import Target
from registry.strict_yaml import read_yaml
from rehearsal import demo_users
from rehearsal.background_task import BackgroundTask
from rehearsal.credentials import FILE, Person, write_people
from rehearsal.emulator import REPOSITORY, Emulator
from rehearsal.emulators import DEFAULT, Product
from rehearsal.engine import EmbeddedEngine, Engine, StackResource
from rehearsal.engine.errors import Cancelled
from rehearsal.instances import InstanceEvent, InstanceRunner, UnknownInstance
from rehearsal.load_balancer import LoadBalancer
from rehearsal.pulumi_cli import PulumiEngine
from rehearsal.target import rehearsal_target

type EngineKind = Literal["embedded", "pulumi"]

STACKS = ("test", "prod")

_LOOK_SECONDS = 0.1
_PASSPHRASE = "rehearsal"  # noqa: S105  it guards nothing: the state describes an emulator that ends with the run
_WITHOUT_TLS = {
    "petpark:allow_keys_over_http": "true",
    "petpark:host_name": "none",
    "petpark:dns_zone": "none",
    "petpark:tls_certificate": "none",
}
"""Load balancers speak plain HTTP here, and only to this machine."""
_CLEAN_ENVIRONMENT = {"aws:skipCredentialsValidation": "true", "aws:skipMetadataApiCheck": "true"}


class Environment:
    """A context manager around everything that runs.

    `directory` takes all state, `product` is the emulator. `deploy` makes a stack; from then on `endpoints` says where
    it answers, and `target` gives the view of it that the rehearsal's people have. Only the machinery itself is the
    account's administrator. `settings` go on top of a stack's YAML.

    Stacks can be deployed side by side: a stack that refers to another waits for its outputs only where it needs them.
    """

    def __init__(
        self,
        directory: Path,
        *,
        engine: EngineKind,
        product: Product = DEFAULT,
        port: int = 0,
        project: Path = REPOSITORY,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.directory = directory
        self._settings = settings or {}
        self.project = project
        self.emulator = Emulator(directory / "emulator", product=product, port=port, region=_region(project))
        self.runner = InstanceRunner(
            self.emulator, directory, python=Path(sys.executable), on_event=self._take_out_of_service
        )
        self.kind = engine
        self.people: tuple[Person, ...] = ()
        self._outputs: dict[str, StackOutputs] = {}
        self._outputs_known: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self._failed: set[str] = set()
        self._closing = threading.Event()
        self._raw: dict[str, Mapping[str, Any]] = {}
        self._urls: dict[str, str] = {}
        self._engines: dict[str, Engine] = {}
        self._targets: dict[str, Target] = {}
        self._balancers: list[LoadBalancer] = []
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as starting:
            starting.enter_context(self.emulator)
            starting.enter_context(self.runner)
            self.people = demo_users.create_users(self.emulator.client("iam"))
            write_people(self.directory / FILE, self.people)
            self._exit = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        for engine in self._engines.values():
            engine.cancel()
        self._exit.close()

    def engine(
        self,
        stack: str,
        on_event: Callable[[Any], None] | None = None,
        before_reference: Callable[[str], None] = lambda _stack: None,
    ) -> Engine:
        """The engine for one stack: each stack has its own, so that two can be deployed in parallel."""
        config = {stack: {**_WITHOUT_TLS, **self._settings.get(stack, {}), **self._emulator_config()}}
        if self.kind == "pulumi":
            made: Engine = PulumiEngine(
                self.project,
                state_dir=self.directory / "pulumi",
                config=config,
                environment=self.emulator.environment(),
                passphrase=_PASSPHRASE,
                on_event=on_event,
            )
        else:
            made = EmbeddedEngine(
                self.project,
                state_dir=self.directory / "state",
                config=config,
                passphrase=_PASSPHRASE,
                on_event=on_event,
                before_reference=before_reference,
            )
        self._engines[stack] = made
        return made

    def deploy(
        self,
        stack: str,
        on_event: Callable[[Any], None] | None = None,
        on_usable: Callable[[], None] = lambda: None,
        refers_to: str = "",
    ) -> int:
        """Deploy `stack`, make its endpoint reachable, and return the number of changed resources.

        `on_usable` is called when the stack can be used: as soon as the embedded engine reports outputs, else at the
        end. `refers_to` is a stack that is deployed at the same time and that this one refers to. The embedded engine
        waits for its outputs where they are needed, the Pulumi CLI before it begins. Raises the engine's
        `DeploymentFailed`.
        """
        opened: list[BackgroundTask[None]] = []

        def handle_event(event: Any) -> None:
            if event.kind == "outputs":
                opened.append(BackgroundTask(lambda: self._open(stack, on_usable)))
            if on_event is not None:
                on_event(event)

        def await_outputs(other: str) -> None:
            if other == refers_to:
                self._await_outputs(other)

        if self.kind == "pulumi" and refers_to:
            self._await_outputs(refers_to)
        with self._recording_failure(stack):
            update = self.engine(stack, handle_event, await_outputs).up(stack)
            opening = opened[0] if opened else BackgroundTask(lambda: self._open(stack, on_usable))
            opening.result()
        return sum(update.changes.values())

    @contextlib.contextmanager
    def _recording_failure(self, stack: str) -> Generator[None]:
        """End the wait of a stack that is deployed at the same time and needs this one."""
        self._failed.discard(stack)
        try:
            yield
        except BaseException:
            self._failed.add(stack)
            raise

    def _open(self, stack: str, on_usable: Callable[[], None]) -> None:
        """Create the demo users and open the endpoint to clients."""
        self._raw[stack] = self._engines[stack].outputs(stack)
        self._outputs[stack] = outputs = parse(stack, self._raw[stack])
        self._outputs_known[stack].set()
        demo_users.grant_roles(self.emulator.client("iam"), self.people, stack=stack, roles=outputs.roles.values())
        endpoint = outputs.endpoint
        if endpoint.load_balancer is not None:
            balancer = LoadBalancer(
                self.emulator, load_balancer_arn=endpoint.load_balancer, resolve=self.runner.address
            )
            self._exit.enter_context(balancer)
            self._balancers.append(balancer)
            self._urls[stack] = balancer.url
        elif endpoint.instance_id is not None:
            self.runner.wait_for(endpoint.instance_id, "running", timeout=60)
            self._urls[stack] = f"http://{self.runner.address(endpoint.instance_id)}:{endpoint.port}"
        if stack in self._urls:
            # For workers on instances, which reach nothing of this process: see `petpark.worker.stack_target`.
            record = self.directory / "endpoints" / stack
            record.parent.mkdir(exist_ok=True)
            record.write_text(self._urls[stack])
        on_usable()

    def _await_outputs(self, stack: str) -> None:
        """Wait until the outputs of `stack` are known. Raises `Cancelled` if it fails, or the environment ends."""
        while not self._outputs_known[stack].wait(_LOOK_SECONDS):
            if self._closing.is_set() or stack in self._failed:
                ended = f"The deployment of stack {stack}" if stack in self._failed else "The rehearsal"
                raise Cancelled(f"{ended} ended before the outputs of stack {stack} were known.")

    @property
    def stacks(self) -> Mapping[str, Mapping[str, Any]]:
        """Outputs of the deployed stacks, as exported."""
        return dict(self._raw)

    @property
    def endpoints(self) -> Mapping[str, str]:
        """Where each deployed stack's endpoint answers on this machine."""
        return dict(self._urls)

    def resources(self, stack: str) -> list[StackResource]:
        """What was deployed, for drawing it."""
        return self._engines[stack].resources(stack)

    def target(self, stack: str) -> Target:
        """The operator's view of a deployed stack: one for each, because it keeps the roles that it assumed."""
        if stack not in self._targets:
            self._targets[stack] = rehearsal_target(
                self._outputs[stack],
                self._urls,
                self.emulator.url,
                tuple(self._outputs),
                people=self.people,
                locate=self._locate,
            )
        return self._targets[stack]

    def _locate(self, instance_id: str) -> str | None:
        try:
            return self.runner.address(instance_id)
        except UnknownInstance:
            return None

    def _take_out_of_service(self, event: InstanceEvent) -> None:
        """Before an instance's processes end, the load balancers finish what they have under way with it."""
        if event.kind == "shutting-down":
            for balancer in self._balancers:
                balancer.drain(event.instance_id)

    def _emulator_config(self) -> dict[str, str]:
        return {
            **_CLEAN_ENVIRONMENT,
            "aws:accessKey": "test",
            "aws:secretKey": "test",
            "aws:s3UsePathStyle": "true",
            "aws:maxRetries": "5",
            "aws:endpoints": self.emulator.url,
        }


def _region(project: Path) -> str:
    """The region that the stacks name: the emulator pretends to be it."""
    settings = read_yaml((project / f"Pulumi.{STACKS[0]}.yaml").read_text())
    return str(settings["config"]["aws:region"])
