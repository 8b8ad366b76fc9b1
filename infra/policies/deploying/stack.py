"""The stack that a workflow deploys, and the names of what it may change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROLES = ("actions-*", "endpoint-*", "operators-*", "pipeline-*", "small-machine-*", "training-*")
"""Names of the IAM roles and instance profiles that the program creates; those of the workflows are not among them."""
BUCKETS = ("data-*", "models-*")
"""Names of the program's buckets."""
WORKSPACE = "data-workspace-*"


@dataclass(frozen=True, kw_only=True)
class Deploying:
    """A stack, and where it is deployed."""

    account: str
    region: str
    stack: str
    owner: bool
    """Whether it owns the platform: buckets, keys, operator roles, training."""
    state_bucket: str | None
    """The bucket with Pulumi's state; None if Pulumi Cloud keeps it."""


def of_this_stack(to: Deploying) -> Mapping[str, Any]:
    """A condition that denies resources with another stack's tag, and allows those without the tag."""
    return {"StringEqualsIfExists": {"aws:ResourceTag/petpark:stack": to.stack}}


def role_arns(account: str, name: str) -> list[str]:
    """ARNs of the role and the instance profile of a name."""
    return [f"arn:aws:iam::{account}:{kind}/{name}" for kind in ("role", "instance-profile")]


def catalog_arns(here: str, database: str) -> list[str]:
    """ARNs of the Glue catalog, of a database in it, and of all that database's tables."""
    parts = ("catalog", f"database/{database}", f"table/{database}/*")
    return [f"arn:aws:glue:{here}:{part}" for part in parts]
