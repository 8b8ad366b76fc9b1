"""Rendezvous of the instances of one job: the first stores the address on which it listens, the others read it.

The first is the instance that creates the attempt's record (`claim`); each other instance creates the record of one
member, whose number is its rank. Each attempt has its own records, so that no instance connects to an address of an
earlier attempt.
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
from registry.layout.jobs import member_key, rendezvous_key
from registry.layout.variables import Variable
from registry.store.object_store import ObjectStore
from training.errors import Interrupted, SpecMalformed
from training.instance import metadata
from training.job import read_strictly

TIMEOUT_SECONDS: Final = 900.0
"""Time for the slowest instance to boot and install its environment after the fastest."""

PORTS: Final = range(20_000, 30_000)
"""Ports of the first instance, below the ephemeral range (from 32768, ip(7)).

It listens some seconds after it found its port free; an outgoing connection could take an ephemeral port meanwhile.
"""


@dataclass(frozen=True, kw_only=True)
class Rendezvous:
    """Instance `index` of `size`, with its own `address`; `host` and `port` are those of the first."""

    index: int
    size: int
    address: str
    host: str
    port: int

    def to_json(self) -> str:
        """Returns JSON for the environment of the training processes."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Returns the rendezvous in `text`. Raises SpecMalformed."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise SpecMalformed(f"{Variable.RENDEZVOUS} is {text!r}, which the worker does not set: {error}") from error

    @property
    def interface(self) -> str:
        """The network interface between the instances."""
        return "lo" if ipaddress.ip_address(self.address).is_loopback else _default_interface()


def claim(workspace: ObjectStore, job: str, attempt: str, size: int, *, endpoint: str | None = None) -> Rendezvous:
    """Join an attempt of `size` instances with the lowest free index: the first has index 0.

    The launch index of EC2 does not identify an instance: a fleet's may have different reservations. Raises
    SpecMalformed on a machine without instance metadata, Interrupted if `size` instances have joined already, and
    registry errors.
    """
    address = _own_address(endpoint or metadata.default_endpoint(), size)
    key, port = rendezvous_key(job, attempt), _free_port(address)
    body = canonical({"host": address, "port": port})
    try:
        workspace.create(key, body)
        return Rendezvous(index=0, size=size, address=address, host=address, port=port)
    except ObjectExists:
        host, port = read_strictly("rendezvous", workspace.get(key), _address_of)
    index = _join(workspace, job, attempt, size, address)
    return Rendezvous(index=index, size=size, address=address, host=host, port=port)


def _join(workspace: ObjectStore, job: str, attempt: str, size: int, address: str) -> int:
    """Returns the index of an instance that is not the first: no two instances may have the same."""
    body = canonical({"host": address})
    for index in range(1, size):
        with suppress(ObjectExists):
            workspace.create(member_key(job, attempt, index), body)
            return index
    raise Interrupted(f"attempt {attempt} has {size} instances already; this one was launched too late or twice")


def _own_address(endpoint: str, size: int) -> str:
    """Returns the instance's address: the variable's in a rehearsal, else the private one in its metadata."""
    try:
        own = metadata.read(endpoint, "local-ipv4")
    except (OSError, ValueError) as error:
        raise SpecMalformed(
            f"a job with {size} instances needs EC2, but this machine has no instance metadata: {error}"
        ) from error
    if address := os.environ.get(Variable.HOST) or own:
        return address
    raise SpecMalformed(f"a job with {size} instances needs their addresses, but this machine has none in its metadata")


def _address_of(fields: Fields) -> tuple[str, int]:
    return fields.text("host"), fields.count("port")


def _free_port(address: str) -> int:
    for port in random.sample(PORTS, len(PORTS)):
        with suppress(OSError), socket.create_server((address, port)):
            return port
    raise SpecMalformed(f"no free port from {PORTS[0]} to {PORTS[-1]} for the connections between instances")


def _default_interface() -> str:
    """Returns the interface of the default route. Linux."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        name, destination, *_ = line.split()
        if destination == "00000000":
            return name
    raise SpecMalformed("this machine has no default route, which instances need to connect to each other")
