"""Machines without an emulator: everything of an instance but EC2."""

import queue
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rehearsal.instances.cloud import Instance
from rehearsal.instances.credentials import RoleSession
from rehearsal.instances.machine import Machine, environment
from rehearsal.instances.metadata import MetadataService
from rehearsal.sandbox import stand_ins

TIMEOUT_SECONDS = 60.0


@pytest.fixture
def instance() -> Instance:
    return Instance(
        id="i-0123456789abcdef0",
        state="running",
        type="t3.micro",
        image="ami-12345678",
        private_ip="10.77.5.9",
        zone="eu-west-1a",
        lifecycle="on-demand",
        profile_arn="arn:aws:iam::000000000000:instance-profile/park",
        tokens_required=True,
        tags_in_metadata=True,
        tags={"petpark:job": "job-1"},
    )


def session() -> RoleSession:
    expires = datetime.now(UTC) + timedelta(hours=1)
    document = {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "AKIDPARK", "SecretAccessKey": "secret"} | {
        "Token": "token",
        "LastUpdated": "2026-01-01T00:00:00Z",
        "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return RoleSession(role="park", document=document, expires=expires)


@dataclass
class Booted:
    """A machine and its reports."""

    machine: Machine
    events: "queue.Queue[tuple[str, Mapping[str, Any]]]" = field(default_factory=queue.Queue)

    def wait(self, event: str, **detail: Any) -> Mapping[str, Any]:
        """The next report of this event with these details."""
        while True:
            seen, facts = self.events.get(timeout=TIMEOUT_SECONDS)
            if seen == event and detail.items() <= facts.items():
                return facts

    def console(self) -> str:
        return self.machine.console.read_text()


@pytest.fixture
def serve_metadata() -> Iterator[Callable[..., MetadataService]]:
    """Starts metadata services and ends them."""
    services: list[MetadataService] = []

    def serve(instance: Instance, **options: Any) -> MetadataService:
        options = {"region": "eu-west-1", "look": lambda: instance, "credentials": session} | options
        service = MetadataService(instance, b"#!/bin/sh\n", **options)
        services.append(service)
        service.start()
        return service

    yield serve
    for service in services:
        service.stop()


@pytest.fixture
def boot(
    tmp_path: Path, instance: Instance, serve_metadata: Callable[..., MetadataService]
) -> Iterator[Callable[[str], Booted]]:
    """Boots machines from user data and ends them."""
    machines: list[Machine] = []
    stand_ins.install(tmp_path / "bin", python=Path(sys.executable), aws=None)

    def start(user_data: str, *, sandbox: str = "i-0123456789abcdef0") -> Booted:
        metadata = serve_metadata(instance)
        folder = tmp_path / sandbox
        reports: queue.Queue[tuple[str, Mapping[str, Any]]] = queue.Queue()
        machine = Machine(
            instance,
            folder,
            metadata,
            environment=environment(
                folder, commands=tmp_path / "bin", cloud={}, metadata=metadata, python=Path(sys.executable)
            ),
            minute_seconds=0.2,
            report=lambda event, detail: reports.put((event, detail)),
        )
        machines.append(machine)
        machine.boot(user_data.encode())
        return Booted(machine, reports)

    yield start
    for machine in machines:
        machine.halt(0.5)
        machine.join(TIMEOUT_SECONDS)
