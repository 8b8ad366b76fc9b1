"""The address that a server listens on, checked before it starts."""

import socket


class AddressInUse(OSError):
    """Somebody else listens where this endpoint should."""


def check_address(host: str, port: int, *, advice: str) -> None:
    """Check that no other process listens: Granian would share the port silently. Raises `AddressInUse`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise AddressInUse(
                f"cannot listen on {host}:{port}: {error.strerror}. Stop the other process, or {advice}."
            ) from error
