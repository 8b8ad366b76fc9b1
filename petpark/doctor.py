"""What petpark needs around it, and the command that mends what is missing."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from petpark import pulumi_cli
from petpark.errors import OperatorError

PYTHON = (3, 13)
ROOM_NEEDED = 4 * 1024**3
"""Bytes free for data, checkpoints and a rehearsal's emulator."""

EMULATOR_PYTHON = Path(".venv-emulator") / "bin" / "python"


class Health(StrEnum):
    """`missing` is needed and not there; `absent` is not there and not needed, but good to have."""

    FINE = "fine"
    ABSENT = "absent"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at; `mend` is the command that mends it, empty when nothing is to mend."""

    name: str
    health: Health
    found: str
    mend: str = ""


def examine(kind: str, root: Path) -> Iterator[Check]:
    """Look at what `--target kind` needs on this machine; `root` is the checkout."""
    yield _python()
    yield _room(root)
    yield _packages("command environment", "make setup", "boto3", "pulumi", "pulumi_aws", "rich", "typer")
    yield _packages(
        "training environment", "make setup", "torch", "torchvision", "onnxruntime", needed=kind == "rehearsal"
    )
    if kind == "aws":
        yield _pulumi(needed=True)
        yield _account()
        return
    yield _packages("serving environment", "make setup", "granian", "onnxruntime", "starlette")
    yield _emulator(root)
    pulumi = _pulumi(needed=False)
    yield pulumi
    yield _provider(needed=pulumi.health is not Health.FINE)


def ailing(checks: list[Check]) -> bool:
    """Whether something needed is missing."""
    return any(check.health is Health.MISSING for check in checks)


def _python() -> Check:
    found = platform.python_version()
    if sys.version_info[:2] == PYTHON:
        return Check(name="Python", health=Health.FINE, found=found)
    wanted = ".".join(map(str, PYTHON))
    return Check(name="Python", health=Health.MISSING, found=f"{found}, not {wanted}", mend="make setup")


def _room(root: Path) -> Check:
    free = shutil.disk_usage(root).free
    found = f"{free / 1024**3:.1f} GiB free"
    if free >= ROOM_NEEDED:
        return Check(name="disk space", health=Health.FINE, found=found)
    return Check(
        name="disk space",
        health=Health.MISSING,
        found=f"{found}, {ROOM_NEEDED / 1024**3:.0f} needed",
        mend="make clean",
    )


def _packages(name: str, mend: str, *modules: str, needed: bool = True) -> Check:
    lacking = [module for module in modules if importlib.util.find_spec(module) is None]
    if not lacking:
        return Check(name=name, health=Health.FINE, found=", ".join(modules))
    return _not_there(name, f"lacks {', '.join(lacking)}", mend, needed=needed)


def _pulumi(*, needed: bool) -> Check:
    program = pulumi_cli.find()
    if program is None:
        where = "not on the PATH nor in ~/.pulumi"
        return _not_there("Pulumi CLI", where, "petpark doctor --install-pulumi", needed=needed)
    try:
        return Check(name="Pulumi CLI", health=Health.FINE, found=f"{pulumi_cli.version(program)} at {program}")
    except OperatorError as error:
        return _not_there("Pulumi CLI", error.message, "petpark doctor --install-pulumi", needed=needed)


def _account() -> Check:
    patience = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})
    try:
        caller = boto3.Session().client("sts", config=patience).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        return Check(
            name="AWS account", health=Health.MISSING, found=str(error), mend="aws configure (or: aws sso login)"
        )
    return Check(name="AWS account", health=Health.FINE, found=f"{caller['Account']} as {caller['Arn']}")


def _emulator(root: Path) -> Check:
    python = Path(os.environ.get("PETPARK_EMULATOR_PYTHON") or root / EMULATOR_PYTHON)
    if not python.exists():
        return Check(name="emulator", health=Health.MISSING, found=f"no {python}", mend="make setup")
    question = "from importlib.metadata import version; print(version('localstack-core'))"
    try:
        done = subprocess.run([python, "-c", question], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name="emulator", health=Health.MISSING, found=str(error), mend="make setup")
    if done.returncode != 0:
        return Check(
            name="emulator", health=Health.MISSING, found="its environment has no LocalStack", mend="make setup"
        )
    return Check(name="emulator", health=Health.FINE, found=f"LocalStack {done.stdout.strip()}")


def _provider(*, needed: bool) -> Check:
    """The AWS provider that the embedded engine drives; one engine is enough, so Pulumi makes it optional."""
    from rehearsal.engine.errors import ProviderMissing
    from rehearsal.engine.provider_binary import find_provider

    try:
        return Check(name="AWS provider", health=Health.FINE, found=str(find_provider()))
    except ProviderMissing as error:
        return _not_there("AWS provider", str(error), "petpark doctor --install-pulumi", needed=needed)


def _not_there(name: str, found: str, mend: str, *, needed: bool) -> Check:
    return Check(name=name, health=Health.MISSING if needed else Health.ABSENT, found=found, mend=mend)
