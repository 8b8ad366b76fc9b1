"""Checks what petpark needs on this machine, and names the command that fixes what is missing."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from petpark import machine
from petpark.downloads.progress import megabytes
from petpark.errors import OperatorError, PulumiFailed, PulumiMissing, RehearsalNotRunning, StackNotDeployed
from petpark.failures.failure import describe
from petpark.output.formats import plural
from petpark.targets import pulumi_cli
from petpark.targets.target import Target
from registry.layout.roles import Role
from training.instance.memory import total_memory

PYTHON = (3, 13)
ROOM_NEEDED = 4 * 1024**3
"""Bytes free for data, checkpoints and a rehearsal's emulator."""

_NOTHING_DEPLOYED = (StackNotDeployed, RehearsalNotRunning, PulumiMissing, PulumiFailed)

_NAMED = 10


class Health(StrEnum):
    """`missing` is needed and not there; `absent` is not there and not needed, but good to have.

    `unchecked` is what could not be checked: neither passed nor failed.
    """

    FINE = "fine"
    ABSENT = "absent"
    MISSING = "missing"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was checked; `fix` is the command that fixes it, empty if there is nothing to fix."""

    name: str
    health: Health
    found: str
    fix: str = ""


def examine(kind: str, root: Path, open_target: Callable[[], Target]) -> Iterator[Check]:
    """Look at what `--target kind` needs on this machine, and at what is deployed there; `root` is the checkout."""
    yield from _machine(kind, root)
    yield from deployed(kind, root, open_target)


def _machine(kind: str, root: Path) -> Iterator[Check]:
    if kind == "rehearsal":
        yield _system()
        yield _memory()
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


def _system() -> Check:
    if (reason := machine.unsupported()) is not None:
        return _not_there("operating system", reason, "make demo, on Linux", needed=True)
    return Check(name="operating system", health=Health.FINE, found=platform.system())


def _memory() -> Check:
    total = total_memory()
    if total >= machine.REHEARSAL_MEMORY:
        return Check(name="memory", health=Health.FINE, found=f"{total / 1e9:.1f} GB")
    wanted = f"{total / 1e9:.1f} GB; a rehearsal may need {machine.REHEARSAL_MEMORY / 1e9:.0f}"
    return _not_there("memory", wanted, "close other programs before make demo", needed=False)


def _python() -> Check:
    found = platform.python_version()
    if sys.version_info[:2] == PYTHON:
        return Check(name="Python", health=Health.FINE, found=found)
    wanted = ".".join(map(str, PYTHON))
    return Check(name="Python", health=Health.MISSING, found=f"{found}, not {wanted}", fix="make setup")


def _room(root: Path) -> Check:
    free = shutil.disk_usage(root).free
    found = f"{free / 1024**3:.1f} GiB free"
    if free >= ROOM_NEEDED:
        return Check(name="disk space", health=Health.FINE, found=found)
    return Check(
        name="disk space",
        health=Health.MISSING,
        found=f"{found}, {ROOM_NEEDED / 1024**3:.0f} needed",
        fix="make clean",
    )


def _packages(name: str, fix: str, *modules: str, needed: bool = True) -> Check:
    lacking = [module for module in modules if importlib.util.find_spec(module) is None]
    if not lacking:
        return Check(name=name, health=Health.FINE, found=", ".join(modules))
    return _not_there(name, f"lacks {', '.join(lacking)}", fix, needed=needed)


def _pulumi(*, needed: bool) -> Check:
    program = pulumi_cli.find()
    if program is None:
        return _not_there("Pulumi CLI", _pulumi_to_fetch(), "petpark doctor --install-pulumi", needed=needed)
    try:
        return Check(name="Pulumi CLI", health=Health.FINE, found=f"{pulumi_cli.version(program)} at {program}")
    except OperatorError as error:
        return _not_there("Pulumi CLI", error.message, "petpark doctor --install-pulumi", needed=needed)


def _pulumi_to_fetch() -> str:
    from petpark.downloads import pulumi

    try:
        files = (pulumi.cli_file(), pulumi.plugin_file())
    except OperatorError as error:
        return error.message
    sizes = [pulumi.size(files[0])]
    sizes.append(pulumi.size(files[1]) if sizes[0] else None)  # the same server: it does not answer twice either
    known = (
        f"{file.name} ({megabytes(size) if size else 'size unknown: the server does not answer'})"
        for file, size in zip(files, sizes, strict=True)
    )
    where = urlsplit(files[0].url).hostname
    return f"not on the PATH, in .tools or in ~/.pulumi; can be downloaded from {where}: {' and '.join(known)}"


def _account() -> Check:
    config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})
    try:
        caller = boto3.Session().client("sts", config=config).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        return Check(
            name="AWS account", health=Health.MISSING, found=str(error), fix="aws configure (or: aws sso login)"
        )
    return Check(name="AWS account", health=Health.FINE, found=f"{caller['Account']} as {caller['Arn']}")


def _emulator(root: Path) -> Check:
    """The emulator that a rehearsal would start: the default, or the one that `$PETPARK_EMULATOR` names."""
    from rehearsal.emulator import default_python
    from rehearsal.emulators import DEFAULT, EMULATORS, VARIABLE

    chosen = os.environ.get(VARIABLE) or DEFAULT.key
    product = EMULATORS.get(chosen)
    if product is None:
        found = f"{VARIABLE} is {chosen}, not one of {', '.join(EMULATORS)}"
        return Check(name="emulator", health=Health.MISSING, found=found, fix=f"unset {VARIABLE}")
    python = default_python(product, root)
    if not python.exists():
        found = f"{product.name}: no {python}"
        return Check(name="emulator", health=Health.MISSING, found=found, fix=product.setup)
    question = f"from importlib.metadata import version; print(version({product.distribution!r}))"
    try:
        done = subprocess.run([python, "-c", question], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name="emulator", health=Health.MISSING, found=str(error), fix=product.setup)
    if done.returncode != 0:
        found = f"its environment has no {product.name}"
        return Check(name="emulator", health=Health.MISSING, found=found, fix=product.setup)
    default = "the default" if product is DEFAULT else f"set by {VARIABLE}"
    return Check(name="emulator", health=Health.FINE, found=f"{product.name} {done.stdout.strip()}, {default}")


def _provider(*, needed: bool) -> Check:
    """The AWS provider that the embedded engine drives; one engine is enough, so Pulumi makes it optional."""
    from petpark.downloads.pins import provider_pins
    from rehearsal.provider import fetching, integrity, mirrors

    if (found := mirrors.installed()) is not None:
        if why := integrity.changed(found):
            return _not_there("AWS provider", why, "make provider", needed=needed)
        return Check(name="AWS provider", health=Health.FINE, found=str(found))
    if chosen := os.environ.get(mirrors.VARIABLE):
        sentence = f"{mirrors.VARIABLE} is {chosen}, which is neither an executable AWS provider nor a mirror with one"
        return _not_there("AWS provider", sentence, f"unset {mirrors.VARIABLE}; make provider", needed=needed)
    pins = provider_pins()
    try:
        source = urlsplit(fetching.source(pins))
    except OperatorError as error:
        return _not_there("AWS provider", error.message, error.next_step, needed=needed)
    sentence = (
        f"not in a Terraform mirror or in .tools; can be downloaded from {source.hostname}: {Path(source.path).name}"
    )
    return _not_there("AWS provider", f"{sentence} (some {megabytes(pins.packed)})", "make provider", needed=needed)


# --- what is deployed ----------------------------------------------------------------------------------------------


def deployed(kind: str, root: Path, open_target: Callable[[], Target]) -> Iterator[Check]:
    """The registry's bucket and key as they really are; one line if there is none to check."""
    name = "model store"
    try:
        target = open_target()
        fix = (
            "petpark rehearse down, then petpark rehearse --keep"
            if kind == "rehearsal"
            else f"pulumi up --stack {_owner(root, target.outputs.stack)}"
        )
        target.client("s3", role=Role.READER)
    except _NOTHING_DEPLOYED as error:
        yield _not_there(name, error.message, error.next_step, needed=False)
    except OperatorError as error:
        yield _not_there(name, error.message, error.next_step, needed=True)
    except (BotoCoreError, ClientError) as error:
        # No permission, or no account at all, which was reported before.
        failure = describe(error)
        sentence = failure.message if failure else str(error)
        yield _not_there(name, f"cannot be checked: {sentence}", failure.next_step if failure else "", needed=False)
    else:
        yield _clock(target)
        traces = "" if kind == "rehearsal" else ", then look for traces: petpark models fsck"
        yield from _guards(target, fix + traces)
        yield _signing_key(target, fix)
        yield _data_lake(target)


def _clock(target: Target) -> Check:
    from registry.errors import ClockSkewed, RegistryError

    store = target.store(target.outputs.model_store, role=Role.READER)
    try:
        next(store.keys(f"{target.outputs.model}/"), None)
    except ClockSkewed as error:
        found = f"{error.actual} here, {error.expected}"
        return Check(name="clock", health=Health.MISSING, found=found, fix="sudo timedatectl set-ntp true")
    except RegistryError as error:
        return _not_there("clock", f"the store did not report its time: {error.actual}", error.next, needed=False)
    return Check(name="clock", health=Health.FINE, found="agrees with the store's")


def _guards(target: Target, fix: str) -> Iterator[Check]:
    from registry.errors import RegistryError
    from registry.maintenance.bucket_checks import examine as examine_bucket

    outputs = target.outputs
    try:
        guards = examine_bucket(
            target.client("s3", role=Role.READER),
            outputs.model_store,
            encryption_key=outputs.encryption_key,
            collector=outputs.roles.get(Role.COLLECTOR),
        )
    except RegistryError as error:
        yield _not_there("model store", error.actual, fix, needed=True)
        return
    for guard in guards:
        name = f"model store: {guard.name}"
        if guard.error is None:
            yield Check(name=name, health=Health.FINE, found=guard.expected)
        else:
            found = f"expected {guard.expected}; found {guard.error.actual}"
            yield Check(name=name, health=Health.MISSING, found=found, fix=fix)


def _data_lake(target: Target) -> Check:
    """Objects in it that petpark did not write, or that the caller may not list them."""
    from petpark.data.foreign_objects import foreign
    from registry.errors import RegistryError

    name = "data lake"
    try:
        found = foreign(target.store(target.outputs.data_lake, role=Role.PUBLISHER))
    except RegistryError as error:
        return Check(name=name, health=Health.UNCHECKED, found=f"cannot be checked: {error.actual}", fix=error.next)
    except (BotoCoreError, ClientError) as error:
        return Check(name=name, health=Health.UNCHECKED, found=f"cannot be checked: {error}")
    if not found:
        return Check(name=name, health=Health.FINE, found="only objects that petpark writes")
    named = ", ".join(found[:_NAMED]) + (", …" if len(found) > _NAMED else "")
    sentence = f"{plural(len(found), 'object')} that petpark did not write, ignored everywhere: {named}"
    look = f"aws s3api head-object --bucket {target.outputs.data_lake} --key '{found[0]}'"
    return _not_there(name, sentence, f"{look}, and find out who wrote it; petpark deletes nothing", needed=False)


def _signing_key(target: Target, fix: str) -> Check:
    from registry.errors import KeyUnavailable

    try:
        key = target.verifier(role=Role.READER).key
    except KeyUnavailable as error:
        return Check(name="signing key", health=Health.MISSING, found=error.actual, fix=fix)
    return Check(name="signing key", health=Health.FINE, found=f"{key.scheme}, {key.keyid[:12]}")


def _owner(root: Path, stack: str) -> str:
    """The stack that owns the registry, by the settings of `stack`; else `stack` itself."""
    try:
        settings = yaml.safe_load((root / f"Pulumi.{stack}.yaml").read_text())["config"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return stack
    named = settings.get("petpark:platform", "own")
    return stack if named == "own" else str(named)


def _not_there(name: str, found: str, fix: str, *, needed: bool) -> Check:
    return Check(name=name, health=Health.MISSING if needed else Health.ABSENT, found=found, fix=fix)
