"""The one gate: nothing but this machine may be deployed to."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from rehearsal.engine.errors import EmulatorMissing, EndpointRefused

_CONNECT_SECONDS = 5.0
_WAY_OUT = "Real accounts are deployed by the Pulumi CLI (`pulumi up`); rehearsals give aws:endpoints a loopback URL."


def require_loopback(url: str) -> None:
    """Return if `url` can only reach this machine; raise `EndpointRefused` otherwise.

    A name counts only when every address it resolves to is a loopback address at this moment.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EndpointRefused(f"The endpoint {url!r} is not an http(s) URL. {_WAY_OUT}")
    if not all(address.is_loopback for address in _addresses(parts.hostname)):
        raise EndpointRefused(
            f"The embedded engine deploys to this machine only, and {parts.hostname} is not a loopback address. "
            f"{_WAY_OUT}"
        )


def require_answer(url: str) -> None:
    """Return if something listens at `url`; raise `EmulatorMissing` otherwise, before a provider retries for long."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise EmulatorMissing(f"Nothing answers at {url} ({error}); start the emulator first.") from error


def refuse_missing() -> EndpointRefused:
    """The error for a stack that names no endpoint, which would mean the real cloud."""
    return EndpointRefused(
        "The configuration names no aws:endpoints, so the provider would talk to a real AWS account; the embedded "
        f"engine deploys to this machine only. {_WAY_OUT}"
    )


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise EndpointRefused(f"The endpoint's host {host!r} cannot be resolved: {error}. {_WAY_OUT}") from error
    return [ipaddress.ip_address(str(address).split("%")[0]) for address in found]
