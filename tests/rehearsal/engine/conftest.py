"""What the engine's tests share: an emulated cloud, a Pulumi project to deploy into it, and the engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings

from rehearsal.engine import DeploymentFailed, EmbeddedEngine, Event, Update
from rehearsal.engine.configuration import Setting
from rehearsal.engine.display import lines
from tests.examples import examples
from tests.moto_cloud import REGION, MotoCloud

# A busy machine is no error: how long an example takes says nothing about what it shows.
settings.register_profile("engine", max_examples=examples(50))
settings.load_profile("engine")

PASSPHRASE = "correct horse"


@pytest.fixture(scope="session")
def cloud() -> Iterator[MotoCloud]:
    with MotoCloud(replay=True) as opened:
        yield opened


@dataclass
class Project:
    """A Pulumi project on disk whose program a test rewrites, and an engine that deploys its stack `test`."""

    directory: Path
    cloud: MotoCloud
    url: str
    config: dict[str, Setting] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    outputs_known: threading.Event = field(default_factory=threading.Event)
    stack: str = "test"

    def write(self, program: str) -> None:
        """Make `program` the project's program."""
        self.directory.mkdir(exist_ok=True)
        (self.directory / "Pulumi.yaml").write_text(f"name: {self.directory.name}\nruntime: python\n")
        (self.directory / "__main__.py").write_text(program)

    @property
    def state_dir(self) -> Path:
        """Where the state is."""
        return self.directory / ".state"

    @property
    def state_text(self) -> str:
        """The state file as it is."""
        return (self.state_dir / self.directory.name / f"{self.stack}.json").read_text()

    def engine(
        self,
        before_reference: Callable[[str], None] = lambda _stack: None,
        on_event: Callable[[Event], None] = lambda _event: None,
    ) -> EmbeddedEngine:
        """A new engine, as a new run of the command would have."""

        def tell(event: Event) -> None:
            on_event(event)
            self.told.extend(lines(event, "up"))
            if event.kind == "outputs":
                self.outputs_known.set()

        settings_ = {"aws:region": REGION, "aws:endpoints": self.url} | self.config
        return EmbeddedEngine(
            self.directory,
            state_dir=self.state_dir,
            config={self.stack: settings_},
            passphrase=PASSPHRASE,
            on_event=tell,
            before_reference=before_reference,
        )

    def up(self) -> Update:
        """Deploy."""
        return self.engine().up(self.stack)

    def failed_up(self) -> Update:
        """Deploy a program that cannot be deployed."""
        with pytest.raises(DeploymentFailed) as failure:
            self.up()
        return failure.value.update


@pytest.fixture
def project(tmp_path: Path, cloud: MotoCloud) -> Project:
    """A project without a program yet."""
    return Project(directory=tmp_path / "tiny", cloud=cloud, url=cloud.url)
