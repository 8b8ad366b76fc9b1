"""The botocore client that the object store on S3 is usually made with."""

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from registry.store.transfer import REQUESTS_AT_ONCE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def s3_client(endpoint_url: str | None = None, region: str | None = None) -> "S3Client":
    """A client with deadlines and a retry budget: at most 5 tries with 3 s to connect and 20 s to read."""
    config = Config(
        connect_timeout=3,
        read_timeout=20,
        retries={"mode": "standard", "total_max_attempts": 5},
        max_pool_connections=REQUESTS_AT_ONCE,
        s3={"addressing_style": "path"} if endpoint_url else {},
    )
    return boto3.client("s3", endpoint_url=endpoint_url, region_name=region, config=config)


def follow_no_redirect(params: dict[str, Any], **_: object) -> None:
    """Make botocore follow no redirect of HeadBucket: a handler of its event `before-call`.

    After a redirect that names no region, botocore calls HeadBucket to find the bucket's. If that is redirected too, as
    by the sign-in page of a network, it calls HeadBucket again, and so on until Python's recursion limit.
    """
    params["context"]["s3_redirect"]["redirected"] = True
