"""Read calls to one account and region, with timeouts, few retries, and one exception for denied calls."""

import threading
from collections.abc import Collection, Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from petpark.doctor import Check, Health
from petpark.failures.failure import DENIED

_CLIENT_CONFIG = Config(
    connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3}, max_pool_connections=16
)
_HOME: Mapping[str, str] = {"budgets": "us-east-1", "iam": "us-east-1", "route53": "us-east-1"}
"""The region in which global services have their only endpoint.
https://docs.aws.amazon.com/general/latest/gr/rande.html#global-endpoints"""

# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
_PREFIXES: Mapping[str, str] = {
    "elbv2": "elasticloadbalancing",
    "resourcegroupstaggingapi": "tag",
    "service-quotas": "servicequotas",
    "stepfunctions": "states",
}
_PERMISSIONS: Mapping[str, str] = {
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "budgets:DescribeBudgets": "budgets:ViewBudget",
    "budgets:DescribeNotificationsForBudget": "budgets:ViewBudget",
}


class Unchecked(Exception):
    """AWS did not answer a question: `needs` is the permission that was lacking, or empty for any other reason."""

    def __init__(self, reason: str, *, needs: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.needs = needs

    def as_check(self, name: str) -> Check:
        """The same as a check of the doctor."""
        if self.needs:
            return unchecked(
                name, f"needs {self.needs}", f"allow {self.needs} in your policy, or check it in the AWS console"
            )
        return unchecked(name, self.reason)


def unchecked(name: str, reason: str, fix: str = "") -> Check:
    """A check that could not be performed."""
    return Check(name=name, health=Health.UNCHECKED, found=f"could not be checked: {reason}", fix=fix)


class Account:
    """An account as the caller may read it, in the stack's region. Safe to use from several threads."""

    def __init__(self, session: boto3.Session, region: str) -> None:
        self.region = region
        self._session = session
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()

    def call(self, service: str, operation: str, *, absent: Collection[str] = (), **arguments: Any) -> Any:
        """The answer of one operation, or None if AWS refuses it with one of the error codes in `absent`.

        Raises `Unchecked` for every other refusal, and where there is no answer.
        """
        try:
            return getattr(self.client(service), operation)(**arguments)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and _code(error) in absent:
                return None
            raise self._unanswered(service, operation, error) from error

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[Any]:
        """All items that `operation` lists below `key`. Raises `Unchecked`."""
        try:
            pages = self.client(service).get_paginator(operation).paginate(**arguments)
            return [item for page in pages for item in page.get(key) or ()]
        except (ClientError, BotoCoreError) as error:
            raise self._unanswered(service, operation, error) from error

    def client(self, service: str) -> Any:
        """A boto3 client, made once. Sessions make clients for one thread at a time only."""
        with self._making:
            if service not in self._clients:
                make: Any = self._session.client
                region = _HOME.get(service, self.region)
                self._clients[service] = make(service, region_name=region, config=_CLIENT_CONFIG)
            return self._clients[service]

    def _unanswered(self, service: str, operation: str, error: ClientError | BotoCoreError) -> Unchecked:
        if isinstance(error, ClientError) and _code(error) in DENIED:
            return Unchecked(str(error), needs=permission(service, error.operation_name or operation))
        return Unchecked(" ".join(str(error).split()))


def permission(service: str, operation: str) -> str:
    """The IAM action that allows calling `operation`, in the API's own spelling, of a boto3 client."""
    action = f"{_PREFIXES.get(service, service)}:{operation}"
    return _PERMISSIONS.get(action, action)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
