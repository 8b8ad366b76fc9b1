"""Nothing leaves this machine.

LocalStack's settings turn off what is known to call out; this audit hook refuses the rest, so that a rehearsal is the
same with and without a network and no credentials of the machine it runs on can be found. Every refusal is one
line in the log.
"""

import errno
import ipaddress
import os
import socket
import sys
from typing import Any

CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
LOOKS_UP = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})


def apply() -> None:
    """Refuse connections and name look-ups beyond loopback, in this process, from now on."""
    sys.addaudithook(_refuse_outside)


def _refuse_outside(event: str, arguments: tuple[Any, ...]) -> None:
    if event in CONNECTS:
        address = arguments[1]
        if isinstance(address, tuple) and not is_local(address[0]):
            _log(f"connect to {address[0]}:{address[1]}")
            raise OSError(errno.ENETUNREACH, f"{os.strerror(errno.ENETUNREACH)}: {address[0]} is not loopback")
    elif event in LOOKS_UP and not is_local(arguments[0]):
        _log(f"look up {arguments[0]}")
        raise socket.gaierror(socket.EAI_FAIL, f"{arguments[0]} is not loopback")


def is_local(host: str | bytes | None) -> bool:
    """Whether a host as given to a socket call means this machine."""
    name = host.decode() if isinstance(host, bytes) else host
    if not name or name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _log(what: str) -> None:
    sys.stderr.write(f"petpark: refused to {what}\n")
