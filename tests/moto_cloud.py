"""AWS on loopback by moto, for what needs it behind HTTP: processes, the AWS provider, a store that goes away."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import boto3
import httpx
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"


class MotoCloud:
    """AWS, empty when entered: moto keeps what it holds for its process, so without that one test finds another's."""

    def __enter__(self) -> Self:
        self._port = 0
        self.on()
        httpx.post(f"{self.url}/moto-api/reset", timeout=60, trust_env=False).raise_for_status()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.off()

    def on(self) -> None:
        """Answer, on the same port as before; what was held is still there."""
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self._port, verbose=False)
        self._server.start()
        self._port = self._server.get_host_and_port()[1]

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
        """A boto3 client of it."""
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def make_bucket(self, name: str) -> str:
        """Make a bucket, and give its name back."""
        self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name
