"""An endpoint as a process, and a registry that it follows, in an emulated cloud."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from registry.certificates.certificate import Certificates, Decision, KmsSigner
from registry.channels.channel import Channel
from registry.store.s3_store import S3Store
from registry.version import Version
from registry.versions.catalog import Catalog
from tests.moto_cloud import MotoCloud
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 60


class Registry:
    """The model registry in that cloud, with somebody who certifies."""

    def __init__(self, cloud: MotoCloud, directory: Path, files: Callable[..., dict[str, Path]]) -> None:
        self.bucket = cloud.make_bucket(f"store-{os.urandom(6).hex()}")
        kms = cloud.client("kms")
        key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
        self.key = key.get("Arn", "")
        self.signer = KmsSigner(kms, self.key)
        store = S3Store(cloud.client("s3"), self.bucket)
        self.store = store
        self.catalog = Catalog(store, "pets")
        self.certificates = Certificates(store, "pets")
        self.channel = Channel(store, "pets", "prod")
        self._directory = directory
        self._files = files

    def release(self, sharpness: float) -> int:
        files = self._files(self._directory / str(sharpness), sharpness=sharpness)
        version = self.catalog.publish(files, labels=("cat", "dog"), metrics={}, lineage={"run": str(sharpness)})
        self.decide(version, "certified")
        self.channel.move(version, by="otto", why="test")
        return version.number

    def decide(self, version: Version, decision: Decision) -> None:
        self.certificates.sign(
            version,
            decision=decision,
            signer=self.signer,
            by="quinn",
            report_sha256=None,
            expires_at=datetime.now(UTC) + timedelta(days=1),
            note="",
        )


class Process:
    """`python -m serving`, and its log lines as they come."""

    def __init__(self, environment: dict[str, str], port: int, program: tuple[str, ...] = ("-m", "serving")) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.lines: list[dict[str, object]] = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", *program],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, message: str, **facts: object) -> dict[str, object]:
        """Wait for a log line; an end of the process ends the wait."""

        def found() -> dict[str, object] | None:
            wanted = {"message": message, **facts}
            return next((line for line in self.lines if wanted.items() <= line.items()), None)

        with self._news:
            done = self._news.wait_for(lambda: found() or not self._reader.is_alive(), TIMEOUT_SECONDS)
        line = found()
        assert done, f"{message!r} did not come; the log is {self.lines}"
        assert line, f"{message!r} did not come; the log is {self.lines}"
        return line

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_SECONDS)

    def _read(self) -> None:
        assert self.process.stdout
        for text in self.process.stdout:
            with self._news:
                self.lines.append(json.loads(text))
                self._news.notify_all()


@contextmanager
def running(cloud: MotoCloud, registry: Registry, **changes: str) -> Generator[Process]:
    with running_program(("-m", "serving"), cloud, registry, changes) as process:
        yield process


@contextmanager
def running_program(
    program: tuple[str, ...], cloud: MotoCloud, registry: Registry, changes: Mapping[str, str]
) -> Generator[Process]:
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        **cloud.environment,
        "PETPARK_MODEL_STORE": registry.bucket,
        "PETPARK_MODEL": "pets",
        "PETPARK_CHANNEL": "prod",
        "PETPARK_SIGNING_KEY": registry.key,
        "PETPARK_REQUIRE_CERTIFICATE": "true",
        "PETPARK_API_KEYS": "open",
        "PETPARK_HOST": "127.0.0.1",
        "PETPARK_PORT": str(port),
        "PETPARK_POLL_SECONDS": "0.1",
        **changes,
    }
    process = Process(environment, port, program)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.communicate()
