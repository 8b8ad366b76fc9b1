"""Ports for servers that tests start."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port on which nothing listens, outside of those that the system gives to outgoing connections.

    A port that the system chooses (`bind` to 0) may be an outgoing connection's before the test's server binds it.
    """
    above = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    choose = random.SystemRandom()
    for _ in range(100):
        port = choose.randrange(_LOWEST, max(above, _LOWEST + 1_000))
        with suppress(OSError), socket.create_server((host, port)):
            return port
    raise OSError(f"no free port from {_LOWEST} to {above}")
