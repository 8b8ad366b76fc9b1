"""What sends the same files to the same server: petpark, transfer tools and a registry, each as its users run it."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.support.registry.our_process import fetch, publish
from benchmarks.support.s3_server import ROOT, VERSITYGW, Bucket
from registry.versions.catalog import Catalog

REFERENCES = ROOT / ".venv-benchmarks" / "bin"
TIMEOUT_SECONDS = 300.0
"""Seconds that one publish or fetch may take."""


def missing_s3_tools() -> list[str]:
    """Returns a sentence for the S3 server and for s5cmd, each if it is not installed."""
    tools = (VERSITYGW, REFERENCES / "s5cmd")
    return [f"{tool} is missing: `make bench` installs it" for tool in tools if not tool.exists()]


class Contestant(Protocol):
    """Publishes a directory's files under a place, and fetches them again."""

    def publish(self, directory: Path, place: str) -> None:
        """Send every file."""
        ...

    def fetch(self, directory: Path, place: str) -> None:
        """Bring them back into `directory`, which exists and is empty."""
        ...


class Petpark:
    """Ours, in this process: hashes, sends, creates the version; fetches what the version names and verifies it."""

    def __init__(self, bucket: Bucket) -> None:
        self._store = bucket.store()

    def publish(self, directory: Path, place: str) -> None:
        """See Contestant."""
        publish(Catalog(self._store, place), directory)

    def fetch(self, directory: Path, place: str) -> None:
        """See Contestant."""
        fetch(Catalog(self._store, place), directory)


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program that is started for each call."""

    sending: Callable[[Path, str], list[str]]
    loading: Callable[[Path, str], list[str]]
    environment: Mapping[str, str]

    def publish(self, directory: Path, place: str) -> None:
        """See Contestant."""
        self._run(self.sending(directory, place))

    def fetch(self, directory: Path, place: str) -> None:
        """See Contestant."""
        self._run(self.loading(directory, place))

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")


def petpark_process(bucket: Bucket, environment: Mapping[str, str]) -> Command:
    """Ours, from the start of Python to its end."""

    def call(verb: str) -> Callable[[Path, str], list[str]]:
        module = [sys.executable, "-m", "benchmarks.support.registry.our_process", verb, bucket.url, bucket.name]
        return lambda directory, place: [*module, place, str(directory)]

    return Command(sending=call("publish"), loading=call("fetch"), environment=environment)


def s5cmd(bucket: Bucket, environment: Mapping[str, str]) -> Command:
    """The plain transfer tool. https://github.com/peak/s5cmd"""
    program = [str(REFERENCES / "s5cmd"), "--log", "error", "cp"]
    return Command(
        sending=lambda directory, place: [*program, f"{directory}/*", f"s3://{bucket.name}/{place}/"],
        loading=lambda directory, place: [*program, f"s3://{bucket.name}/{place}/*", f"{directory}/"],
        environment=environment,
    )


def aws(bucket: Bucket, environment: Mapping[str, str]) -> Command:
    """The official command line."""
    # Its first line names the Python that it was installed for, as an absolute path; so does this.
    program = [str(REFERENCES / "python"), str(REFERENCES / "aws"), "s3", "cp", "--only-show-errors", "--recursive"]
    return Command(
        sending=lambda directory, place: [*program, str(directory), f"s3://{bucket.name}/{place}/"],
        loading=lambda directory, place: [*program, f"s3://{bucket.name}/{place}/", str(directory)],
        environment=environment,
    )


class Library:
    """A library in a process that runs already (reference_worker.py)."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process = process
        self._log = log

    def publish(self, directory: Path, place: str) -> None:
        """See Contestant."""
        self._ask(verb="publish", directory=str(directory), place=place)

    def fetch(self, directory: Path, place: str) -> None:
        """See Contestant."""
        self._ask(verb="fetch", directory=str(directory), place=place)

    def wait(self) -> None:
        """Wait for a response; exits if it is not `ok`."""
        assert self._process.stdout is not None
        watchdog = threading.Timer(TIMEOUT_SECONDS, self._process.kill)
        watchdog.start()
        line = self._process.stdout.readline()
        watchdog.cancel()
        answer: dict[str, object] = json.loads(line) if line else {"error": "the process ended"}
        if "ok" not in answer:
            sys.exit(f"{self._process.args}: {answer['error']}\n{self._log.read_text(errors='replace')[-2000:]}")

    def _ask(self, **order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self.wait()


@contextlib.contextmanager
def library(tool: str, bucket: Bucket, environment: Mapping[str, str], folder: Path) -> Generator[Library]:
    """The library `tool`, ready; its process ends with the block, and with its input if we are killed."""
    log = folder / f"{tool}.log"
    worker = [str(REFERENCES / "python"), str(Path(__file__).with_name("reference_worker.py"))]
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [*worker, tool, bucket.name, str(folder)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            ready = Library(process, log)
            ready.wait()
            yield ready
        finally:
            process.kill()


def reference_versions() -> dict[str, str]:
    """Of the references."""
    names = ("awscli", "boto3", "awscrt", "mlflow-skinny")
    code = "import importlib.metadata, sys; print(*map(importlib.metadata.version, sys.argv[1:]))"
    python = [str(REFERENCES / "python"), "-c", code, *names]
    versions = subprocess.run(python, check=True, capture_output=True, text=True, timeout=60).stdout.split()
    program = subprocess.run(
        [str(REFERENCES / "s5cmd"), "version"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    return {"s5cmd": program.partition("-")[0].strip().removeprefix("v"), **dict(zip(names, versions, strict=True))}
