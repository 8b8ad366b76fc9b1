"""Clients of AWS, and sessions of a role that last as long as a command does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, override

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, RefreshableCredentials

from registry import identity
from registry.store.transfer import REQUESTS_AT_ONCE

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

SECONDS: Final = 3600
"""A role's session: the maximum for role chaining, as after `aws sso login`.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

_CLIENT_CONFIG: Final = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 4},
    max_pool_connections=REQUESTS_AT_ONCE,
)


def client_of(session: boto3.Session, service: str, url: str | None) -> Any:
    """A boto3 client with timeouts and retries; `url` is the emulator's address, None in AWS."""
    # Buckets as part of the path: the emulator's host name is an address, which takes no subdomain.
    config = (
        _CLIENT_CONFIG if url is None else _CLIENT_CONFIG.merge(Config(s3={"addressing_style": "path"}, proxies={}))
    )
    return session.client(service, endpoint_url=url, config=config)  # pyright: ignore[reportCallIssue, reportArgumentType]


def role_session(caller: boto3.Session, role: str, url: str | None) -> boto3.Session:
    """A session in which `caller` acts as the role of ARN `role`; raises botocore's errors if they may not.

    Its credentials are renewed, by `caller` again, from fifteen minutes before they expire: commands that ingest,
    search or watch take longer than a role's session. Clients and transfers that were made with it go on.
    """
    sts: STSClient = client_of(caller, "sts", url)
    name = identity.session_name(sts.get_caller_identity()["Arn"])

    def assume() -> dict[str, str]:
        found = sts.assume_role(RoleArn=role, RoleSessionName=name, DurationSeconds=SECONDS)["Credentials"]
        return {
            "access_key": found["AccessKeyId"],
            "secret_key": found["SecretAccessKey"],
            "token": found["SessionToken"],
            "expiry_time": found["Expiration"].isoformat(),
        }

    credentials = RefreshableCredentials.create_from_metadata(assume(), refresh_using=assume, method=_Assumed.METHOD)
    inner = botocore.session.get_session()
    inner.register_component("credential_provider", CredentialResolver([_Assumed(credentials)]))
    return boto3.Session(botocore_session=inner, region_name=caller.region_name)


class _Assumed(CredentialProvider):
    """Hands one role's credentials to a session, in the place of all other ways to find some."""

    METHOD = "sts-assume-role"

    def __init__(self, credentials: RefreshableCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    @override
    def load(self) -> RefreshableCredentials:
        return self._credentials
