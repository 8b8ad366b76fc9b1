"""A fixture for endpoints: a store and a key service on loopback, certified versions, and `python -m serving`."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
import httpx
from botocore.config import Config

from benchmarks.support.s3_server import REGION, ROOT, VERSITYGW
from benchmarks.support.service import Service, free_port
from registry.certificates.certificate import Certificates, KmsSigner
from registry.channels.channel import Channel, ChannelEntry
from registry.channels.experiment import Experiments
from registry.store.crt_transfer import crt_transfer
from registry.store.s3_store import S3Store
from registry.version import Version
from registry.versions.catalog import Catalog

MODEL, CHANNEL, BUCKET = "pets", "prod", "benchmark"


class Fixture:
    """What endpoints need around them."""

    def __init__(self, directory: Path, *, store: Service, keys: Service) -> None:
        self.directory, self.store = directory, store
        self._keys = keys
        self.outlives = store is not keys
        """Whether the store's content survives its process."""
        self.title = "versitygw" if self.outlives else "moto"
        config = Config(connect_timeout=3, read_timeout=20, s3={"addressing_style": "path"})
        session = boto3.Session(
            aws_access_key_id="benchmark",
            aws_secret_access_key="benchmark",  # noqa: S106 - of a server on this machine that takes any
            region_name=REGION,
        )
        client = session.client("s3", endpoint_url=store.url, config=config)
        client.create_bucket(Bucket=BUCKET)
        kms = session.client("kms", endpoint_url=keys.url, config=config)
        self._key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"].get("Arn", "")
        self._signer = KmsSigner(kms, self._key)
        self._clients = (client, kms)
        objects = S3Store(client, BUCKET, transfer=crt_transfer(session, client))
        self.catalog = Catalog(objects, MODEL)
        self.certificates = Certificates(objects, MODEL)
        self.channel = Channel(objects, MODEL, CHANNEL)
        self.experiments = Experiments(objects, MODEL, CHANNEL)

    def close(self) -> None:
        """Leave no connection open."""
        for client in self._clients:
            client.close()

    def publish(self, files: Mapping[str, Path], *, run: str) -> Version:
        """A certified version."""
        labels = ("cat", "dog")
        version = self.catalog.publish(files, labels=labels, metrics={}, lineage={"run": run})
        self.certificates.sign(
            version,
            decision="certified",
            signer=self._signer,
            by="quinn",
            report_sha256=None,
            expires_at=datetime.now(UTC) + timedelta(days=1),
            note="",
        )
        return version

    def promote(self, version: Version) -> ChannelEntry:
        """Move the channel to `version`."""
        return self.channel.move(version, by="benchmark", why="to measure it")

    def endpoint(
        self,
        name: str,
        *,
        poll_seconds: float = 2.0,
        program: tuple[str, ...] = (),
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> "Endpoint":
        """An endpoint that follows the channel, not started yet; `program`: other arguments of Python than its own.

        `more`: further environment variables.
        """
        environment = {**self._environment(), **more}
        return Endpoint(self.directory / name, environment, poll_seconds=poll_seconds, program=program)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": self.store.url,
            "AWS_ENDPOINT_URL_KMS": self._keys.url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "PETPARK_MODEL_STORE": BUCKET,
            "PETPARK_MODEL": MODEL,
            "PETPARK_CHANNEL": CHANNEL,
            "PETPARK_SIGNING_KEY": self._key,
            "PETPARK_API_KEYS": "open",
            "PETPARK_HOST": "127.0.0.1",
        }


class Endpoint(Service):
    """`python -m serving` with its own install root."""

    def __init__(
        self, home: Path, environment: Mapping[str, str], *, poll_seconds: float, program: tuple[str, ...] = ()
    ) -> None:
        home.mkdir(parents=True)
        port = free_port()
        super().__init__(
            [sys.executable, *(program or ("-m", "serving"))],
            port=port,
            log=home / "log.jsonl",
            environment={
                **environment,
                "PETPARK_HOME": str(home),
                "PETPARK_PORT": str(port),
                "PETPARK_POLL_SECONDS": str(poll_seconds),
            },
            ready="/healthz/ready",
            directory=ROOT,
        )
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=10)

    def end(self) -> None:
        """End it, and what this process had open to it."""
        super().end()
        self.http.close()

    def model(self) -> dict[str, Any]:
        """Returns the version that it reports."""
        return self.http.get("/v1/model").json()

    def classify(self, photo: bytes) -> int:
        """Returns the version that classifies `photo`."""
        answer = self.http.post("/v1/classify", content=photo, headers={"content-type": "image/jpeg"})
        return answer.raise_for_status().json()["model"]["version"]

    def metric(self, name: str) -> float:
        """One without labels."""
        lines = (line.split() for line in self.http.get("/metrics").text.splitlines() if line[:1] != "#")
        return next(float(value) for metric, value in lines if metric == name)

    def sum_of(self, name: str) -> float:
        """The sum of one over all its labels; 0 where it has none yet."""
        lines = (line.rpartition(" ") for line in self.http.get("/metrics").text.splitlines() if line[:1] != "#")
        return sum(float(value) for metric, _, value in lines if metric.partition("{")[0] == name)

    def wait_for(self, entry: int, *, timeout: float) -> bool:
        """Wait until it serves the channel's `entry`; False if it does not in time."""
        return wait_until(lambda: self.model()["entry"] == entry, timeout)

    def log_lines(self, message: str = "") -> list[dict[str, Any]]:
        """What it logged, only `message` where one is named; its times are Unix time in seconds under `at`."""
        lines: list[dict[str, Any]] = []
        for text in self.log.read_text(errors="replace").splitlines():
            try:
                line: dict[str, Any] = json.loads(text)
            except ValueError:
                line = {"message": text, "level": "unformatted", "time": datetime.now(UTC).isoformat()}
            if message in ("", line["message"]):
                lines.append({**line, "at": datetime.fromisoformat(line["time"]).timestamp()})
        return lines


def wait_until(holds: Callable[[], bool], timeout: float, *, every: float = 0.02) -> bool:
    """Look repeatedly; False when `timeout` seconds were over first."""
    end = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True


@contextlib.contextmanager
def endpoint_fixture(directory: Path, *, fast: bool = True) -> Generator[Fixture]:
    """Start the fixture in `directory`. Its store is versitygw if built and `fast`, else moto, which also has keys."""
    port = free_port()
    alone = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "tests.moto_cloud", str(port)]
    log = directory / "moto.log"
    with Service(command, port=port, log=log, environment=alone, ready="/moto-api/", directory=ROOT) as keys:
        if not (fast and VERSITYGW.exists()):
            with contextlib.closing(Fixture(directory, store=keys, keys=keys)) as at:
                yield at
            return
        with versity(directory) as store, contextlib.closing(Fixture(directory, store=store, keys=keys)) as at:
            yield at


def versity(directory: Path) -> Service:
    """S3 over a folder, so that its content outlives it."""
    folder, port = directory / "buckets", free_port()
    folder.mkdir()
    command = f"{VERSITYGW} --port 127.0.0.1:{port} --keep-alive --quiet --health /health posix {folder}"
    return Service(
        command.split(),
        port=port,
        log=directory / "versitygw.log",
        environment={"ROOT_ACCESS_KEY": "benchmark", "ROOT_SECRET_KEY": "benchmark"},
        ready="/health",
    )
