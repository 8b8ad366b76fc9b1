"""The target of a worker: a stack's outputs from the workspace, and the instance's role as caller."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import boto3

from petpark.errors import StackNotDeployed, StackOutdated
from petpark.targets.stacks import StackOutputs, parse
from petpark.targets.target import Target
from registry.errors import ObjectMissing
from registry.layout import STACKS, stack_outputs_key
from registry.store.object_store import ObjectStore

ADDRESSES: Final = "PETPARK_ADDRESSES"
"""A folder that says where a rehearsal's instances and endpoints are reached, which have no network of their own:
`instances/<instance>/address` and `endpoints/<stack>`."""


def load_outputs(workspace: ObjectStore, stack: str) -> StackOutputs:
    """Returns a stack's outputs; ObjectMissing, `StackOutdated`."""
    try:
        values = json.loads(workspace.get(stack_outputs_key(stack)))
    except ValueError as error:
        raise StackOutdated(
            f"{stack_outputs_key(stack)} in the workspace is not JSON: {error}.", next_step=f"pulumi up --stack {stack}"
        ) from error
    return parse(stack, cast("Mapping[str, Any]", values))


def open_target(workspace: ObjectStore, stack: str) -> Target:
    """The stack, as the instance's role, which takes the operator roles that it may take.

    Raises `StackNotDeployed`, `StackOutdated`.
    """
    try:
        outputs = load_outputs(workspace, stack)
    except ObjectMissing as error:
        raise StackNotDeployed(
            f"Stack {stack} has no {stack_outputs_key(stack)} in the workspace.", next_step=f"pulumi up --stack {stack}"
        ) from error
    names = (key.removeprefix(STACKS).removesuffix(".json") for key in workspace.keys(STACKS))
    return Target(
        kind="aws",
        stacks=tuple(sorted(names, reverse=True)),
        outputs=outputs,
        endpoint_urls={stack: _recorded("endpoints", stack) or outputs.endpoint.url},
        session=boto3.Session(region_name=outputs.region),
        address_of=lambda instance, private: _recorded("instances", instance, "address") or private,
    )


def _recorded(*parts: str) -> str | None:
    folder = os.environ.get(ADDRESSES)
    record = Path(folder, *parts) if folder else None
    return record.read_text().strip() if record is not None and record.is_file() else None
