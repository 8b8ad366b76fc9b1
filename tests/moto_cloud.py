"""AWS on loopback by moto, for clients that need HTTP: processes, the AWS provider, an unreachable store."""

from __future__ import annotations

import functools
import sys
import threading
from types import TracebackType
from typing import Any, Self

import boto3
import httpx
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from tests.wsgi_server import LoopbackServer

REGION = "eu-west-1"


@functools.cache
def moto_application() -> DomainDispatcherApplication:
    """moto as a WSGI application; one, because its state belongs to the process."""
    return DomainDispatcherApplication(create_backend_app)


class MotoCloud:
    """AWS, empty at its start: moto's state belongs to the process, so tests would share it otherwise."""

    def __init__(self, *, replay: bool = False) -> None:
        """`replay`: see `LoopbackServer`."""
        self._replay = replay

    def __enter__(self) -> Self:
        self._port = 0
        self._clients: dict[str, Any] = {}
        self.on()
        httpx.post(f"{self.url}/moto-api/reset", timeout=60, trust_env=False).raise_for_status()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            client.close()
        self.off()

    def on(self) -> None:
        """Serve again on the same port, with the same state."""
        self._server = LoopbackServer(moto_application(), port=self._port, replay=self._replay)
        self._server.start()
        self._port = self._server.port

    def off(self) -> None:
        """Answer nobody."""
        self._server.stop()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """What leads a process there."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, service: str) -> Any:
        """A boto3 client of it, the same one at each call: its connections stay open until the cloud is left."""
        if service not in self._clients:
            session: Any = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
            self._clients[service] = session.client(service, endpoint_url=self.url)
        return self._clients[service]

    def make_bucket(self, name: str) -> str:
        """Make a bucket, and give its name back."""
        self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name


if __name__ == "__main__":
    # A process of its own for benchmarks: `python -m tests.moto_cloud PORT`, until it is ended.
    with LoopbackServer(moto_application(), port=int(sys.argv[1])):
        threading.Event().wait()
