"""Outputs of stacks as each stack records them in the workspace, where those read them who have no Pulumi state."""

import json
from collections.abc import Mapping
from typing import Any, cast

from petpark.errors import StackOutdated
from petpark.targets.stacks import StackOutputs, parse
from registry.layout.workspace import stack_outputs_key
from registry.store.object_store import ObjectStore


def load_outputs(workspace: ObjectStore, stack: str) -> StackOutputs:
    """Returns a stack's outputs; ObjectMissing, `StackOutdated`."""
    try:
        values = json.loads(workspace.get(stack_outputs_key(stack)))
    except ValueError as error:
        raise StackOutdated(
            f"{stack_outputs_key(stack)} in the workspace is not JSON: {error}.", next_step=f"pulumi up --stack {stack}"
        ) from error
    return parse(stack, cast("Mapping[str, Any]", values))
