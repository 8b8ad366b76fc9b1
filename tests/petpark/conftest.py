"""A target without a cloud: buckets in memory, a key in memory, EC2 by moto."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, override

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from petpark.__main__ import app
from petpark.targets.stacks import StackOutputs, parse
from petpark.targets.target import Target
from registry.layout.roles import Role
from registry.store.memory_store import MemoryStore
from registry.store.object_store import PrunableStore
from registry.version import Version
from registry.versions.catalog import Catalog
from rehearsal.target import DRAWN_RECIPE
from tests.petpark.github_api import api as api
from tests.petpark.jobs.states import PIPELINE, StepFunctions
from tests.registry.memory_keys import MemorySigner, MemoryVerifier

ACCOUNT = "123456789012"

PEOPLE = {Role.CERTIFIER: "vera", Role.PROMOTER: "mia"}
"""Who acts in these roles; everything else is done by alice."""


def outputs(stack: str = "test", **endpoint: Any) -> dict[str, Any]:
    """What a stack exports."""
    return {
        "region": "eu-west-1",
        "model": "pets",
        "model_store": "models",
        "data_lake": "lake",
        "workspace": "workspace",
        "encryption_key": f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/2",
        "signing_key": f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1",
        "code_bundle": "c0de" * 16,
        "roles": {role.value: f"arn:aws:iam::{ACCOUNT}:role/{role}" for role in Role},
        "channels": {
            "test": {"certificate": False, "two_people": False, "metric": "none", "gates": False, "movers": []},
            "prod": {"certificate": True, "two_people": True, "metric": "none", "gates": True, "movers": []},
        },
        "certificate_days": 365.0,
        "gates": {"data": {}, "model": {"accuracy": 0.7, "luck": 0.05}, "checks": {"photos": 50.0}},
        "training": {"log_group": "/petpark/training"},
        "endpoint": {
            "kind": "instance",
            "channel": stack,
            "url": "http://192.0.2.1:8080",
            "port": 8080.0,
            "log_group": "/petpark/endpoint",
            "instance_id": "i-1",
            **endpoint,
        },
        "pipeline": PIPELINE,
    }


@cache
def session() -> boto3.Session:
    """One for all targets: each new one reads the descriptions of its services again."""
    return boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="eu-west-1")


@dataclass(frozen=True, kw_only=True)
class FakeTarget(Target):
    """Everything in memory; `people`: who acts in which role; `acted`: the roles that were used."""

    buckets: dict[str, PrunableStore]
    key: MemorySigner
    people: Mapping[str, str]
    acted: list[str | None] = field(default_factory=list[str | None])

    @override
    def store(self, bucket: str, *, role: str | None = None) -> PrunableStore:
        self.acted.append(role)
        return self.buckets.setdefault(bucket, MemoryStore())

    @override
    def signer(self, *, role: str | None = None) -> MemorySigner:
        self.acted.append(role)
        return self.key

    @override
    def verifier(self, *, role: str | None = None) -> MemoryVerifier:
        return MemoryVerifier(self.key)

    @override
    def identity(self, *, role: str | None = None) -> str:
        if role is None:
            return f"arn:aws:iam::{ACCOUNT}:user/alice"
        return f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{self.people.get(role, 'alice')}"


@dataclass(kw_only=True)
class Place:
    """The cloud behind a test's commands.

    `urls` are the endpoints, `exported` the outputs of each stack, `people` who acts in which role, `states` its Step
    Functions.
    """

    buckets: dict[str, PrunableStore] = field(default_factory=dict[str, PrunableStore])
    people: dict[str, str] = field(default_factory=lambda: {str(role): name for role, name in PEOPLE.items()})
    key: MemorySigner = field(default_factory=MemorySigner)
    states: StepFunctions = field(default_factory=StepFunctions)
    urls: dict[str, str] = field(default_factory=dict[str, str])
    exported: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"test": outputs("test"), "prod": outputs("prod")}
    )

    def target(self, _kind: str = "rehearsal", stack: str = "test") -> FakeTarget:
        """The target as commands get it."""
        found: StackOutputs = parse(stack, self.exported[stack])
        target = FakeTarget(
            kind="rehearsal",
            recipe=DRAWN_RECIPE,
            stacks=tuple(self.exported),
            outputs=found,
            endpoint_urls=self.urls,
            session=session(),
            buckets=self.buckets,
            key=self.key,
            people=self.people,
        )
        for role in (Role.PUBLISHER, Role.CERTIFIER):
            target._clients["stepfunctions", role] = self.states
        return target

    def replace(self, key: str, body: bytes) -> None:
        """Put other bytes into the registry, as an attacker could without the bucket's policy."""
        self.buckets["models"].delete(key)
        self.buckets["models"].create(key, body)

    @property
    def catalog(self) -> Catalog:
        """The registry."""
        return Catalog(self.buckets.setdefault("models", MemoryStore()), "pets")


@pytest.fixture
def place() -> Place:
    return Place()


type Run = Callable[..., Result]


@pytest.fixture
def run(place: Place) -> Run:
    """Run a command against `place`: `run("models", "list")`."""
    return lambda *words: CliRunner().invoke(app, [*words], obj=place.target)


type Serve = Callable[..., str]


@contextmanager
def answering(body: Any, status: int = 200) -> Generator[str]:
    """An endpoint on loopback whose `/v1/model` answers `body`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = body() if callable(body) else body
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status if self.path == "/v1/model" else 404)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda body, status=200: stack.enter_context(answering(body, status))


@pytest.fixture
def publish(place: Place, tmp_path: Path) -> Callable[..., Version]:
    """Publish a version; every call gives other bytes. `lineage` says more of where it comes from."""
    made = iter(range(1, 1000))

    def make(
        *,
        trained_by: str = "arn:aws:sts::1:assumed-role/training/i-1",
        report: bool = True,
        gates: Mapping[str, float] = MappingProxyType({"accuracy": 1}),
        **lineage: str,
    ) -> Version:
        number = next(made)
        names = ["model.onnx", "report.html"] if report else ["model.onnx"]
        files = {name: tmp_path / f"{number}-{name}" for name in names}
        for name, path in files.items():
            path.write_text(f"{name} {number}")
        return place.catalog.publish(
            files,
            labels=["cat", "dog"],
            metrics={"accuracy": 0.9 + number / 100, **{f"gate_{name}": value for name, value in gates.items()}},
            lineage={"trained_by": trained_by, "dataset": "d" * 64, **lineage},
        )

    return make


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS by moto: whatever boto3 sends is checked against the service's own description."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield


@pytest.fixture(scope="module")
def ec2() -> Iterator[Any]:
    """An EC2 client by moto; one for a module, because moto takes its time to start."""
    with mock_aws():
        yield boto3.client("ec2", region_name="eu-west-1")
