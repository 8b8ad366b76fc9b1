"""The target of a worker: a stack's outputs from the workspace, with the instance's credentials."""

import os
from pathlib import Path
from typing import Final

import boto3

from petpark.errors import StackNotDeployed
from petpark.targets.stored_outputs import load_outputs
from petpark.targets.target import Target
from registry.errors import ObjectMissing
from registry.layout.workspace import STACKS, stack_outputs_key
from registry.store.object_store import ObjectStore

ADDRESSES: Final = "PETPARK_ADDRESSES"
"""Environment variable of a rehearsal: a folder with the addresses of its instances and endpoints, in the files
`instances/<instance>/address` and `endpoints/<stack>`."""


def open_target(workspace: ObjectStore, stack: str) -> Target:
    """Returns the target of a stack. The instance's role assumes the operator roles granted to it.

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
