"""Print digests of what users depend on, so that a refactoring shows what it changes.

    .venv/bin/python -m tests.digests            the digests
    .venv/bin/python -m tests.digests --write D  what they are digests of, as files in directory D, for `diff -r`

Four things: the resources and outputs that the Pulumi program declares for each stack; the endpoint's routes and
schemas; the bytes that the registry stores; the commands, their parameters and the exit code of each outcome.
Descriptions and help texts are left out: their wording may improve.
"""

import argparse
import hashlib
import json
import logging
import secrets
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin
from unittest import mock

import pulumi
from typer.main import get_command

import petpark.errors
from petpark.__main__ import app
from registry.certificates.certificate import Certificates
from registry.channels.channel import Channel
from registry.channels.experiment import Experiments
from registry.channels.experiment_rule import Evidence, Rule
from registry.store.memory_store import MemoryStore
from registry.versions.catalog import Catalog
from serving.pages.openapi import document
from serving.settings import Limits
from tests.infra.conftest import Deployment, deploy, write_checkout
from tests.registry.memory_keys import MemorySigner

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_PROSE = frozenset({"description", "summary", "title", "example", "examples"})


def _as_text(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, default=_plain)


def _plain(value: object) -> str:
    """Name what JSON has no words for, without what differs from run to run."""
    return Path(value.path).name if isinstance(value, pulumi.FileAsset) else str(value)


def declared() -> dict[str, object]:
    """Every resource with its inputs and options, and every output, by stack."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_checkout(folder)
        test = deploy("test", folder, {})
        stacks = {"test": test, "prod": deploy("prod", folder, {"test": test})}
        return {stack: _plan(deployment, name) for stack, deployment in stacks.items()}


def _plan(deployment: Deployment, folder: str) -> object:
    resources = {
        f"{one.type} {one.name}": {
            "inputs": one.inputs,
            "parent": f"{one.parent_type} {one.parent}",
            "protect": one.protect,
            "retain": one.retain,
        }
        for one in deployment.resources
    }
    return json.loads(_as_text({"resources": resources, "outputs": deployment.outputs}).replace(folder, ""))


def routes() -> dict[str, object]:
    """The OpenAPI document without its prose, open and with keys required."""
    return {
        f"keys_required={required}": _without_prose(document(Limits(), keys_required=required, grpc_port=9000))
        for required in (False, True)
    }


def _without_prose(value: Any, *, named: bool = False) -> Any:
    """`named`: the keys are names that somebody gave, such as properties of a schema, and none of them is prose."""
    if isinstance(value, Mapping):
        return {
            key: _without_prose(inner, named=key in {"properties", "schemas", "responses", "paths"})
            for key, inner in value.items()
            if named or key not in _PROSE
        }
    return [_without_prose(inner) for inner in value] if isinstance(value, list | tuple) else value


def stored() -> Mapping[str, object]:
    """Key to content of the model store after a fixed history of decisions."""
    store = MemoryStore()
    count = iter(range(1000))
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(secrets, "token_hex", lambda size=32: f"{next(count):0{2 * size}x}"),
    ):
        catalog = Catalog(store, "pets", clock=lambda: NOW)
        file = Path(folder) / "model.onnx"
        versions: list[Any] = []
        for number in (1, 2):
            file.write_bytes(b"network %d" % number)
            versions.append(
                catalog.publish(
                    {file.name: file}, labels=("cat", "dog"), metrics={"accuracy": 0.9}, lineage={"run": "j"}
                )
            )
        first, second = versions
        signed = Certificates(store, "pets", clock=lambda: NOW).sign(
            first,
            decision="certified",
            signer=MemorySigner(),
            by="vera",
            report_sha256="b" * 64,
            expires_at=NOW + timedelta(days=90),
            note="looked at all errors",
        )
        channel = Channel(store, "pets", "prod", clock=lambda: NOW)
        channel.move(first, by="mia", why="first")
        channel.move(second, by="mia", why="better")
        entry = channel.roll_back(by="mia", why="worse")
        experiments = Experiments(store, "pets", "prod", clock=lambda: NOW)
        running = experiments.start(
            second,
            entry,
            mode="ab",
            share=0.1,
            rule=Rule(),
            until=NOW + timedelta(days=1),
            by="mia",
            why="is it better?",
        )
        experiments.conclude(running, outcome="stopped", reasons=("asked to",), evidence=Evidence(), by="mia")
    objects = {key: store.get(key).decode() for key in sorted(store.keys(""))}
    # A signature differs each time; what is signed does not.
    return {key: body for key, body in objects.items() if "certificates" not in key} | {
        "certificate keys": [key for key in objects if "certificates" in key],
        "certificate statement": signed.statement().decode(),
    }


def commands() -> dict[str, object]:
    """Parameters of each command, and the exit code of each outcome by its name."""
    return {
        "commands": {" ".join(path) or "petpark": _parameters(command) for path, command in _walk(get_command(app))},
        "exit codes": {
            name: error.exit_code
            for name, error in vars(petpark.errors).items()
            if isinstance(error, type) and isinstance(getattr(error, "exit_code", None), int)
        },
    }


def _walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from _walk(child, (*path, name))


def _parameters(command: Any) -> object:
    return [
        {
            "kind": one.param_type_name,
            "names": [*one.opts, *one.secondary_opts] if one.param_type_name == "option" else [],
            "type": _type(one.type_descriptor.annotation),
            "bounds": [one.min, one.max],
            "required": one.required,
            "default": one.default,
            "multiple": one.multiple,
            "environment": one.envvar,
        }
        for one in command.params
    ]


def _type(annotation: Any) -> object:
    """Choices by their values, for the class that lists them may change its name."""
    if get_origin(annotation) is list:
        return [_type(inner) for inner in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return sorted(each.value for each in annotation)
    return annotation.__name__ if type(annotation) is type else str(annotation)


PARTS: Mapping[str, Callable[[], Mapping[str, object]]] = {
    "declared": declared,
    "routes": routes,
    "stored": stored,
    "commands": commands,
}


def main() -> None:
    """Print a line a part."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--write", type=Path, metavar="DIRECTORY", help="also write what the digests are of")
    directory: Path | None = options.parse_args().write
    warnings.simplefilter("ignore")
    logging.disable()
    for name, part in PARTS.items():
        text = _as_text(part())
        print(f"{name:10} {hashlib.sha256(text.encode()).hexdigest()}")
        if directory:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main()
