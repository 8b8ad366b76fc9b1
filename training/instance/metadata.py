"""EC2's instance metadata service, version 2.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

import os
import urllib.error
import urllib.request
from typing import Final

_TOKEN_PATH: Final = "/latest/api/token"  # noqa: S105 - a path
_TIMEOUT: Final = 2.0
# A link-local address: no proxy can reach it for us.
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def default_endpoint() -> str:
    """Returns where the service answers, without a slash at the end: AWS's address, or what the environment names."""
    return (os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254").rstrip("/")


def read(endpoint: str, path: str) -> str | None:
    """Request `path` below `/latest/meta-data/`; None if it does not exist now.

    Raises OSError or ValueError where no instance metadata service answers.
    """
    token = _call(endpoint + _TOKEN_PATH, "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "300"})
    try:
        return _call(f"{endpoint}/latest/meta-data/{path}", "GET", {"X-aws-ec2-metadata-token": token})
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return None
        raise


def _call(url: str, method: str, headers: dict[str, str]) -> str:
    if not url.startswith("http"):
        raise ValueError(f"{url} is not an HTTP URL")
    request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310 - checked above
    with _DIRECT.open(request, timeout=_TIMEOUT) as response:
        return response.read().decode()
