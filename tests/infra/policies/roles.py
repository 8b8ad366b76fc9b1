"""Policies of all roles, as the tests read them."""

import fnmatch
from typing import Any

from hypothesis import strategies as st

from infra import policies
from infra.policies import ResourceNames
from registry.layout.roles import Role

PLACES = ResourceNames(
    model="pets",
    model_store="store",
    data_lake="lake",
    workspace="work",
    encryption_key="arn:aws:kms:eu-west-1:1:key/encrypt",
    signing_key="arn:aws:kms:eu-west-1:1:key/sign",
)
LOG = "arn:aws:logs:eu-west-1:1:log-group:/petpark/test/training"


def in_store(key: str) -> str:
    return f"arn:aws:s3:::store/{key}"


def machines() -> list[dict[str, Any]]:
    return [policies.training(PLACES, LOG), policies.endpoint(PLACES, LOG, "prod")]


def all_documents() -> list[dict[str, Any]]:
    return [*machines(), *(policies.operator(role, PLACES) for role in Role)]


NAME = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)


def allows(document: dict[str, Any], action: str, resource: str, prefix: str | None = None) -> bool:
    """Returns whether an identity policy allows the action (ours deny nothing and have at most one condition).

    `prefix` is the one that a listing asks for; None is not to ask whether a statement has a condition.
    """
    return any(
        statement["Effect"] == "Allow"
        and any(fnmatch.fnmatchcase(action, pattern) for pattern in statement["Action"])
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        and (prefix is None or lists(statement, prefix))
        for statement in document["Statement"]
    )


def lists(statement: dict[str, Any], prefix: str) -> bool:
    condition = statement.get("Condition")
    return condition is None or any(
        fnmatch.fnmatchcase(prefix, pattern) for pattern in condition["StringLike"]["s3:prefix"]
    )
