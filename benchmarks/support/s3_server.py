"""A fast S3 server on this machine: versitygw over a folder, reachable from loopback only."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from registry.store.crt_transfer import crt_transfer
from registry.store.s3_client import s3_client
from registry.store.s3_store import S3Store
from rehearsal.child_process import start, stop

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROOT = Path(__file__).parents[2]
VERSITYGW = ROOT / ".tools" / "bin" / "versitygw"
REGION = "us-east-1"
TIMEOUT_SECONDS = 20.0
"""Seconds until the server must respond."""


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A server that runs."""

    url: str
    folder: Path  # one subfolder a bucket; an object is the file of its key

    def environment(self) -> dict[str, str]:
        """Variables by which each S3 client finds this server, and no account of the user who runs the benchmark."""
        return {
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "S3_ENDPOINT_URL": self.url,  # s5cmd
            "MLFLOW_S3_ENDPOINT_URL": self.url,
            "NO_PROXY": "127.0.0.1",
        }

    def bucket(self, name: str) -> "Bucket":
        """A bucket; a new one, unless the folder of an earlier server has it."""
        if not (self.folder / name).exists():
            s3_client(self.url, REGION).create_bucket(Bucket=name)
        return Bucket(url=self.url, name=name, folder=self.folder / name)


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket of the server; may be handed to another process."""

    url: str
    name: str
    folder: Path

    def client(self) -> "S3Client":
        """A client as petpark makes it."""
        return s3_client(self.url, REGION)

    def store(self, client: "S3Client | None" = None) -> S3Store:
        """The store in this bucket; with a `client`, as endpoints make it, whose requests can be counted."""
        made = client or self.client()
        return S3Store(made, self.name, transfer=crt_transfer(boto3.Session(), made), transfer_reads=client is None)


@contextlib.contextmanager
def s3_server(folder: Path) -> Generator[S3Server]:
    """A server over `folder` with exclusive use of it; stopped at the end, and killed with this process."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    log = folder.parent / "versitygw.log"
    with log.open("wb") as output:
        process = start(
            # Without --keep-alive it closes the connection after each response, unlike S3.
            [*f"{VERSITYGW} --port 127.0.0.1:{port} --keep-alive --quiet --health /health posix".split(), str(folder)],
            directory=folder.parent,
            environment={"ROOT_ACCESS_KEY": "benchmark", "ROOT_SECRET_KEY": "benchmark"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        began = time.monotonic()
        while not _is_healthy(url):
            if process.poll() is not None or time.monotonic() - began > TIMEOUT_SECONDS:
                sys.exit(f"versitygw did not become ready:\n{log.read_text(errors='replace')}")
            time.sleep(0.02)
        yield S3Server(url=url, folder=folder)
    finally:
        stop(process)


def _is_healthy(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{url}/health", timeout=2) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False
