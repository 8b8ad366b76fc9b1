"""The address that a server listens on, checked before it starts."""

import socket


class AddressInUse(OSError):
    """The address cannot be bound, usually because another process listens on it."""


def check_address(host: str, port: int, *, advice: str) -> None:
    """Raise `AddressInUse` if the address cannot be bound; Granian would share the port silently.

    `advice` completes the message: what to do instead of stopping the other process.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise AddressInUse(
                f"cannot listen on {host}:{port}: {error.strerror}. Stop the other process, or {advice}."
            ) from error
