"""API keys as earlier releases stored them: one SSM parameter each, in the account of the endpoint's stack.

The person who deploys copies them, with their own permissions: no role of petpark can read parameters.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


def path(stack: str) -> str:
    """Where they are."""
    return f"/petpark/{stack}/api-keys"


def read(ssm: "SSMClient", stack: str) -> Mapping[str, str]:
    """What is there, by the names of the keys; ten parameters a request."""
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=path(stack))
    return {
        one.get("Name", "").rpartition("/")[2]: one.get("Value", "") for page in pages for one in page["Parameters"]
    }


def delete(ssm: "SSMClient", stack: str, names: Iterable[str]) -> None:
    """Delete these. One that is gone already is not an error."""
    for name in names:
        try:
            ssm.delete_parameter(Name=f"{path(stack)}/{name}")
        except ssm.exceptions.ParameterNotFound:
            continue
