"""Requests to this machine never go through a proxy, even if the environment names one.

Clients read `NO_PROXY` differently. curl and Go match a network (`127.0.0.0/8`); Go leaves loopback out by itself, as
Chromium does. Python's urllib, and with it botocore, httpx, requests and gRPC match names and their endings only, so
that `127.0.0.1` is covered here and an instance's `127.77.5.9` is not: a client of such an address is made without
proxies (`trust_env=False` in httpx, `ProxyHandler({})` in urllib, `Config(proxies={})` in botocore).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1", "127.0.0.0/8")

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")
_EXCEPTIONS = ("no_proxy", "NO_PROXY")
_ONLY_GRPC = "no_grpc_proxy"  # where it is set, gRPC does not look at no_proxy


def direct(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with loopback among the exceptions from its proxies; the user's own exceptions stay.

    Without a proxy nothing is added: a set `NO_PROXY` would make Python overlook the proxies of macOS's settings.
    """
    if not any(environment.get(name) or environment.get(name.upper()) for name in _PROXIES):
        return dict(environment)
    either = next((environment[name] for name in _EXCEPTIONS if environment.get(name)), "")
    added = {name: _with_loopback(environment.get(name) or either) for name in _EXCEPTIONS}
    if environment.get(_ONLY_GRPC):
        added[_ONLY_GRPC] = _with_loopback(environment[_ONLY_GRPC])
    return {**environment, **added}


def _with_loopback(exceptions: str) -> str:
    given = [entry.strip() for entry in exceptions.split(",") if entry.strip()]
    if given == ["*"]:  # nothing goes through a proxy; only alone does it mean that
        return "*"
    return ",".join(dict.fromkeys([*given, *LOOPBACK]))
