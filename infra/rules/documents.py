"""Policy documents in properties: their statements, one by one."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from infra.rules.resource import known_items

type Statement = Mapping[str, Any]


def statements(policy: Any) -> Iterator[Statement]:
    """The statements of a policy, JSON text or a map; none for None. Raises `NotKnown` and, for no JSON, ValueError."""
    document = json.loads(policy) if isinstance(policy, str) else policy
    if isinstance(document, Mapping):
        for statement in known_items(document.get("Statement"), "policy"):
            if isinstance(statement, Mapping):
                yield statement


def allowing(policy: Any) -> Iterator[Statement]:
    """The statements that allow something."""
    return (statement for statement in statements(policy) if statement.get("Effect") == "Allow")


def texts(statement: Statement, key: str) -> list[str]:
    """The texts of an element that may be one or a list."""
    return [str(item) for item in known_items(statement.get(key), "policy")]


def names_everybody(statement: Statement) -> bool:
    """Whether the principal is everybody: `*`, alone or as an AWS principal, or all but some.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    principal = statement.get("Principal")
    if "NotPrincipal" in statement or principal == "*":
        return True
    return isinstance(principal, Mapping) and "*" in known_items(principal.get("AWS"), "policy")
