"""Where the instances of one job find each other: the first writes down where it listens, the others read it.

The first is the instance that creates the attempt's meeting (`claim`). Each attempt has a meeting of its own, so nobody
waits at an address of the past.
"""

import ipaddress
import json
import os
import random
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from registry.encoding import Fields, canonical
from registry.errors import ObjectExists
from registry.layout.jobs import rendezvous_key
from registry.layout.variables import Variable
from registry.store.object_store import ObjectStore
from training.errors import SpecMalformed
from training.instance import metadata
from training.job import read_strictly

TIMEOUT_SECONDS: Final = 900.0
"""For the slowest instance to boot and to install its environment after the fastest did."""


PORTS: Final = range(20_000, 30_000)
"""Ports of the first instance, below those of outgoing connections (from 32768 on, ip(7)).

It listens seconds after it found its port free. Meanwhile an outgoing connection could take a port of the higher range.
"""


@dataclass(frozen=True, kw_only=True)
class Rendezvous:
    """Instance `index` of `size`; all are reached at `address`, which is each one's own, and the first at `host`."""

    index: int
    size: int
    address: str
    host: str
    port: int

    def to_json(self) -> str:
        """For the environment of the processes that train."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The opposite; SpecMalformed."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise SpecMalformed(f"{Variable.RENDEZVOUS} is {text!r}; the worker sets it: {error}") from error

    @property
    def interface(self) -> str:
        """The network interface that the instances talk over."""
        return "lo" if ipaddress.ip_address(self.address).is_loopback else _default_interface()


def claim(workspace: ObjectStore, job: str, attempt: str, size: int, *, endpoint: str | None = None) -> Rendezvous:
    """Take part in an attempt of `size` instances: as the first (index 0) if nobody was, else as another (index 1).

    A fleet's instances may have different reservations, so numbers of EC2 do not tell who is first. Raises
    SpecMalformed on a machine without metadata, and registry errors.
    """
    address = _own_address(endpoint or metadata.default_endpoint(), size)
    key, port = rendezvous_key(job, attempt), _free_port(address)
    place = canonical({"host": address, "port": port})
    try:
        workspace.create(key, place)
        return Rendezvous(index=0, size=size, address=address, host=address, port=port)
    except ObjectExists:
        host, port = read_strictly("meeting", workspace.get(key), _place)
        return Rendezvous(index=1, size=size, address=address, host=host, port=port)


def _own_address(endpoint: str, size: int) -> str:
    """Returns the machine's address: of a rehearsed instance one of its own, and not the one that EC2 gave it."""
    try:
        own = metadata.read(endpoint, "local-ipv4")
    except (OSError, ValueError) as error:
        raise SpecMalformed(
            f"a job of {size} instances runs on EC2, and this machine has no metadata: {error}"
        ) from error
    if address := os.environ.get(Variable.HOST) or own:
        return address
    raise SpecMalformed(f"a job of {size} instances needs addresses, and this machine has none")


def _place(fields: Fields) -> tuple[str, int]:
    return fields.text("host"), fields.count("port")


def _free_port(address: str) -> int:
    for port in random.sample(PORTS, len(PORTS)):
        with suppress(OSError), socket.create_server((address, port)):
            return port
    raise SpecMalformed(f"this machine listens on all ports from {PORTS[0]} to {PORTS[-1]}; instances need one of them")


def _default_interface() -> str:
    """Returns the interface of the default route. Linux."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        name, destination, *_ = line.split()
        if destination == "00000000":
            return name
    raise SpecMalformed("this machine has no default route, over which several instances could talk")
